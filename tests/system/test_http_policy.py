"""
What the words behind the host do to HTTP visitors; and what the local server is told about them without any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.support.local_servers import WebServer
from tests.support.openssh import ssh
from tests.support.public import ask, curl, status
from tests.support.service import Service

SPOOFED = (
    *("--header", "X-Forwarded-For: 6.6.6.6", "--header", "x-forwarded-proto: gopher"),
    *("--header", "X-FORWARDED-HOST: evil.example", "--header", "Forwarded: for=6.6.6.6"),
    *("--header", "X_Forwarded_For: 6.6.6.6", "--header", "X-Pinggy-Url: http://evil.example"),
    *("--header", "X-Real: kept"),
)


@contextmanager
def tunnel(service: Service, web: WebServer, *command: str) -> Iterator[tuple[str, str]]:
    """The http and the https URL of a tunnel with these words."""
    with ssh(service, "-T", f"-R0:localhost:{web.port}", command=command) as client:
        yield client.url("http"), client.url("https")


def everything(headers: dict[str, list[str]]) -> str:
    return str(headers)


# -- without words -----------------------------------------------------------------------------------------------


def test_the_local_server_is_told_of_the_visitor_and_nothing_that_he_made_up(service: Service, web: WebServer) -> None:
    with tunnel(service, web) as urls:
        for url in urls:
            scheme, netloc = urlsplit(url)[:2]
            headers = ask(service, url, *SPOOFED)["headers"]
            assert headers["x-forwarded-for"] == ["127.0.0.1"]
            assert headers["x-forwarded-proto"] == [scheme]
            assert headers["x-forwarded-host"] == [netloc]
            assert headers["forwarded"] == [f'for=127.0.0.1;host="{netloc}";proto={scheme}']
            assert headers["x-real"] == ["kept"]
            assert "x-pinggy-url" not in headers
            assert not any(word in everything(headers) for word in ("6.6.6.6", "evil", "gopher"))


def test_what_belongs_to_the_visitor_s_connection_does_not_pass(service: Service, web: WebServer) -> None:
    with tunnel(service, web) as (url, _):
        words = ("--header", "Connection: X-Private", "--header", "X-Private: 1", "--header", "Keep-Alive: 5")
        headers = ask(service, url, *words)["headers"]
        assert not {"x-private", "keep-alive", "connection"} & set(headers)


# -- words -------------------------------------------------------------------------------------------------------


def test_noreverseproxy_tells_nothing_and_lets_nothing_made_up_through(service: Service, web: WebServer) -> None:
    with tunnel(service, web, "x:noreverseproxy") as (url, _):
        headers = ask(service, url, *SPOOFED)["headers"]
        assert not any(name.startswith(("x-forwarded", "forwarded")) for name in headers)
        assert "6.6.6.6" not in everything(headers)


@pytest.mark.parametrize(("word", "name"), [("x:xff", "X-Forwarded-For"), ("x:xff:X-Client", "X-Client")])
def test_xff_names_the_visitor_in_a_header_of_choice(service: Service, web: WebServer, word: str, name: str) -> None:
    with tunnel(service, web, "x:noreverseproxy", word) as (url, _):
        headers = ask(service, url, "--header", f"{name}: 6.6.6.6")["headers"]
        assert headers[name.lower()] == ["127.0.0.1"]


@pytest.mark.parametrize("word", ["x:fullurl", "x:fullrequesturl", "x:FullUrl"])
def test_fullurl_says_what_was_asked(service: Service, web: WebServer, word: str) -> None:
    with tunnel(service, web, word) as urls:
        for url in urls:
            headers = ask(service, f"{url}/a/b?c=d", "--header", "X-Pinggy-Url: made up")["headers"]
            assert headers["x-pinggy-url"] == [f"{url}/a/b?c=d"]


def test_headers_are_added_removed_and_replaced_in_order(service: Service, web: WebServer) -> None:
    command = (
        *('"a:X-Added:one: two, three"', "a:X-Twice:1", "a:X-Twice:2", "r:User-Agent"),
        *("'u:X-Replaced:new value'", "u:Host:inner.example:8000", "a:X-Gone:1", "r:x-gone"),
    )
    with tunnel(service, web, *command) as (url, _):
        headers = ask(service, url, "--header", "X-Replaced: old", "--header", "X-Added: zero")["headers"]
        assert headers["x-added"] == ["zero", "one: two, three"]
        assert headers["x-twice"] == ["1", "2"]
        assert headers["x-replaced"] == ["new value"]
        assert headers["host"] == ["inner.example:8000"]
        assert headers["x-forwarded-host"] == [urlsplit(url).netloc]
        assert not {"user-agent", "x-gone"} & set(headers)


@pytest.mark.parametrize("word", ["x:https", "x:httpsonly", "x:HTTPS"])
def test_https_only_sends_plain_visitors_to_https(service: Service, web: WebServer, word: str) -> None:
    with tunnel(service, web, word) as (http, https):
        done = curl(service, "--include", f"{http}/a?b=c")
        head = done.stdout.decode().partition("\r\n\r\n")[0].split("\r\n")
        assert head[0] == "HTTP/1.1 301 Moved Permanently"
        assert f"Location: {https}/a?b=c" in head
        assert ask(service, f"{http}/a?b=c", "--location")["target"] == "/a?b=c"


CREDENTIALS: list[tuple[Sequence[str], Sequence[str], int]] = [
    # words, what curl adds, status
    (("b:user:pass",), (), 401),
    (("b:user:pass",), ("--user", "user:pass"), 200),
    (("b:user:pass",), ("--user", "user:PASS"), 401),
    (("b:user:pass",), ("--user", "user:"), 401),
    (('"b:user:pass"',), ("--user", "user:pass"), 200),
    (("'b:user:a b'",), ("--user", "user:a b"), 200),
    (("b:one:1", "b:two:2"), ("--user", "two:2"), 200),
    (("k:secret",), (), 401),
    (("k:secret",), ("--header", "Authorization: Bearer secret"), 200),
    (("k:secret",), ("--header", "Authorization: bearer secret"), 200),
    (("k:secret",), ("--header", "Authorization: Bearer other"), 401),
    (("k:secret",), ("--user", "secret:"), 401),
    (("b:user:pass", "k:secret"), ("--user", "user:pass"), 200),
    (("b:user:pass", "k:secret"), ("--header", "Authorization: Bearer secret"), 200),
    (("b:user:pass", "x:passpreflight"), ("--request", "OPTIONS", "--header", "Origin: http://x"), 401),
]


@pytest.mark.parametrize(("words", "added", "expected"), CREDENTIALS)
def test_credentials_are_asked_for_and_not_passed_on(
    service: Service, web: WebServer, words: Sequence[str], added: Sequence[str], expected: int
) -> None:
    with tunnel(service, web, *words) as urls:
        for url in urls:
            assert status(service, url, *added) == expected
        if expected == 200:
            assert "authorization" not in ask(service, urls[0], *added)["headers"]
        else:
            done = curl(service, "--include", *added, urls[0])
            assert b"\r\nWWW-Authenticate: " in done.stdout


def test_a_preflight_passes_a_lock_where_it_may(service: Service, web: WebServer) -> None:
    preflight = (
        *("--request", "OPTIONS", "--header", "Origin: http://app.example"),
        *("--header", "Access-Control-Request-Method: PUT"),
    )
    with tunnel(service, web, "b:user:pass", "x:passpreflight") as (url, _):
        headers = ask(service, url, *preflight)["headers"]
        assert headers["origin"] == ["http://app.example"]
        assert headers["access-control-request-method"] == ["PUT"]
        assert status(service, url) == 401
    with tunnel(service, web, "b:user:pass") as (url, _):
        assert status(service, url, *preflight) == 401


def test_without_a_lock_a_credential_is_the_local_server_s(service: Service, web: WebServer) -> None:
    with tunnel(service, web) as (url, _):
        assert ask(service, url, "--user", "a:b")["headers"]["authorization"] == ["Basic YTpi"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("w:127.0.0.1", 200),
        ("w:127.0.0.0/8", 200),
        ("w:10.0.0.0/8,127.0.0.1", 200),
        ("w:10.0.0.0/8", 0),
        ("w:::1", 0),
        ("w:2001:db8::/32,10.1.2.3", 0),
    ],
)
def test_only_whom_the_whitelist_names_get_an_answer(
    service: Service, web: WebServer, word: str, expected: int
) -> None:
    with tunnel(service, web, word) as urls:
        for url in urls:
            assert status(service, url) == expected


def test_the_whitelist_comes_before_the_lock(service: Service, web: WebServer) -> None:
    with tunnel(service, web, "w:10.0.0.0/8", "b:user:pass") as (url, _):
        assert status(service, url) == 0


def test_a_policy_holds_for_every_forwarding_of_the_connection(service: Service, web: WebServer) -> None:
    words = (f"-R0:localhost:{web.port}", f"-Rpolicy-two:1:localhost:{web.port}")
    with ssh(service, "-T", *words, user=service.new_token("policy"), command=("k:secret",)) as client:
        for url in [line or "" for line in client.next(4)]:
            assert status(service, url) == 401
            assert status(service, url, "--header", "Authorization: Bearer secret") == 200


def head_of(service: Service, url: str) -> tuple[str, list[tuple[str, str]]]:
    """The status line of the response, and its headers with their names in lower case."""
    first, *lines = curl(service, "--include", url).stdout.decode().partition("\r\n\r\n")[0].split("\r\n")
    parts = [line.partition(": ") for line in lines]
    return first, [(name.lower(), value) for name, _, value in parts]


def test_headers_of_responses_are_added_removed_and_replaced(service: Service, web: WebServer) -> None:
    command = (
        *("A:X-Frame-Options:DENY", "R:Server", "'U:Content-Type:text/plain; charset=utf-8'"),
        *("'A:Set-Cookie:all=1; Domain=a.localhost; Path=/'", "'A:Set-Cookie:mine=1; Path=/'"),
    )
    with tunnel(service, web, *command) as urls:
        for url in urls:
            _, headers = head_of(service, url)
            assert ("x-frame-options", "DENY") in headers
            assert [value for name, value in headers if name == "content-type"] == ["text/plain; charset=utf-8"]
            assert [value for name, value in headers if name == "set-cookie"] == ["all=1; Path=/", "mine=1; Path=/"]
            assert "server" not in dict(headers)


def test_who_asks_too_often_is_told_when_to_ask_again(service: Service, web: WebServer) -> None:
    with tunnel(service, web, "x:rate:2/h") as urls:
        assert [status(service, url) for url in urls] == [200, 200]
        for url in urls:
            status_line, headers = head_of(service, url)
            assert " 429 " in status_line
            assert 1700 < int(dict(headers)["retry-after"]) <= 1800


def test_who_guesses_is_not_listened_to_after_a_while(service: Service, web: WebServer) -> None:
    with tunnel(service, web, "b:user:pass") as (url, https):
        said = curl(service, *("--user", "user:wrong", "--write-out", "%{http_code} "), *[url] * 12).stdout
        assert said.count(b"401 ") == 10
        assert said.count(b"429 ") == 2
        assert status(service, https, "--user", "user:pass") == 429
        assert status(service, https) == 401


@pytest.mark.parametrize("how", [(), ("--header", "Transfer-Encoding: chunked"), ("--header", "Expect: 100-continue")])
def test_content_over_the_limit_is_refused(service: Service, web: WebServer, how: Sequence[str]) -> None:
    with tunnel(service, web, "x:limit:100k") as urls:
        for url, size, expected in ((urls[0], 102_400, 200), (urls[0], 102_401, 413), (urls[1], 300_000, 413)):
            words = ("--request", "PUT", "--data-binary", "@-", "--write-out", "%{http_code}", *how)
            done = curl(service, *words, f"{url}/digest", data=bytes(size), check=False)
            assert done.stdout.endswith(str(expected).encode())
