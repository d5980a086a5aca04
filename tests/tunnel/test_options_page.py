"""
docs/options.rst says what the grammar of the arguments does.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pinggy.tunnel.arguments import OPTIONS, split_command
from pinggy.tunnel.options_page import options_page

PAGE = Path(__file__).parents[2] / "docs" / "options.rst"


def test_the_file_is_what_the_grammar_says() -> None:
    assert PAGE.read_text() == options_page(), "the grammar has changed: run `make options`"


def test_every_word_of_an_option_is_in_the_table() -> None:
    for option in OPTIONS:
        assert f"\n``{option.usage}`` " in options_page()
        for word in option.words[1:]:
            assert f"``{word}``" in options_page()


def test_the_table_is_well_formed() -> None:
    lines = options_page().splitlines()
    rules = [number for number, line in enumerate(lines) if re.fullmatch(r"=+  =+  =+", line)]
    assert len(rules) == 3
    gaps = [match.start() for match in re.finditer("  ", lines[rules[0]])]
    for line in lines[rules[0] : rules[2] + 1]:
        assert len(line) <= len(lines[rules[0]])
        assert all(line[gap : gap + 2] in ("  ", " ", "") for gap in gaps), line


def test_the_example_with_two_quotations_is_read_as_it_says() -> None:
    [command] = re.findall(r"    ssh .* a\.example\.com (.*)", options_page())
    sent = " ".join(shlex.split(command)).encode()  # by the shell at home, and then by ssh
    assert split_command(sent) == ("b:ann:tulip", "x:https", "a:X-Served-By:my laptop")
