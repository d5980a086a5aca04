"""
Where names live, from the core in memory and from the real one alike: asked, told, and by what certificates edges know
each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred

from pinggy.edge.core_client import CoreClient
from pinggy.tunnel import refusals
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorized, Live, Register, Release
from pinggy.wire.orders import AskOrders, Displaced, Order, Placed
from pinggy.wire.places import Certify, Place, Where
from tests.contracts import test_core as suite
from tests.contracts.test_core import Start, ask, asynchronous, granted, http, tcp
from tests.support import postgres as real
from tests.support.cores import Core, token_of

start = suite.start
postgres = real.postgres


async def relaying(core: Core, name: str, region: str, port: int | None = 7444) -> CoreClient:
    """An edge that takes visitors from others."""
    edge = await core.edge(name, region)
    await edge.register(Register(instance=f"{name}-1", relay_port=port))
    return edge


async def orders(edge: CoreClient, name: str, after: int = 0) -> tuple[Order, ...]:
    return (await edge.orders(AskOrders(instance=f"{name}-1", after=after))).orders


async def made_live(edge: CoreClient, tunnel: str, authorized: Authorized) -> None:
    await edge.live(Live(tunnel=tunnel, numbers=(granted(authorized).number,)))


def is_open(asked: Deferred[Any]) -> bool:
    """Whether *asked* has no answer yet."""
    said: list[None] = []

    def answered(result: Any) -> Any:
        said.append(None)
        return result

    asked.addBoth(answered)
    return not said


@asynchronous
async def test_a_live_name_has_a_place(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme")
    us, eu = await relaying(core, "e1", "us"), await relaying(core, "e2", "eu")
    authorized = await us.authorize(ask(http(1, "blog"), by=token, tunnel="1" * 32))
    await made_live(us, "1" * 32, authorized)
    epoch = granted(authorized).epoch
    assert await eu.where(Where(name="blog")) == Place(
        name="blog", kind=Kind.HTTP, epoch=epoch, edge="e1", host="127.0.0.1", port=7444
    )
    with pytest.raises(refusals.NotFound):
        await eu.where(Where(name="nobody"))


@asynchronous
async def test_who_takes_no_visitors_has_no_place(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme")
    us, eu = await relaying(core, "e1", "us", None), await relaying(core, "e2", "eu")
    await made_live(us, "1" * 32, await us.authorize(ask(http(1, "blog"), by=token, tunnel="1" * 32)))
    with pytest.raises(refusals.NotFound):
        await eu.where(Where(name="blog"))


@asynchronous
async def test_while_a_name_is_not_live_yet_the_answer_waits(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme")
    us, eu = await relaying(core, "e1", "us"), await relaying(core, "e2", "eu")
    authorized = await us.authorize(ask(http(1, "blog"), by=token, tunnel="1" * 32))
    asked = eu.where(Where(name="blog"))
    assert is_open(asked)
    await made_live(us, "1" * 32, authorized)
    core.age(0.1)
    assert (await asked).edge == "e1"


@asynchronous
async def test_a_name_that_was_taken_over_has_its_new_place_beyond_the_old_epoch(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme")
    us, eu = await relaying(core, "e1", "us"), await relaying(core, "e2", "eu")
    first = await us.authorize(ask(http(1, "blog"), by=token, tunnel="1" * 32))
    await made_live(us, "1" * 32, first)
    second = await eu.authorize(ask(http(1, "blog"), by=token, tunnel="2" * 32, force=True))
    asked = us.where(Where(name="blog", beyond=granted(first).epoch))
    assert is_open(asked)
    await made_live(eu, "2" * 32, second)
    core.age(0.1)
    place = await asked
    assert (place.edge, place.epoch) == ("e2", granted(second).epoch)
    # The edge that it has left is told without asking.
    told = {each.place for each in await orders(us, "e1") if isinstance(each, Placed)}
    assert told == {place}


@asynchronous
async def test_a_name_that_its_edge_gave_up_by_stopping_is_expected_back(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme")
    us, eu = await relaying(core, "e1", "us"), await relaying(core, "e2", "eu")
    await made_live(us, "1" * 32, await us.authorize(ask(http(1, "blog"), by=token, tunnel="1" * 32)))
    await us.release(Release(tunnel="1" * 32, code="edge-stopping"))
    asked = us.where(Where(name="blog"))
    assert is_open(asked)
    second = await eu.authorize(ask(http(1, "blog"), by=token, tunnel="2" * 32))
    await made_live(eu, "2" * 32, second)
    core.age(0.1)
    assert (await asked).edge == "e2"


@asynchronous
async def test_a_name_that_its_client_gave_up_is_not(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme")
    us = await relaying(core, "e1", "us")
    authorized = await us.authorize(ask(http(1, "blog"), by=token, tunnel="1" * 32))
    await made_live(us, "1" * 32, authorized)
    await us.release(Release(tunnel="1" * 32, code="client-left"))
    asked = us.where(Where(name="blog"))
    with pytest.raises(refusals.NotFound):
        await asked


@asynchronous
@pytest.mark.parametrize("name", ["", "a.b", "UPPER", "-", "x" * 64, "a\0b"])
async def test_what_is_no_label_has_no_place(start: Start, name: str) -> None:
    core = await start()
    us = await relaying(core, "e1", "us")
    with pytest.raises(refusals.MalformedName):
        await us.where(Where(name=name))


@asynchronous
async def test_the_other_edges_of_the_region_are_told_of_a_port_and_of_its_end(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme", ports=(20001,))
    one, two = await relaying(core, "e1", "us"), await relaying(core, "e2", "us")
    three, silent = await relaying(core, "e3", "eu"), await relaying(core, "e4", "us", None)
    authorized = await one.authorize(ask(tcp(1, 20001), by=token, tunnel="1" * 32))
    await made_live(one, "1" * 32, authorized)
    # What was committed without being heard of is ordered again.
    told = (await orders(two, "e2"))[-1]
    assert isinstance(told, Placed)
    assert (told.place.public_port, told.place.edge, told.seconds) == (20001, "e1", None)
    # Who starts later is told at once.
    late = await core.edge("e5", "us")
    assert (await late.register(Register(instance="e5-1", relay_port=7444))).places == (told.place,)
    assert (await silent.register(Register(instance="e4-2"))).places == ()
    await one.release(Release(tunnel="1" * 32, code="client-left"))
    over = (await orders(two, "e2", told.number))[-1]
    assert over == Displaced(name=told.place.name, epoch=told.place.epoch, number=over.number)
    polls = [three.orders(AskOrders(instance="e3-1", after=0)), silent.orders(AskOrders(instance="e4-2", after=0))]
    for poll in polls:
        assert is_open(poll)
        poll.addErrback(lambda _: None)
        poll.cancel()


@asynchronous
async def test_a_port_that_the_operator_takes_away_is_nobodys(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme", ports=(20001,))
    one, two = await relaying(core, "e1", "us"), await relaying(core, "e2", "us")
    await made_live(one, "1" * 32, await one.authorize(ask(tcp(1, 20001), by=token, tunnel="1" * 32)))
    told = (await orders(two, "e2"))[-1]
    assert isinstance(told, Placed)
    await core.operator.close_tunnel("1" * 32)
    over = (await orders(two, "e2", told.number))[-1]
    assert over == Displaced(name=told.place.name, epoch=told.place.epoch, number=over.number)


@asynchronous
async def test_the_ports_of_an_edge_that_was_removed_are_nobodys(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme", ports=(20001,))
    one, two = await relaying(core, "e1", "us"), await relaying(core, "e2", "us")
    await made_live(one, "1" * 32, await one.authorize(ask(tcp(1, 20001), by=token, tunnel="1" * 32)))
    told = (await orders(two, "e2"))[-1]
    assert isinstance(told, Placed)
    await core.operator.remove_edge("e1")
    over = (await orders(two, "e2", told.number))[-1]
    assert over == Displaced(name=told.place.name, epoch=told.place.epoch, number=over.number)


@asynchronous
async def test_the_ports_of_an_edge_that_was_killed_are_nobodys(start: Start) -> None:
    core = await start()
    token = await token_of(core, "acme", ports=(20001,))
    one, two = await relaying(core, "e1", "us"), await relaying(core, "e2", "us")
    await made_live(one, "1" * 32, await one.authorize(ask(tcp(1, 20001), by=token, tunnel="1" * 32)))
    told = (await orders(two, "e2"))[-1]
    core.age(31)
    await core.sweep.sweep()
    over = (await orders(two, "e2", told.number))[-1]
    assert isinstance(over, Displaced)


def request(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, name: str = "anybody") -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"pinggy-edge:{name}")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alternative, critical=False)
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode("ascii")


@asynchronous
async def test_an_edge_gets_a_certificate_in_its_own_name_whatever_it_asks_for(start: Start, tmp_path: Path) -> None:
    core = await start(relay_ca=tmp_path / "relay-ca.pem")
    us = await core.edge("e1", "us")
    key = ec.generate_private_key(ec.SECP256R1())
    certified = await us.certify(Certify(instance="i", request=request(key, "another")))
    certificate = x509.load_pem_x509_certificate(certified.certificate.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(certified.authority.encode()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("pinggy-edge:e1")]
    assert certificate.public_key() == key.public_key()
    assert certified.renew_in == 8 * 3600
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life.total_seconds() == 25 * 3600


@asynchronous
async def test_a_request_that_is_none_gets_none(start: Start, tmp_path: Path) -> None:
    core = await start(relay_ca=tmp_path / "relay-ca.pem")
    us = await core.edge("e1", "us")
    good = request(ec.generate_private_key(ec.SECP256R1()))
    lines = good.splitlines()
    lines[-2] = lines[-2][:4] + ("A" if lines[-2][4] != "A" else "B") + lines[-2][5:]
    for bad in (
        "",
        "nonsense",
        "x" * 9000,
        "\n".join(lines),
        request(ec.generate_private_key(ec.SECP384R1())),
        request(ed25519.Ed25519PrivateKey.generate()),
    ):
        with pytest.raises(refusals.MalformedMessage):
            await us.certify(Certify(instance="i", request=bad))


@asynchronous
async def test_without_an_authority_there_are_no_certificates(start: Start) -> None:
    core = await start()
    us = await core.edge("e1", "us")
    with pytest.raises(refusals.NotFound):
        await us.certify(Certify(instance="i", request=request(ec.generate_private_key(ec.SECP256R1()))))
