"""
Header rules for responses, and cookies that one tunnel may not set for another.
"""

from __future__ import annotations

from email.message import Message
from http.cookiejar import CookieJar
from io import BytesIO
from urllib.request import Request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.response_rules import own_cookie, own_cookies, ruled
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.policy import HeaderAction, HeaderRule

DOMAIN = "tunnels.a.example"


def rules(*words: str) -> tuple[HeaderRule, ...]:
    return parse_policy(words).response_headers


# -- rules ------------------------------------------------------------------------------------------------------------

HEADERS = [("Server", "x"), ("Content-Type", "text/plain"), ("server", "y"), ("Content-Length", "3")]


def test_rules_add_remove_and_replace_in_their_order() -> None:
    assert ruled(HEADERS, rules("A:X:1", "A:X:2")) == [*HEADERS, ("X", "1"), ("X", "2")]
    assert ruled(HEADERS, rules("R:SERVER")) == [HEADERS[1], HEADERS[3]]
    assert ruled(HEADERS, rules("U:server:z")) == [HEADERS[1], HEADERS[3], ("server", "z")]
    assert ruled(HEADERS, rules("A:X:1", "R:x", "A:x:2", "R:Server", "A:Server:z")) == [
        *(HEADERS[1], HEADERS[3]),
        *(("x", "2"), ("Server", "z")),
    ]
    assert ruled(HEADERS, ()) == HEADERS


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "Sec-WebSocket-Accept"])
@pytest.mark.parametrize("action", HeaderAction)
def test_no_rule_reaches_what_says_where_a_message_ends(action: HeaderAction, name: str) -> None:
    headers = [(name, "3"), ("X", "y")]
    assert ruled(headers, [HeaderRule(action, name, "4")]) == headers


# -- cookies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attribute",
    [
        "Domain=tunnels.a.example",
        "Domain=.tunnels.a.example",
        "Domain=..tunnels.a.example",
        "Domain=tunnels.a.example.",
        "Domain=a.example",
        "Domain=.a.example",
        "Domain=example",
        "Domain=.",
        "Domain=",
        "Domain",
        "domain=TUNNELS.A.EXAMPLE",
        "DOMAIN=Tunnels.a.Example",
        "  domain\t=  tunnels.a.example \t",
        'Domain="tunnels.a.example"',
        'Domain=" .a.example "',
        "Domain='a.example'",
        "Domain=\xa0a.example",
    ],
)
def test_a_domain_that_all_tunnels_share_is_taken_off(attribute: str) -> None:
    for before in ("", "; Path=/", "; Domain=shop.tunnels.a.example"):
        for behind in ("", "; Secure", "; HttpOnly; Max-Age=3"):
            assert own_cookie(f"a=b{before}; {attribute}{behind}", DOMAIN) == f"a=b{before}{behind}"
    assert own_cookie(f"a=b;{attribute};{attribute};Domain=a.example;Secure", DOMAIN) == "a=b;Secure"


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "a=b",
        "a=b; Path=/; Secure; HttpOnly",
        "a=b; Domain=shop.tunnels.a.example",
        "a=b; Domain=.shop.tunnels.a.example",
        "a=b; Domain=other.example",
        "a=b; Domain=le",
        "a=b; Domain=xtunnels.a.example",
        "a=b; Domain=s.a.example",
        "Domain=a.example",
        "a=Domain=a.example; Path=/",
        "a=b; Path=/domain=a.example",
        "a=b; XDomain=a.example",
        "a=b;;  ; Path=/",
    ],
)
def test_every_other_cookie_passes_as_it_is(cookie: str) -> None:
    assert own_cookie(cookie, DOMAIN) == cookie


def test_only_cookies_are_looked_at() -> None:
    shared = "a=b; Domain=a.example"
    headers = [("X-Set-Cookie", shared), ("Set-Cookie2", shared), ("Server-Name", shared)]
    assert own_cookies(headers, DOMAIN) == headers
    assert own_cookies([("SET-cookie", shared), ("Set-Cookie", shared)], DOMAIN) == [
        ("SET-cookie", "a=b"),
        ("Set-Cookie", "a=b"),
    ]


def test_a_cookie_that_a_rule_adds_is_no_exception() -> None:
    headers = ruled([], rules("A:Set-Cookie:a=b; Domain=a.example"))
    assert own_cookies(headers, DOMAIN) == [("Set-Cookie", "a=b")]


_BLANK = st.sampled_from(["", " ", "\t"])
_NAMED = st.tuples(
    *(
        st.sampled_from([";", "; "]),
        st.sampled_from(["Domain", "domain", "DOMAIN", "Path"]),
        _BLANK,
        st.just("="),
        _BLANK,
    ),
    *(st.sampled_from(["", '"', "."]), st.sampled_from(["", DOMAIN, DOMAIN.upper(), "a.example", "example", "/"])),
    *(st.sampled_from(["", '"', "."]), _BLANK),
).map("".join)


@given(st.lists(_NAMED | st.sampled_from([";", "; Secure", ",", '"']), max_size=5).map("".join))
def test_no_other_tunnel_is_sent_the_cookie(attributes: str) -> None:
    """As the cookie jar of Python reads it, which keeps to older rules than browsers and is more generous."""
    assert not _sent_elsewhere(own_cookie("a=b" + attributes, DOMAIN))


def test_without_this_it_would_be_sent() -> None:
    assert _sent_elsewhere(f"a=b; Domain={DOMAIN}")
    assert _sent_elsewhere("a=b; Path=/; domain = .A.Example")


def _sent_elsewhere(cookie: str) -> bool:
    """Whether hosts get the cookie that are not that of the tunnel which has set it."""
    jar = CookieJar()
    jar.extract_cookies(_Response(cookie), Request(f"https://shop.{DOMAIN}/"))  # type: ignore[arg-type]
    elsewhere = [Request(f"https://{host}/") for host in (f"other.{DOMAIN}", DOMAIN, "a.example", "www.a.example")]
    for request in elsewhere:
        jar.add_cookie_header(request)
    return any(request.has_header("Cookie") for request in elsewhere)


class _Response(BytesIO):
    """As much of a response as a cookie jar looks at."""

    def __init__(self, cookie: str) -> None:
        super().__init__()
        self._headers = Message()
        self._headers["Set-Cookie"] = cookie

    def info(self) -> Message:
        return self._headers
