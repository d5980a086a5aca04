"""
What is changed in a head on its way: to the local server, and back to the visitor.

Each hop has its own connection (RFC 9110 7.6.1), so its headers are taken off and ours put on. What a visitor says
about himself (Forwarded and its kin) is dropped: the local server shall be able to believe those headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pinggy.http.head import OF_THE_VISITOR, RequestHead, ResponseHead
from pinggy.http.response_rules import own_cookie, own_cookies, ruled
from pinggy.tunnel.policy import HeaderAction, HeaderRule, Policy

# TE goes too: it is a promise of this connection's. Trailers pass all the same; whom HTTP/2 is spoken to or another
# edge is promised them again, if the visitor takes them.
Headers = list[tuple[str, str]]

_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"})
# Neither Connection nor a rule of the client may take away what says where a message goes and where it ends.
_KEPT = frozenset({"host", "content-length"})
_DROPPED = _HOP | OF_THE_VISITOR
_HOP_AND_COOKIES = _HOP | {"set-cookie"}
_OUT_OF_REACH = _HOP | {"content-length", "trailer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """How the visitor came: his *address* in text, and whether by TLS (*secure*)."""

    address: str
    secure: bool

    @property
    def scheme(self) -> str:
        return "https" if self.secure else "http"


def request_for_server(head: RequestHead, policy: Policy, visit: Visit, *, preflight: bool = False) -> Headers:
    """
    The headers as the local server reads them, without those of a connection.

    A *preflight* that passes untouched (x:passpreflight) keeps its head but for what belongs to the hop and what
    would speak of the visitor in our name.
    """
    dropped = _dropped(head, policy, preflight)
    # Those that nobody has anything against are not looked at one by one.
    headers = list(head.headers) if head.plain and dropped is _DROPPED else _end_to_end(head.headers, dropped)
    if not preflight:
        headers += _about(head, policy, visit)
        if policy.headers:
            headers = _ruled(headers, policy.headers)
    return headers


def request_for_peer(head: RequestHead) -> Headers:
    """
    The headers as another edge reads them: as they came, but for what belongs to the hop. What the visitor says about
    himself is judged there.
    """
    dropped = _HOP | (head.named - _KEPT)
    if head.version == "1.0":
        dropped |= {"expect"}
    headers = [header for header in head.headers if header[0].lower() not in dropped]
    if takes_trailers(head):
        # RFC 9110 10.1.4: the other edge passes it on to a local server that speaks HTTP/2.
        headers.append(("TE", "trailers"))
    return headers


def takes_trailers(head: RequestHead) -> bool:
    """Whether the visitor has said that he reads trailers, or speaks gRPC, which cannot do without."""
    for name, value in head.headers:
        lower = name.lower()
        if lower == "te":
            if any(each.strip(" \t").lower() == "trailers" for each in value.split(",")):
                return True
        elif lower == "content-type" and value.lower().startswith("application/grpc"):
            return True
    return False


def response_for_visitor(head: ResponseHead, policy: Policy, domain: str) -> Headers:
    """
    The headers as the visitor reads them, without those of a connection: by the rules of *policy*, and without a cookie
    for all tunnels under *domain* (`response_rules`). An interim response takes no rules, but that of another protocol.
    """
    headers = _response(head, domain)
    if policy.response_headers and (head.status >= 200 or head.status == 101):
        return own_cookies(ruled(headers, policy.response_headers), domain)
    return headers


def response_from_peer(head: ResponseHead) -> Headers:
    """The same for what has come by another edge, which has seen to the rest."""
    return _response(head, None)


def _response(head: ResponseHead, domain: str | None) -> Headers:
    if head.plain and head.status >= 200 and head.status != 204:
        return list(head.headers)
    looked_at = _HOP_AND_COOKIES
    if head.named:
        looked_at = looked_at | (head.named - _KEPT)
    if head.status == 204 or head.status < 200:
        # RFC 9110 8.6: not here, though some servers send it.
        looked_at = looked_at | {"content-length"}
    kept = []
    for header in head.headers:
        lower = header[0].lower()
        if lower in looked_at or ("_" in lower and _alias(lower) in looked_at | _KEPT):
            if lower != "set-cookie" or lower in head.named:
                continue
            if domain is not None:
                header = (header[0], own_cookie(header[1], domain))
        kept.append(header)
    return kept


def _dropped(head: RequestHead, policy: Policy, preflight: bool) -> frozenset[str]:
    dropped = _DROPPED
    if not head.plain and head.named:
        dropped = dropped | (head.named - _KEPT)
    if policy.xff is not None:
        dropped = dropped | {policy.xff.lower(), _alias(policy.xff.lower())}
    if (policy.basic or policy.bearer) and not preflight:
        # The credential has passed; it was for us.
        dropped = dropped | {"authorization"}
    if head.version == "1.0":
        # RFC 9110 10.1.1: an HTTP/1.0 visitor could not read the 100 that this asks for.
        dropped = dropped | {"expect"}
    return dropped


def _end_to_end(headers: Sequence[tuple[str, str]], dropped: frozenset[str]) -> Headers:
    kept = []
    for header in headers:
        lower = header[0].lower()
        if lower in dropped or ("_" in lower and _alias(lower) in dropped | _KEPT):
            continue
        kept.append(header)
    return kept


def _alias(name: str) -> str:
    """CGI, WSGI and their kin read ``X_Forwarded_For`` as ``X-Forwarded-For``."""
    return name.replace("_", "-")


def _about(head: RequestHead, policy: Policy, visit: Visit) -> Headers:
    """What we say about the visitor and his request."""
    said = []
    if policy.reverse_proxy:
        said += [
            ("X-Forwarded-For", visit.address),
            ("X-Forwarded-Host", head.host),
            ("X-Forwarded-Proto", visit.scheme),
            ("Forwarded", f"for={_node(visit.address)};host={_quoted(head.host)};proto={visit.scheme}"),
        ]
    if policy.xff is not None and not (policy.reverse_proxy and policy.xff.lower() == "x-forwarded-for"):
        said.append((policy.xff, visit.address))
    if policy.full_url:
        path = "" if head.target == "*" else head.target
        said.append(("X-Pinggy-Url", f"{visit.scheme}://{head.host}{path}"))
    return said


def _node(address: str) -> str:
    """RFC 7239 6: an IPv6 address in brackets, and quoted for its colons."""
    return f'"[{address}]"' if ":" in address else address


def _quoted(host: str) -> str:
    """RFC 7239 4: a token, or quoted. A Host that was let in has no quotation mark and no backslash."""
    return f'"{host}"' if ":" in host else host


def _ruled(headers: Headers, rules: Iterable[HeaderRule]) -> Headers:
    """
    The client's rules in their order (ssh-interface, a: r: u:); Host keeps its place, and there is always one. With a
    header go those that a local server may take for it: a visitor shall not say by them what the client has taken away.
    """
    for rule in rules:
        name = rule.name.lower()
        if name in _OUT_OF_REACH:
            continue
        if name == "host":
            if rule.action is HeaderAction.UPDATE:
                headers = [(key, rule.value) if key.lower() == "host" else (key, value) for key, value in headers]
            continue
        if rule.action is not HeaderAction.ADD:
            removed = _alias(name)
            headers = [header for header in headers if _alias(header[0].lower()) != removed]
        if rule.action is not HeaderAction.REMOVE:
            headers.append((rule.name, rule.value))
    return headers
