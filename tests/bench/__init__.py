"""`make bench`: measures hooklab beside references that bound what it can reach.

No timing is judged here: only totals that do not hold make it fail.
"""
