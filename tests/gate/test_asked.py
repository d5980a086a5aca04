"""
Forged, replayed, borrowed and broken proofs: each refuses its own name, and no other.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pinggy.dns.powerdns.changes import ADDRESSES, ENTRY, Change, rrsets
from pinggy.dns.powerdns.lua import LUA
from pinggy.gate.asked import HIGHEST_TTL, MOST_RRSETS, Asked, Malformed, read_patch
from pinggy.wire.proof import Claim, sign

KEY = Ed25519PrivateKey.generate()
DOMAIN = "a.example"
NAME = "blog.a.example"
CLAIM = Claim(name=NAME, epoch=7, target="eu.a.example")
HOST = Claim(name="eu.a.example", epoch=2, addresses=("192.0.2.1", "2001:db8::1"))
NOTHING = Claim(name=NAME, epoch=8)
WAY_IN = Claim(name=DOMAIN, epoch=3, addresses=("192.0.2.1", "2001:db8::1", "192.0.2.2"), port=443)
SERVED = (
    "A \"ifportup(443, {'192.0.2.1','192.0.2.2'}, {selector='pickclosest',timeout='1'})\"",
    "AAAA \"ifportup(443, {'2001:db8::1'}, {selector='pickclosest',timeout='1'})\"",
)


def ask(*asked: dict[str, Any]) -> Asked:
    return read_patch(json.dumps({"rrsets": asked}).encode(), DOMAIN, KEY.public_key())


def alias(claim: Claim = CLAIM, **changes: Any) -> dict[str, Any]:
    """What an edge sends for *claim*, with *changes*."""
    change = Change(
        name=claim.name, epoch=claim.epoch, target=claim.target or "eu.a.example", ttl=10, proof=sign(claim, KEY)
    )
    (rrset,) = rrsets(change)
    return {**rrset, **changes}


def host(claim: Claim = HOST) -> list[dict[str, Any]]:
    return rrsets(
        Change(
            name=claim.name,
            epoch=claim.epoch,
            addresses=claim.addresses,
            types=ADDRESSES,
            ttl=10,
            proof=sign(claim, KEY),
        )
    )


def entry(claim: Claim = WAY_IN) -> list[dict[str, Any]]:
    """What the core sends for *claim*."""
    change = Change(
        name=claim.name,
        epoch=claim.epoch,
        addresses=claim.addresses,
        port=claim.port,
        types=ENTRY,
        ttl=10,
        proof=sign(claim, KEY),
    )
    return rrsets(change)


def removal(claim: Claim, *types: str) -> list[dict[str, Any]]:
    return rrsets(Change(name=claim.name, epoch=claim.epoch, withdrawn=True, types=types, proof=sign(claim, KEY)))


def content(text: str) -> list[dict[str, Any]]:
    return [{"content": text, "disabled": False}]


def test_what_the_core_signed_is_let_through() -> None:
    assert ask(alias(), *host()) == Asked(
        changes=(
            Change(name=NAME, epoch=7, target="eu.a.example", ttl=10),
            Change(name="eu.a.example", epoch=2, addresses=HOST.addresses, types=ADDRESSES, ttl=10),
        ),
        refused=(),
    )


def test_who_may_place_may_take_away() -> None:
    assert ask(*removal(CLAIM, "CNAME")).changes == (Change(name=NAME, epoch=7, withdrawn=True),)
    (change,) = ask(*removal(HOST, *ADDRESSES)).changes
    assert (change.withdrawn, change.any_lower, change.types) == (True, False, ADDRESSES)


def test_a_claim_of_nothing_takes_any_lower_epoch_away_and_places_nothing() -> None:
    (change,) = ask(*removal(NOTHING, "CNAME")).changes
    assert (change.epoch, change.withdrawn, change.any_lower) == (8, True, True)
    assert [each.why for each in ask(alias(NOTHING)).refused] == ["the proof is for taking the name away"]
    empty = {**removal(NOTHING, "A")[0], "changetype": "REPLACE", "ttl": 10, "records": []}
    assert ask(empty).changes == ()


@pytest.mark.parametrize("name", ["a.example", "go.a.example"])
def test_an_entry_is_let_through_and_nothing_stands_beside_it(name: str) -> None:
    claim = replace(WAY_IN, name=name)
    (change,) = ask(*entry(claim)).changes
    assert (change.epoch, change.withdrawn, change.addresses, change.port) == (3, False, claim.addresses, 443)
    lua, *others = rrsets(change)
    assert [each["content"] for each in lua["records"]] == list(SERVED)
    assert [(each["type"], each["changetype"]) for each in others] == [("A", "DELETE"), ("AAAA", "DELETE")]


def test_an_entry_may_be_taken_away_and_nothing_else_with_it() -> None:
    (change,) = ask(*removal(WAY_IN, LUA)).changes
    assert (change.withdrawn, change.any_lower, change.types) == (True, False, (LUA,))
    (change,) = ask(*removal(replace(WAY_IN, addresses=()), LUA)).changes
    assert (change.withdrawn, change.any_lower, change.types) == (True, True, (LUA,))
    for types in (("A",), (LUA, "A"), ("CNAME",)):
        assert ask(*removal(WAY_IN, *types)).changes == ()
        assert ask(*removal(replace(WAY_IN, addresses=()), *types)).changes == ()


EVIL = "A \"os.execute('id') or ifportup(443, {'192.0.2.1','192.0.2.2'}, {selector='pickclosest',timeout='1'})\""


@pytest.mark.parametrize(
    "records",
    [
        content(EVIL) + content(SERVED[1]),
        content(SERVED[0]),
        content(SERVED[0]) + content(SERVED[1]) + content(EVIL),
        content(SERVED[0].replace("443", "80")) + content(SERVED[1]),
        content(SERVED[0].replace("192.0.2.2", "192.0.2.3")) + content(SERVED[1]),
        content(SERVED[0].replace("A ", "CNAME ")) + content(SERVED[1]),
        [],
    ],
)
def test_no_lua_but_that_of_the_signed_addresses(records: list[dict[str, Any]]) -> None:
    lua, *others = entry()
    assert ask({**lua, "records": records}, *others).changes == ()


def test_a_proof_of_an_entry_is_of_nothing_else() -> None:
    lua, *others = entry()
    assert ask(lua).changes == ()
    assert ask(lua, others[0]).changes == ()
    assert ask(lua, *others, {**lua, "type": "CNAME"}).changes == ()
    addresses = host(Claim(name=DOMAIN, epoch=3, addresses=("192.0.2.1",)))
    assert ask(*addresses).changes == ()
    assert ask(*({**each, "proof": lua["proof"]} for each in addresses)).changes == ()
    assert ask(*({**each, "proof": sign(HOST, KEY)} for each in entry())).changes == ()
    assert ask(*({**each, "name": "go.a.example."} for each in entry())).changes == ()


@pytest.mark.parametrize(
    "claim",
    [
        replace(WAY_IN, port=65536),
        replace(WAY_IN, port=-1),
        replace(WAY_IN, addresses=("fe80::1%'}) os.execute('id') --",)),
        replace(WAY_IN, addresses=("192.0.2.1'",)),
        replace(WAY_IN, target="eu.a.example"),
        replace(WAY_IN, name="x.go.a.example"),
        replace(WAY_IN, name="b.example"),
        replace(WAY_IN, name="*.a.example"),
    ],
)
def test_no_entry_is_written_that_cannot_be_one(claim: Claim) -> None:
    lua, *others = entry()
    sent = [{**each, "name": f"{claim.name}.", "proof": sign(claim, KEY)} for each in (lua, *others)]
    asked = ask(*sent)
    assert asked.changes == ()
    assert [each.name for each in asked.refused] == [claim.name]


def test_an_address_of_one_kind_takes_the_other_away() -> None:
    claim = Claim(name="eu.a.example", epoch=2, addresses=("192.0.2.1",))
    (change,) = ask(*host(claim)).changes
    assert [(each["type"], each["changetype"]) for each in rrsets(change)] == [("A", "REPLACE"), ("AAAA", "DELETE")]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"proof": sign(CLAIM, Ed25519PrivateKey.generate())}, "not signed by the core's key"),
        ({"proof": sign(CLAIM, KEY)[:-6] + "AAAAAA"}, "not signed by the core's key"),
        ({"proof": "x" * 20_000}, "too long"),
        ({"proof": ""}, "not signed"),
        ({"proof": None}, "no one proof"),
        ({"proof": 7}, "no one proof"),
        ({"proof": sign(Claim(name="other.a.example", epoch=7, target="eu.a.example"), KEY)}, "something else"),
        ({"proof": sign(Claim(name=NAME, epoch=-1, target="eu.a.example"), KEY)}, "something else"),
        ({"proof": sign(Claim(name=NAME, epoch=2**63, target="eu.a.example"), KEY)}, "something else"),
        ({"name": "other.a.example."}, "something else"),
        ({"records": content("us.a.example.")}, "something else"),
        ({"records": content("evil.example.")}, "something else"),
        ({"records": content("eu.a.example.") * 2}, "something else"),
        ({"records": content("no..name.")}, "cannot be read"),
        ({"records": []}, "something else"),
        ({"records": None}, "no records"),
        ({"records": [7]}, "no content"),
        ({"records": [{"content": "eu.a.example.", "disabled": True}]}, "disabled"),
        ({"type": "A", "records": content("192.0.2.1")}, "something else"),
        ({"type": "TXT", "records": content('"x"')}, "type is none of"),
        ({"type": ["CNAME"]}, "type is none of"),
        ({"type": "NS", "records": content("evil.example.")}, "type is none of"),
        ({"changetype": "EXTEND"}, "neither REPLACE nor DELETE"),
        ({"changetype": {}}, "neither REPLACE nor DELETE"),
        ({"changetype": "DELETE", "type": "A"}, "something else"),
        ({"ttl": HIGHEST_TTL + 1}, "TTL"),
        ({"ttl": -1}, "TTL"),
        ({"ttl": True}, "TTL"),
        ({"ttl": 1.0}, "TTL"),
        ({"ttl": {}}, "TTL"),
        ({"name": "blog.a.example"}, "not absolute"),
        ({"name": "blog.b.example."}, "no name that the gate writes"),
        ({"name": "x.blog.a.example."}, "no name that the gate writes"),
        ({"name": "a.example."}, "something else"),
        ({"type": "LUA", "records": content("CNAME \"'evil.example'\"")}, "cannot be read"),
        ({"name": "*.a.example."}, "no name that the gate writes"),
        ({"name": "_acme-challenge.a.example."}, "no name that the gate writes"),
        ({"name": "bl\\111g.a.example."}, "no name that the gate writes"),
        ({"name": "."}, "no name that the gate writes"),
        ({"name": "x" * 70_000 + "."}, "no name that the gate writes"),
    ],
)
def test_what_is_wrong_with_one_name_refuses_that_name_alone(changes: dict[str, Any], why: str) -> None:
    other = Claim(name="good.a.example", epoch=1, target="us.a.example")
    asked = ask(alias(**changes), alias(other))
    assert [each.name for each in asked.changes] == ["good.a.example"]
    (refused,) = asked.refused
    assert why in refused.why
    assert refused.stale is False
    assert refused.name == changes.get("name", NAME).removesuffix(".")


def test_signed_names_outside_the_zone_are_not_written() -> None:
    for name in ("www.b.example", "a.example", "deep.blog.a.example", "*.a.example"):
        asked = ask(alias(Claim(name=name, epoch=1, target="eu.a.example")))
        assert asked.changes == ()


def test_a_proof_of_addresses_is_of_all_of_them() -> None:
    first, second = host()
    assert ask(first).changes == ()
    assert ask(first, {**second, "records": content("2001:db8::2")}).changes == ()
    assert ask(first, {**second, "proof": sign(CLAIM, KEY)}).changes == ()
    assert ask(first, {**second, "changetype": "DELETE"}).changes == ()
    assert ask(first, first).changes == ()
    assert ask(first, {**second, "ttl": 11}).changes == ()


def test_two_changes_of_one_name_refuse_it() -> None:
    asked = ask(alias(), *removal(CLAIM, "CNAME"))
    assert asked.changes == ()
    assert [each.why for each in asked.refused] == ["a type stands there twice"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"rrsets": 7}',
        b'{"rrsets": [7]}',
        b'{"rrsets": [{"name": 7}]}',
        b'{"rrsets": ' + b"[" * 100_000,
        b'{"rrsets": [{"name": "x.", "ttl": ' + b"9" * 100_000 + b"}]}",
        json.dumps({"rrsets": [{"name": "x."}] * (MOST_RRSETS + 1)}).encode(),
    ],
)
def test_what_is_no_patch_is_said(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_patch(body, DOMAIN, KEY.public_key())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(["name", "type", "ttl", "changetype", "records", "proof"]), json_values)))
def test_whatever_stands_in_an_rrset_is_refused_or_just_what_was_signed(changes: list[tuple[str, Any]]) -> None:
    for change in ask({**alias(), **dict(changes)}).changes if _names(changes) else ():
        assert (change.name, change.epoch) == (NAME, 7)
        assert change.withdrawn or change.target == "eu.a.example"


@given(
    st.sampled_from([0, 1, 2]),
    st.lists(st.tuples(st.sampled_from(["name", "type", "ttl", "changetype", "records", "proof"]), json_values)),
)
def test_whatever_is_said_of_an_entry_its_text_is_made_here(which: int, changes: list[tuple[str, Any]]) -> None:
    sent = entry()
    sent[which] = {**sent[which], **dict(changes)}
    for change in ask(*sent).changes if _names(changes) else ():
        assert (change.name, change.epoch) == (DOMAIN, 3)
        written = [each for each in rrsets(change) if each["changetype"] == "REPLACE"]
        assert all([one["content"] for one in each["records"]] == list(SERVED) for each in written)


def _names(changes: list[tuple[str, Any]]) -> bool:
    return isinstance(dict(changes).get("name", ""), str)
