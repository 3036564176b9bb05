"""The faults that hooklab must survive, as campaigns: short ones are tests, long ones `make soak` runs by hand.

A campaign puts one fault on a real service under the load of `hooklab simulate`, has `hooklab verify` judge what is
left, and gives figures. It raises AssertionError where a promise is broken, and `CannotRun` where a machine lacks
what the fault needs.
"""
