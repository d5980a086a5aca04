from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.settings import Secret
from pinggy.tunnel.arguments import OPTIONS, check_suits, parse_policy, split_command
from pinggy.tunnel.policy import BasicAuth, HeaderAction, HeaderRule, Policy, ProxyProtocol, Rate
from pinggy.tunnel.refusals import Refusal, TooLong, UnknownArgument
from pinggy.tunnel.request import Kind


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
        "x:localServerTls:a..b",
        "x:localServerTls:a.-b",
        "x:localServerTls:" + "a" * 64,
        "x:localServerTls:" + "a." * 126 + "ab",
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
        "X:https",
        "B:user:pass",
        "x:xff:",
        "x:haproxy:",
        "a:X:bell\x07",
        "a:X:\u4e00",
        "u:Host:not a host",
        "u:Host:",
        "k: key",
        "x:rate",
        "x:rate:10",
        "x:rate:0/s",
        "x:rate:-1/s",
        "x:rate:1.5/s",
        "x:rate:1000001/s",
        "x:rate:1/d",
        "x:limit",
        "x:limit:0",
        "x:limit:-1",
        "x:limit:1.5m",
        "x:limit:10t",
        "x:limit:1025g",
        "x:h2:1",
        "A:X",
        "R:",
        "R:bad name",
        "U:X",
        "A:X:line\r\nbreak",
    ],
)
def test_other_words_are_refused_with_a_sentence(word: str) -> None:
    with pytest.raises(UnknownArgument) as raised:
        policy(word)
    assert raised.value.text.isprintable()
    assert raised.value.text.count(". ") >= 1, "what is wrong, and what to write"


def test_the_sentence_names_the_word_but_never_a_password() -> None:
    with pytest.raises(UnknownArgument, match="'x:bogus'"):
        policy("x:bogus")
    for word in ("b:user:hunter2:more", "b::hunter2", "B:user:hunter2", "K:hunter2", "k: hunter2", "auth:user:hunter2"):
        with pytest.raises(UnknownArgument) as raised:
            policy(word)
        assert "hunter2" not in raised.value.text
        assert f"'{word.partition(':')[0]}:'" in raised.value.text


def test_words_that_were_torn_apart_are_told_so() -> None:
    with pytest.raises(UnknownArgument) as raised:
        parse_policy(split_command(b"x:https u:X-Served-By:my laptop"))
    assert raised.value.text.startswith(
        "'laptop' is not an option of this service. If it belongs to what stands before"
    )
    assert "\"'u:Name:Value'\"" in raised.value.text
    for command in (b"b:ann:my hunter2", b"k:my hunter2", b"k:my hunter2:x"):
        with pytest.raises(UnknownArgument) as raised:
            parse_policy(split_command(command))
        assert raised.value.text.startswith(f"The word behind '{command[:2].decode()}' is not an option")
        assert "hunter2" not in raised.value.text
    for command in (b"laptop", b"x:https laptop", b"a:X:y lap:top"):
        with pytest.raises(UnknownArgument, match="Options begin with"):
            parse_policy(split_command(command))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("x:https:1", "'x:https:1' takes nothing behind it. Write x:https."),
        ("a:X", "'a:X' has no value. Write a:Name:Value."),
        ("r:Host", "'r:Host' is refused: a request has one Host, always. Write u:Host:Value to change it."),
        ("x:haproxy:v3", "'x:haproxy:v3' has no version of the PROXY protocol. Write x:haproxy:v1 or x:haproxy:v2."),
        ("X:https", "'X:' is not an option of this service. Write x: in lower case."),
        ("b:ann", "'b:' needs a user and a password, neither with a colon. Write b:user:pass."),
    ],
)
def test_the_sentence_says_what_to_write(word: str, sentence: str) -> None:
    with pytest.raises(UnknownArgument) as raised:
        policy(word)
    assert raised.value.text == sentence


def test_the_whitelist_admits_addresses_and_networks_of_both_families() -> None:
    read = policy("w:198.51.100.7,10.0.0.0/8", "w:2001:db8::/32")
    for inside in ("198.51.100.7", "10.9.8.7", "2001:db8::1", "::ffff:10.0.0.1"):
        assert read.admits(ipaddress.ip_address(inside))
    for outside in ("198.51.100.8", "11.0.0.1", "2001:db9::1", "::ffff:11.0.0.1"):
        assert not read.admits(ipaddress.ip_address(outside))


def test_no_whitelist_admits_everybody() -> None:
    assert policy().admits(ipaddress.ip_address("192.0.2.1"))


def test_a_whitelist_of_mapped_addresses_is_one_of_what_they_stand_for() -> None:
    read = policy("w:::ffff:10.0.0.0/104")
    assert read.admits(ipaddress.ip_address("10.9.8.7"))
    assert not read.admits(ipaddress.ip_address("11.9.8.7"))


def test_rules_for_responses_are_written_with_capitals() -> None:
    read = policy("A:X-Frame-Options:DENY", "R:Server", "U:Cache-Control:no-store, max-age=0", "a:X:y")
    assert read.headers == (HeaderRule(HeaderAction.ADD, "X", "y"),)
    assert read.response_headers == (
        HeaderRule(HeaderAction.ADD, "X-Frame-Options", "DENY"),
        HeaderRule(HeaderAction.REMOVE, "Server"),
        HeaderRule(HeaderAction.UPDATE, "Cache-Control", "no-store, max-age=0"),
    )


@pytest.mark.parametrize(
    ("word", "rate"),
    [("x:rate:5/s", Rate(5, 1)), ("x:rate:100/m", Rate(100, 60)), ("x:RATE:1000000/H", Rate(1_000_000, 3600))],
)
def test_rates(word: str, rate: Rate) -> None:
    assert policy(word).rate == rate


@pytest.mark.parametrize(
    ("word", "limit"),
    [("x:limit:1", 1), ("x:limit:64k", 65536), ("x:limit:10M", 10 * 1024**2), ("x:limit:1024g", 1024**4)],
)
def test_limits(word: str, limit: int) -> None:
    assert policy(word).limit == limit


def test_of_an_option_that_is_said_twice_the_last_one_holds() -> None:
    assert policy("x:rate:1/s", "x:rate:2/m", "x:xff:A", "x:xff") == Policy(rate=Rate(2, 60), xff="X-Forwarded-For")


def test_what_surrounds_a_value_is_no_part_of_it() -> None:
    assert policy("a:X: one two \t").headers[0].value == "one two"


@pytest.mark.parametrize("word", [word for option in OPTIONS for word in option.words])
def test_an_option_takes_what_its_form_says(word: str) -> None:
    [option] = [option for option in OPTIONS if word in option.words]
    example = {
        ":Name:Value": ":X:y",
        ":Name": ":X",
        ":user:pass": ":u:p",
        ":NET[,NET...]": ":10.0.0.0/8,::1",
        "[:v1|:v2]": ":v2",
        ":N/s": ":5/s",
        ":SIZE": ":5m",
    }.get(option.form, option.form.strip("[]"))
    assert policy(word + example) != Policy()
    if option.form:
        with pytest.raises(UnknownArgument, match="lacks what belongs behind it"):
            policy(word + ":")
    if not option.form.startswith(":"):
        assert policy(word) != Policy()


def test_tls_that_is_passed_unread_is_not_wrapped() -> None:
    for kind in (Kind.HTTP, Kind.TCP, Kind.TLSTCP):
        check_suits(policy("x:localServerTls"), kind)
    check_suits(policy("x:haproxy"), Kind.TLS)
    with pytest.raises(UnknownArgument, match="type tls"):
        check_suits(policy("x:localServerTls"), Kind.TLS)


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


@given(
    st.sampled_from(["b", "k", "B", "K", "bb", "auth"]),
    st.lists(st.sampled_from(["hunter2", ":", " ", "ann", "\u4e00"]), max_size=6).map("".join),
)
def test_no_sentence_shows_what_may_be_a_password(word: str, behind: str) -> None:
    try:
        policy(f"{word}:{behind}")
    except UnknownArgument as refusal:
        assert "hunter2" not in refusal.text
        assert f"'{word}:'" in refusal.text
