"""
What a client's policy and the peace among tunnels change in the headers of a response.

A cookie for the service's own domain would be sent to every tunnel: by it one tunnel could set, or fill up, the cookies
of another.
"""

from __future__ import annotations

from collections.abc import Iterable

from pinggy.tunnel.argument_values import OF_THE_CONNECTION, OF_THE_WEBSOCKET
from pinggy.tunnel.policy import HeaderAction, HeaderRule

_OUT_OF_REACH = OF_THE_CONNECTION | OF_THE_WEBSOCKET


def ruled(headers: list[tuple[str, str]], rules: Iterable[HeaderRule]) -> list[tuple[str, str]]:
    """*headers* after the client's *rules*, in their order (ssh-interface, A: R: U:)."""
    headers = list(headers)
    for rule in rules:
        name = rule.name.lower()
        if name in _OUT_OF_REACH:
            continue
        if rule.action is not HeaderAction.ADD:
            headers = [header for header in headers if header[0].lower() != name]
        if rule.action is not HeaderAction.REMOVE:
            headers.append((rule.name, rule.value))
    return headers


def own_cookie(cookie: str, domain: str) -> str:
    """
    The value of a Set-Cookie without each Domain attribute (RFC 6265 5.2.3) that names *domain*, which is normalised,
    or one above it. Without any the cookie is its host's alone.

    Read as generously as any browser reads it: blanks, dots and quotation marks around it, in upper or lower case.
    """
    pair, *attributes = cookie.split(";")
    kept = [attribute for attribute in attributes if not _is_shared(attribute, domain)]
    return cookie if len(kept) == len(attributes) else ";".join([pair, *kept])


def own_cookies(headers: list[tuple[str, str]], domain: str) -> list[tuple[str, str]]:
    """*headers* with each Set-Cookie as `own_cookie` has it."""
    return [
        (name, own_cookie(value, domain)) if len(name) == 10 and name.lower() == "set-cookie" else (name, value)
        for name, value in headers
    ]


def _is_shared(attribute: str, domain: str) -> bool:
    name, _, value = attribute.partition("=")
    if name.strip().lower() != "domain":
        return False
    named = value.strip(_AROUND).lower()
    return not named or f".{domain}".endswith(f".{named}")


# All that str.strip knows, and what may be put around a domain.
_AROUND = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\"'."
