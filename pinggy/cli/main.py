"""
From the words of the command to its exit status.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence

from pinggy.cli import accounts, doctor, edges, keys, names, ports, tokens, tunnels, zone
from pinggy.cli.access import find_access
from pinggy.cli.arguments import Call, Tree
from pinggy.cli.calls import Core
from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import clean
from pinggy.cli.terminal import Terminal

NOUNS = (accounts, tokens, keys, names, ports, edges, tunnels, zone, doctor)

# What a shell reports of a program that SIGINT or SIGPIPE has ended.
INTERRUPTED = 128 + 2
PIPE_BROKEN = 128 + 13


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the answer is its exit status. Without *words*, those of the process."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is no reason to fail.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        try:
            _run(words)
        finally:
            sys.stdout.flush()
    except CommandFailed as failure:
        print(f"pinggy: {clean(str(failure))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _leave_stdout()
        return PIPE_BROKEN
    except OSError as error:
        _leave_stdout()
        print(f"pinggy: The output cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


def _run(words: Sequence[str] | None) -> None:
    tree = Tree()
    for noun in NOUNS:
        noun.grow(tree)
    options = tree.parser.parse_args(words)
    terminal = Terminal(sys.stdout, sys.stderr, as_json=options.json)

    @functools.cache
    def find_core() -> Core:
        return Core(find_access(os.environ, state=options.state, core=options.core, key_file=options.key_file))

    options.command(Call(find_core=find_core, terminal=terminal, options=options))


def _leave_stdout() -> None:
    """What is still buffered goes nowhere when the interpreter flushes for the last time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
