"""`make bench`: measures hooklab beside references that bound what it can reach, and says which targets are met.

No timing makes it fail: only what was lost or counted wrong does.
"""
