from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.settings import Secret
from pinggy.tunnel.policy import (
    BasicAuth,
    HeaderAction,
    HeaderRule,
    Policy,
    ProxyProtocol,
    parse_policy,
    split_command,
    unserved,
)
from pinggy.tunnel.refusals import Refusal, TooLong, UnknownArgument


def policy(*words: str) -> Policy:
    return parse_policy(words)


def test_no_words_are_the_defaults() -> None:
    assert policy() == Policy()


def test_the_exec_string_is_split_as_a_shell_does() -> None:
    assert split_command(rb"""\"b:user:pass\" 'a:X: a b' x:https""") == ('"b:user:pass"', "a:X: a b", "x:https")
    assert split_command(b'"b:user:pass" w:10.0.0.0/8') == ("b:user:pass", "w:10.0.0.0/8")


def test_header_rules_keep_their_order_and_their_colons() -> None:
    assert policy("a:X-Time:12:30", "r:Cookie", "u:Host:example.org").headers == (
        HeaderRule(HeaderAction.ADD, "X-Time", "12:30"),
        HeaderRule(HeaderAction.REMOVE, "Cookie"),
        HeaderRule(HeaderAction.UPDATE, "Host", "example.org"),
    )


def test_credentials_are_repeatable_and_never_print() -> None:
    read = policy("b:ann:tulip", "b:bob:", "k:sesame")
    assert read.basic == (BasicAuth("ann", Secret("tulip")), BasicAuth("bob", Secret("")))
    assert read.bearer == (Secret("sesame"),)
    assert "tulip" not in repr(read)
    assert "sesame" not in repr(read)


def test_options() -> None:
    read = policy("x:https", "x:xff:X-Real-IP", "x:fullurl", "x:passpreflight", "x:noreverseproxy", "x:haproxy:v2")
    assert read == Policy(
        https_only=True,
        xff="X-Real-IP",
        full_url=True,
        pass_preflight=True,
        reverse_proxy=False,
        haproxy=ProxyProtocol.V2,
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x:https", "x:httpsonly"),
        ("x:fullurl", "x:fullrequesturl"),
        ("x:localServerTls", "x:localservertls:localhost"),
        ("x:passpreflight", "x:allowpreflight"),
        ("x:xff", "x:xff:X-Forwarded-For"),
        ("x:haproxy", "x:haproxy:v1"),
    ],
)
def test_two_ways_to_say_the_same(one: str, other: str) -> None:
    assert policy(one) == policy(other)


@pytest.mark.parametrize(
    "word",
    [
        "foo",
        "x:",
        "x:bogus",
        "x:https:1",
        "x:haproxy:v3",
        "x:xff:bad name",
        "x:localServerTls:-",
        "a:X",
        "a:bad name:v",
        "a:X:line\r\nbreak",
        "a:X:nul\0",
        "a:Host:x",
        "r:Host",
        "r:host",
        "r:",
        "u:X",
        "b:useronly",
        "b:a:b:c",
        "b::p",
        "k:",
        "w:",
        "w:1.2.3.4/33",
        "w:example.org",
        "w:10.0.0.1,,10.0.0.2",
        "A:X:y",
    ],
)
def test_other_words_are_refused_with_a_sentence(word: str) -> None:
    with pytest.raises(UnknownArgument) as raised:
        policy(word)
    assert raised.value.text.isprintable()


def test_the_sentence_names_the_word_but_never_a_password() -> None:
    with pytest.raises(UnknownArgument, match="'x:bogus'"):
        policy("x:bogus")
    with pytest.raises(UnknownArgument) as raised:
        policy("b:user:hunter2:more")
    assert "hunter2" not in raised.value.text


def test_the_whitelist_admits_addresses_and_networks_of_both_families() -> None:
    read = policy("w:198.51.100.7,10.0.0.0/8", "w:2001:db8::/32")
    for inside in ("198.51.100.7", "10.9.8.7", "2001:db8::1", "::ffff:10.0.0.1"):
        assert read.admits(ipaddress.ip_address(inside))
    for outside in ("198.51.100.8", "11.0.0.1", "2001:db9::1", "::ffff:11.0.0.1"):
        assert not read.admits(ipaddress.ip_address(outside))


def test_no_whitelist_admits_everybody() -> None:
    assert policy().admits(ipaddress.ip_address("192.0.2.1"))


def test_options_that_are_not_in_force_are_named() -> None:
    assert unserved(policy("x:https")) is None
    assert unserved(policy("x:haproxy")) == "x:haproxy"
    assert unserved(policy("x:localServerTls")) == "x:localServerTls"


@pytest.mark.parametrize(
    ("command", "refusal"),
    [(b"x" * 20000, TooLong), (b"a " * 300, TooLong), (b"'open", UnknownArgument), (b"\xff", UnknownArgument)],
)
def test_commands_that_cannot_be_split(command: bytes, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        split_command(command)


@given(st.binary(max_size=200))
def test_a_strangers_command_is_a_policy_or_a_sentence(command: bytes) -> None:
    try:
        parse_policy(split_command(command))
    except Refusal as refusal:
        assert refusal.text.isprintable()
