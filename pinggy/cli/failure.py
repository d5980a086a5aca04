"""
What went wrong, as one sentence for the operator.
"""

from __future__ import annotations


class CommandFailed(Exception):
    """The text is printed on stderr, and the exit status is 1."""
