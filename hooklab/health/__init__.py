"""Is this folder, and what runs on it, well? Facts are gathered at the edges (`look_…`), judged by pure functions
(`judge_…`) and come out as `Finding`, in words for a person. Nothing here writes, mends or leaves a file behind.

To be run in a process of its own: to open a file and close it again lets go of the locks that SQLite holds on it in
the same process.
"""
