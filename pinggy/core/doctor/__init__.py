"""
What the operator asks when something is wrong: is all well, and would this tunnel serve a visitor?

findings
    a thing that was looked at, as a sentence.
core, zone, edges
    the parts of the whole service.
tunnel
    one tunnel from end to end.
doctor
    who asks them all.
"""
