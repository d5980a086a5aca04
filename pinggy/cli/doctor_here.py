"""
A tunnel as it looks from where the command runs: whither its host leads, and whether the edge's port is open. That is
for information: what is wrong here may be the way from here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace

import dns.exception
import dns.resolver

from pinggy.wire.doctor import Address, Diagnosis, Finding, Section, State

# Seconds for an answer of the resolver, and for a connection.
_PATIENCE = 3.0
# Hosts that are looked for, one after the other.
_MOST = 5


def seen_from_here(diagnosis: Diagnosis, https_port: int, resolver: dns.resolver.Resolver | None = None) -> Diagnosis:
    """
    *diagnosis* with a further section. *https_port* is where hosts without a port of their own are visited; *resolver*
    is the machine's own, if no other is given.
    """
    findings: list[Finding] = []
    tried: set[tuple[str, int]] = set()
    for each in diagnosis.addresses[:_MOST]:
        findings.append(_led(each, resolver))
        ways = [(address, each.port or https_port) for address in each.addresses]
        findings += [_open(*way) for way in ways if way not in tried]
        tried.update(ways)
    if not findings:
        return diagnosis
    seen = Section(title="From here, for information", findings=tuple(findings))
    return replace(diagnosis, sections=(*diagnosis.sections, seen))


def _led(address: Address, resolver: dns.resolver.Resolver | None) -> Finding:
    try:
        found = sorted(_resolve(address.host, resolver or dns.resolver.Resolver()))
    except dns.exception.DNSException as error:
        why = str(error) or type(error).__name__
        return _note(
            "here-name", f"The resolver of this machine knows no address of {address.host}: {why}", address.host
        )
    text = f"The resolver of this machine leads {address.host} to {', '.join(found)}"
    if set(found) & set(address.addresses):
        return _note("here-name", f"{text}, where its edge is.", address.host)
    return _note("here-name", f"{text}; its edge is at {', '.join(address.addresses)}.", address.host)


def _resolve(host: str, resolver: dns.resolver.Resolver) -> Iterable[str]:
    """Its IPv4 addresses, or without any its IPv6 ones. Raises DNSException."""
    resolver.lifetime = _PATIENCE
    for kind in ("A", "AAAA"):
        answer = resolver.resolve(host + ".", kind, raise_on_no_answer=False)
        if answer.rrset is not None:
            return [record.address for record in answer]
    raise dns.resolver.NoAnswer(response=answer.response)


def _open(address: str, port: int) -> Finding:
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        with closing(socket.create_connection((address, port), _PATIENCE)):
            return _note("here-port", f"A connection to {where} was taken.", where)
    except OSError as error:
        return _note("here-port", f"A connection to {where} was not taken: {error.strerror or error}.", where)


def _note(check: str, text: str, subject: str) -> Finding:
    return Finding(check=check, state=State.NOTE, text=text, subject=subject)
