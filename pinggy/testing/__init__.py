"""
Verified fakes: each passes the same contract suite (``tests/contracts``) as the real thing.
"""
