"""Settings in layers: what a setting is, where its value comes from, and what is said of a wrong one.

It knows no setting by name: those are the fields of a struct, each annotated with an `About`.
"""
