"""
What goes where: on stdout what a program would read, on stderr what explains it to a person.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

from pinggy.cli.tables import Cell, clean, table


class Terminal:
    """With *as_json*, stdout has each message of the core as it came, indented, and stderr nothing but errors."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._err = err
        self._as_json = as_json

    def show_list(self, body: bytes, columns: Sequence[str], rows: Sequence[Sequence[Cell]], empty: str) -> None:
        """A table of *rows*; where there are none, the sentence *empty*."""
        if self._as_json:
            self._say_json(body)
        elif rows:
            for line in table(columns, rows):
                print(line, file=self._out)
        else:
            self._note(empty)

    def show_done(self, body: bytes, note: str, value: str | None = None) -> None:
        """What has been done, as the sentence *note*; *value* alone is for a program that called."""
        if self._as_json:
            self._say_json(body)
            return
        if value is not None:
            print(clean(value), file=self._out)
        self._note(note)

    def show_text(self, body: bytes, lines: Sequence[str]) -> None:
        """The *lines* of a file."""
        if self._as_json:
            self._say_json(body)
            return
        for line in lines:
            print(clean(line), file=self._out)

    def explain(self, *lines: str) -> None:
        """Further lines for a person."""
        if not self._as_json:
            for line in lines:
                self._note(line)

    def _note(self, text: str) -> None:
        # stdout first: on a terminal the value and its explanation stand in the order said.
        self._out.flush()
        print(clean(text), file=self._err)

    def _say_json(self, body: bytes) -> None:
        if body.strip():
            try:
                text = json.dumps(json.loads(body), indent=2)
            except ValueError:
                return
            # JSON escapes every control character but this one.
            print(text.replace("\x7f", "\\u007f"), file=self._out)
