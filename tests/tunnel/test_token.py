from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.tunnel.refusals import TokenMistyped
from pinggy.tunnel.token import new_token, parse_token


def test_a_new_token_is_read_back() -> None:
    token = new_token()
    assert parse_token(token.secret.reveal()) == token
    assert token.secret.reveal()[4:11] == token.prefix


def test_a_token_fits_a_user_name() -> None:
    text = new_token().secret.reveal()
    assert text.replace("-", "").isalnum()
    assert text.isascii()
    assert "+" not in text


def test_a_token_never_prints_its_secret() -> None:
    token = new_token()
    assert token.secret.reveal() not in repr(token)
    assert token.secret.reveal() not in f"{token.secret}"


def test_only_the_digest_of_the_whole_is_kept() -> None:
    token = new_token()
    assert token.digest == hashlib.sha256(token.secret.reveal().encode()).digest()


@pytest.mark.parametrize("name", ["", "alice", "root", "pgy", "PGY-abc", "jenkins-ci"])
def test_a_login_name_is_nobodys(name: str) -> None:
    assert parse_token(name) is None


@given(st.data())
def test_a_mistyped_token_is_told_from_a_login_name(data: st.DataObject) -> None:
    text = new_token().secret.reveal()
    at = data.draw(st.integers(min_value=4, max_value=len(text) - 1))
    letter = data.draw(st.sampled_from("0123456789abcxyzABCXYZ-+ ü"))
    typed = data.draw(st.sampled_from([text[:at], text[:at] + letter + text[at + 1 :], text + letter]))
    if typed != text:
        with pytest.raises(TokenMistyped):
            parse_token(typed)
