"""
The body of a PATCH to changes: each RRset is held to its proof. Pure.

Everything here comes from strangers. What is wrong with the whole is `Malformed`; what is wrong with one name refuses
that name alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pinggy.dns.powerdns.changes import ADDRESSES, ALIAS, ENTRY, Change, Refused, of_type
from pinggy.dns.powerdns.lua import LUA, entry_contents, plain_content
from pinggy.dns.powerdns.records import HIGHEST_EPOCH, owner_name, plain_host
from pinggy.wire.proof import BadProof, Claim, verify

MOST_RRSETS = 2000
HIGHEST_TTL = 3600


class Malformed(Exception):
    """The body is no PATCH of RRsets; the text says why."""


class _NotProven(Exception):
    """The text is why, fit to follow a name and a colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """*refused* are those of the names that are not among *changes*."""

    changes: tuple[Change, ...]
    refused: tuple[Refused, ...]


def read_patch(body: bytes, domain: str, key: Ed25519PublicKey) -> Asked:
    """What *body* asks of the zone *domain*, as far as the core, by *key*, has signed it. Raises `Malformed`."""
    changes: list[Change] = []
    refused: list[Refused] = []
    for name, rrsets in _by_name(body).items():
        try:
            changes.append(_change(name, rrsets, domain, key))
        except _NotProven as why:
            refused.append(Refused(name=name, why=str(why)))
    return Asked(changes=tuple(changes), refused=tuple(refused))


def _by_name(body: bytes) -> dict[str, list[dict[str, Any]]]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON.") from None
    rrsets = said.get("rrsets") if isinstance(said, dict) else None
    if not isinstance(rrsets, list):
        raise Malformed("The body has no list of rrsets.")
    if len(rrsets) > MOST_RRSETS:
        raise Malformed(f"There are too many rrsets: {MOST_RRSETS} at the most.")
    names: dict[str, list[dict[str, Any]]] = {}
    for each in rrsets:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise Malformed("An rrset is no object with a name.")
        names.setdefault(each["name"].lower().removesuffix("."), []).append(each)
    return names


def _change(name: str, rrsets: Sequence[dict[str, Any]], domain: str, key: Ed25519PublicKey) -> Change:
    if not all(each["name"].endswith(".") for each in rrsets):
        raise _NotProven("the name is not absolute")
    types: list[Any] = [each.get("type") for each in rrsets]
    if not all(isinstance(each, str) and each in (*ALIAS, *ENTRY) for each in types):
        raise _NotProven("the type is none of CNAME, A, AAAA and LUA")
    if len(set(types)) < len(types):
        raise _NotProven("a type stands there twice")
    if not all(each.get("changetype") in ("REPLACE", "DELETE") for each in rrsets):
        raise _NotProven("the changetype is neither REPLACE nor DELETE")
    claim = _claim(name, rrsets, domain, key)
    if all(each["changetype"] == "DELETE" for each in rrsets):
        return _withdrawal(claim, types)
    if not claim.target and not claim.addresses:
        raise _NotProven("the proof is for taking the name away")
    if claim.port:
        return _entry(claim, {each["type"]: _contents(each) for each in rrsets}, _ttl(rrsets))
    return _placement(claim, {each["type"]: _contents(each) for each in rrsets}, _ttl(rrsets), types)


def _claim(name: str, rrsets: Sequence[dict[str, Any]], domain: str, key: Ed25519PublicKey) -> Claim:
    """What the core signed, of just this name."""
    proof = rrsets[0].get("proof")
    if not isinstance(proof, str) or any(each.get("proof") != proof for each in rrsets):
        raise _NotProven("there is no one proof")
    apex = name == domain
    try:
        if not apex and owner_name(name, domain) != name:
            raise _NotProven("the name is not plain")
        claim = verify(proof, key)
    except ValueError:
        raise _NotProven("it is no name that the gate writes") from None
    except BadProof as error:
        raise _NotProven(str(error).rstrip(".")) from None
    if claim.name != name or not 0 <= claim.epoch <= HIGHEST_EPOCH:
        raise _NotProven("the proof is of something else")
    if apex and not claim.port:
        raise _NotProven("the zone's own name is for an entry alone")
    return claim


def _withdrawal(claim: Claim, types: Sequence[str]) -> Change:
    nothing = not claim.target and not claim.addresses
    if claim.port:
        mine: tuple[str, ...] = (LUA,)
    else:
        mine = (*ALIAS, *ADDRESSES) if nothing else ALIAS if claim.target else ADDRESSES
    if not set(types) <= set(mine):
        raise _NotProven("the proof is of something else")
    return Change(name=claim.name, epoch=claim.epoch, withdrawn=True, any_lower=nothing, types=tuple(types))


def _entry(claim: Claim, contents: dict[str, list[str]], ttl: int) -> Change:
    """The text that PowerDNS will run is made here, of what was signed; that of the body is looked at and dropped."""
    try:
        signed = entry_contents(claim.addresses, claim.port)
    except ValueError:
        raise _NotProven("the records cannot be read") from None
    asked = {rdtype: sorted(plain_content(each) for each in said) for rdtype, said in contents.items()}
    if claim.target or asked != {LUA: sorted(signed), **{rdtype: [] for rdtype in ADDRESSES}}:
        raise _NotProven("the proof is of something else")
    return Change(name=claim.name, epoch=claim.epoch, addresses=claim.addresses, port=claim.port, types=ENTRY, ttl=ttl)


def _placement(claim: Claim, contents: dict[str, list[str]], ttl: int, types: Sequence[str]) -> Change:
    """What is written is what was signed; what was asked for must be just that."""
    try:
        if claim.target:
            signed = {"CNAME": [plain_host(claim.target)]}
            asked = {rdtype: [plain_host(each) for each in said] for rdtype, said in contents.items()}
            change = Change(name=claim.name, epoch=claim.epoch, target=signed["CNAME"][0], types=ALIAS, ttl=ttl)
        else:
            addresses = tuple(str(ip_address(each)) for each in claim.addresses)
            signed = {rdtype: sorted(of_type(addresses, rdtype)) for rdtype in ADDRESSES}
            asked = {rdtype: sorted(str(ip_address(each)) for each in said) for rdtype, said in contents.items()}
            change = Change(name=claim.name, epoch=claim.epoch, addresses=addresses, types=ADDRESSES, ttl=ttl)
    except ValueError:
        raise _NotProven("the records cannot be read") from None
    if asked != signed:
        raise _NotProven("the proof is of something else")
    return change


def _contents(rrset: dict[str, Any]) -> list[str]:
    if rrset["changetype"] == "DELETE":
        return []
    records = rrset.get("records")
    if not isinstance(records, list):
        raise _NotProven("there are no records")
    contents = []
    for each in records:
        content = each.get("content") if isinstance(each, dict) else None
        if not isinstance(content, str) or each.get("disabled", False) is not False:
            raise _NotProven("a record has no content, or is disabled")
        contents.append(content)
    return contents


def _ttl(rrsets: Sequence[dict[str, Any]]) -> int:
    ttl, *others = [each.get("ttl") for each in rrsets if each["changetype"] == "REPLACE"]
    if any(each != ttl for each in others) or type(ttl) is not int or not 0 <= ttl <= HIGHEST_TTL:
        raise _NotProven(f"the TTL is not a number of seconds up to {HIGHEST_TTL}")
    return ttl
