"""
Passwords and keys of a policy against the Authorization of a request.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.credentials import challenges, is_asked_for, is_preflight, is_try, passes
from pinggy.http.head import RequestHead, parse_request
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.policy import Policy

POLICY = parse_policy(("b:ada:lovelace", "b:chloé:sésame", "k:first", "k:second", "k:clé"))


def basic(text: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(text.encode(encoding)).decode()


def request(*headers: str, method: str = "GET") -> RequestHead:
    return parse_request("\r\n".join([f"{method} / HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1"))


@pytest.mark.parametrize(
    "credential",
    [
        basic("ada:lovelace"),
        basic("ada:lovelace").replace("Basic", "BASIC"),
        basic("ada:lovelace").replace("Basic", "basic "),
        basic("chloé:sésame"),
        basic("chloé:sésame", "latin-1"),
        "Bearer cl\xe9",
        "Bearer cl\xc3\xa9",
        "Bearer first",
        "bearer second",
    ],
)
def test_one_of_them_suffices(credential: str) -> None:
    assert passes(request(f"Authorization: {credential}"), POLICY)


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "Basic",
        "Basic ",
        "Bearer",
        "Bearer first second",
        "Bearer firs",
        "Bearer First",
        "first",
        basic("ada:love"),
        basic("ada:lovelace2"),
        basic("ada:lovelace\0"),
        basic("chloé:sésame", "utf-16"),
        basic("chloe:sesame"),
        "Bearer cle",
        basic("ada:"),
        basic("ada"),
        basic(":lovelace"),
        basic("first"),
        basic("ada:lovelace") + "!",
        basic("ada:lovelace")[:-1],
        "Basic \xe9",
        "Bearer \xe9",
        "Digest first",
    ],
)
def test_nothing_else_does(credential: str) -> None:
    assert not passes(request(f"Authorization: {credential}"), POLICY)


_WORDS = st.text(st.characters(codec="utf-8", exclude_characters=":\0\r\n", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(st.tuples(_WORDS, _WORDS), min_size=1, max_size=20), st.lists(_WORDS, max_size=20), st.data())
def test_each_of_many_passes_whatever_its_place_and_length(
    users: list[tuple[str, str]], keys: list[str], data: st.DataObject
) -> None:
    policy = parse_policy((*(f"b:{user}:{password}" for user, password in users), *(f"k:{key}" for key in keys)))
    user, password = data.draw(st.sampled_from(users))
    assert passes(request(f"Authorization: {basic(f'{user}:{password}')}"), policy)
    wrong = data.draw(_WORDS)
    assert passes(request(f"Authorization: {basic(f'{user}:{wrong}')}"), policy) is ((user, wrong) in users)


def test_what_counts_as_a_try() -> None:
    assert not is_try(request("Proxy-Authorization: Basic x"))
    assert is_try(request("authorization: Digest x"))
    assert is_try(request("Authorization:"))


def test_two_credentials_are_none() -> None:
    assert not passes(request("Authorization: Bearer first", "authorization: Bearer first"), POLICY)
    assert not passes(request(), POLICY)


def test_a_password_is_no_key_and_a_key_no_password() -> None:
    assert not passes(request("Authorization: Bearer ada:lovelace"), POLICY)
    assert not passes(request(f"Authorization: {basic('a:b')}"), parse_policy(("k:a:b",)))


def test_what_is_asked_for() -> None:
    assert is_asked_for(POLICY)
    assert not is_asked_for(Policy())
    assert challenges(POLICY, "shop") == (
        ("WWW-Authenticate", 'Basic realm="shop", charset="UTF-8"'),
        ("WWW-Authenticate", 'Bearer realm="shop"'),
    )
    assert challenges(parse_policy(("k:a",)), "shop") == (("WWW-Authenticate", 'Bearer realm="shop"'),)


def test_preflights() -> None:
    asked = ("Origin: http://y", "access-control-request-method: PUT")
    assert is_preflight(request(*asked, method="OPTIONS"))
    assert not is_preflight(request(*asked))
    assert not is_preflight(request(asked[0], method="OPTIONS"))
    assert not is_preflight(request(asked[1], method="OPTIONS"))
    # What browsers send has no content, and asks for no other protocol.
    assert not is_preflight(request(*asked, "Content-Length: 1", method="OPTIONS"))
    assert not is_preflight(request(*asked, "Transfer-Encoding: chunked", method="OPTIONS"))
    assert not is_preflight(request(*asked, "Connection: upgrade", "Upgrade: websocket", method="OPTIONS"))
