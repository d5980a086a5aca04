"""
``pinggy``, the operator's command: it speaks to the core with the operator's key.
"""
