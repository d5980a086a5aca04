from __future__ import annotations

import pytest

from pinggy.tunnel import endings, refusals
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import Busy, Refusal, Unsaid, echo


def every_refusal() -> list[type[Refusal]]:
    named = {**vars(refusals), **vars(endings)}
    return [each for each in named.values() if isinstance(each, type) and issubclass(each, Refusal)]


def test_each_code_names_one_class() -> None:
    codes = [each.code for each in every_refusal() if each is not Unsaid]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("cls", [each for each in every_refusal() if each not in (Unsaid, Refusal)])
def test_a_refusal_survives_the_wire(cls: type[Refusal]) -> None:
    there = cls("Because.")
    back = from_wire(there.code, there.text)
    assert type(back) is cls
    assert back.text == "Because."
    assert 400 <= cls.status < 600


def test_a_code_of_a_newer_core_keeps_its_text() -> None:
    refusal = from_wire("brand-new", "Not on Sundays.")
    assert isinstance(refusal, Unsaid)
    assert str(refusal) == "Not on Sundays."


def test_busy_is_said_as_the_interface_says_it() -> None:
    assert Busy.of("xxYYzzZ").text == (
        "Login is not allowed: A tunnel with the same token (xxYYzzZ) is already active."
    )


def test_a_strangers_text_is_echoed_short_and_printable() -> None:
    assert echo("\x1b[2Jhi\n") == "?[2Jhi?"
    assert len(echo("x" * 500)) == 83
