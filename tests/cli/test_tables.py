from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.cli.tables import clean, short_size, short_time, table


def test_columns_are_aligned() -> None:
    assert table(("NAME", "TUNNELS", "SEEN"), [("a", 5, None), ("long-name", 12345678, "now")]) == [
        "NAME        TUNNELS  SEEN",
        "a                 5  -",
        "long-name  12345678  now",
    ]


def test_wide_characters_take_two_columns() -> None:
    assert table(("A", "B"), [("日本", "x"), ("abcde", "y")]) == ["A      B", "日本   x", "abcde  y"]


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("plain ü", "plain ü"),
        ("\x1b[31mred", "?[31mred"),
        ("two\nlines\r", "two?lines?"),
        ("\x9b2J\x7f", "?2J??".replace("??", "?")),
        ("right\u202eleft", "right?left"),
        ("\ud800", "?"),
        ("a\u2028b", "a?b"),
    ],
)
def test_what_could_command_a_terminal_is_replaced(text: str, harmless: str) -> None:
    assert clean(text) == harmless


@given(st.text(st.characters()))
def test_a_cell_is_one_printable_line(text: str) -> None:
    lines = table(("T",), [(text,)])
    assert len(lines) == 2
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in lines[1])


@pytest.mark.parametrize(
    ("iso", "short"),
    [
        ("2026-11-23T19:52:49.123456+00:00", "2026-11-23 19:52"),
        ("2026-11-23T19:52:49Z", "2026-11-23 19:52"),
        ("2026-11-23T23:52:49+05:00", "2026-11-23 18:52"),
        ("2026-11-23T19:52:49", "2026-11-23 19:52"),
        ("yesterday", "yesterday"),
        (None, None),
    ],
)
def test_times_are_shortened(iso: str | None, short: str | None) -> None:
    assert short_time(iso) == short


def test_sizes_have_units() -> None:
    sizes = (0, 999, 1000, 1_500_000, 20_000_000_000, 5 * 10**15)
    assert [short_size(each) for each in sizes] == ["0 B", "999 B", "1.0 kB", "1.5 MB", "20.0 GB", "5000.0 TB"]
