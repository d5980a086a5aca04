"""
Messages to JSON and back; what is no message is refused, whatever it is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.settings import Secret
from pinggy.tunnel.grant import Forwarding, Identity, Limits
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.tunnel.request import Kind
from pinggy.wire import messages, operator, orders, paths, places
from pinggy.wire.codec import LONGEST_BODY, decode, encode

_texts = st.text(max_size=20)
_numbers = st.integers(min_value=-(2**63), max_value=2**63)
_forwardings = st.builds(
    Forwarding,
    number=_numbers,
    kind=st.sampled_from(Kind),
    name=_texts,
    epoch=_numbers,
    port=st.none() | _numbers,
)
_credentials = st.one_of(
    st.just(messages.Nobody()),
    st.builds(messages.ByToken, token=_texts.map(Secret)),
    st.builds(messages.ByKey, fingerprint=_texts),
)
_wants = st.builds(
    messages.Want,
    number=_numbers,
    kind=st.sampled_from(Kind),
    name=st.none() | _texts,
    port=st.none() | _numbers,
)
_refusals = st.builds(messages.Refused, code=_texts, text=_texts, number=_numbers)
_usages = st.builds(messages.Usage, tunnel=_texts, received=_numbers, sent=_numbers, visitors=_numbers)
_places = st.builds(
    places.Place,
    name=_texts,
    kind=st.sampled_from(Kind),
    epoch=_numbers,
    edge=_texts,
    host=_texts,
    port=_numbers,
    public_port=st.none() | _numbers,
)
MESSAGES = st.one_of(
    st.builds(messages.Identify, credential=_credentials),
    st.builds(messages.Register, instance=_texts, host_keys=st.lists(_texts).map(tuple)),
    st.builds(
        messages.Registered,
        edge=_texts,
        region=_texts,
        domain=_texts,
        lease=st.floats(allow_nan=False),
        orders=_numbers,
    ),
    st.builds(orders.AskOrders, instance=_texts, after=_numbers),
    st.builds(
        orders.Orders,
        orders=st.lists(
            st.one_of(
                st.builds(
                    orders.Close, number=_numbers, tunnel=_texts, code=_texts, text=_texts, grace=st.floats(0, 60)
                ),
                st.builds(orders.Probe, number=_numbers, ask=_texts, tunnel=_texts),
                st.builds(orders.Examine, number=_numbers, ask=_texts, tunnel=_texts),
                st.builds(orders.Placed, number=_numbers, place=_places),
                st.builds(orders.Displaced, number=_numbers, name=_texts, epoch=_numbers),
                st.builds(orders.Drain, number=_numbers),
            ),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(
        messages.Authorize,
        tunnel=_texts,
        credential=_credentials,
        address=_texts,
        wants=st.lists(_wants).map(tuple),
        force=st.booleans(),
        taken_ports=st.lists(_numbers).map(tuple),
    ),
    st.builds(
        messages.Authorized,
        identity=st.builds(Identity, account=st.none() | _texts, label=_texts),
        limits=st.builds(Limits, forwardings=_numbers, channels=_numbers),
        results=st.lists(st.builds(messages.Granted, forwarding=_forwardings, proof=_texts) | _refusals).map(tuple),
        expires_in=st.none() | st.floats(allow_nan=False),
        lost=st.lists(st.builds(messages.Lost, tunnel=_texts, code=_texts, text=_texts)).map(tuple),
    ),
    st.builds(messages.Live, tunnel=_texts, numbers=st.lists(_numbers).map(tuple)),
    st.builds(messages.Renew, instance=_texts, tunnels=st.lists(_usages).map(tuple)),
    st.builds(
        messages.Release,
        tunnel=_texts,
        code=_texts,
        numbers=st.none() | st.lists(_numbers).map(tuple),
        usage=st.none() | _usages,
    ),
    st.just(messages.Done()),
    _places,
    st.builds(places.Where, name=_texts, beyond=_numbers),
    st.builds(places.Certified, certificate=_texts, authority=_texts, renew_in=st.floats(0, 1e6)),
    st.builds(orders.Probed, ask=_texts, alive=st.booleans()),
    st.builds(
        orders.Examined,
        ask=_texts,
        held=st.booleans(),
        ping=st.none() | st.floats(0, 60),
        local_servers=st.lists(
            st.builds(orders.LocalServer, number=_numbers, name=_texts, trouble=_texts), max_size=3
        ).map(tuple),
    ),
    st.builds(
        messages.Report,
        instance=_texts,
        holdings=st.lists(st.builds(messages.Holding, tunnel=_texts, name=_texts, epoch=_numbers)).map(tuple),
    ),
    st.builds(operator.NewToken, token=_texts.map(Secret), prefix=_texts, account=_texts),
)


@given(MESSAGES)
def test_a_message_comes_back_as_it_went(message: Any) -> None:
    assert decode(type(message), encode(message)) == message


@given(MESSAGES, st.dictionaries(st.text(min_size=8, max_size=12), st.integers(), max_size=3))
def test_what_a_newer_peer_says_more_is_passed_over(message: Any, more: dict[str, int]) -> None:
    table = {**json.loads(encode(message)), **{f"newer {key}": value for key, value in more.items()}}
    assert decode(type(message), json.dumps(table).encode()) == message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["is", "tunnel", "credential", "address", "wants", "number", "kind", "token"]) | st.text(),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_json_is_a_message_or_malformed(value: Any) -> None:
    for cls in (messages.Authorize, messages.Identify, messages.Renew, messages.Done, operator.AddEdge):
        try:
            assert isinstance(decode(cls, json.dumps(value).encode()), cls)
        except MalformedMessage as refusal:
            assert len(refusal.text) < 500


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(messages.Live, body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[" * 500_000, b'{"a":' * 100_000, b"1" * 5000, b" " * (LONGEST_BODY + 1), b"\xff\xfe{\0}\0"],
)
def test_extremes_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(messages.Live, body)


def test_a_mistake_is_named() -> None:
    table = json.loads(encode(messages.Live(tunnel="t", numbers=(1,))))
    for change, said in (
        ({"tunnel": 1}, "Live.tunnel must be of type str."),
        ({"numbers": 1}, "Live.numbers must be a list."),
        ({"numbers": [True]}, "Live.numbers must be of type int."),
    ):
        with pytest.raises(MalformedMessage) as caught:
            decode(messages.Live, json.dumps({**table, **change}).encode())
        assert caught.value.text == said
    with pytest.raises(MalformedMessage, match=r"Live\.tunnel is missing"):
        decode(messages.Live, b'{"numbers": []}')


def test_every_path_has_the_version_first() -> None:
    said = [
        value for name, value in vars(paths).items() if name.isupper() and name not in ("VERSION", "HEALTHZ", "READYZ")
    ]
    assert len(said) == len(set(said)) > 10
    assert all(path.startswith(f"/{paths.VERSION}/") for path in said)


def test_an_order_of_a_newer_core_is_known_by_its_number() -> None:
    said = b'{"orders": [{"is": "sing", "number": 7, "song": "x"}, {"is": "drain", "number": 8}]}'
    assert decode(orders.Orders, said).orders == (orders.Unknown(number=7), orders.Drain(number=8))


def test_so_is_one_of_a_kind_that_says_what_is_not_known_here() -> None:
    place = {"name": "blog", "kind": "carrier-pigeon", "epoch": 7, "edge": "e1", "host": "192.0.2.1", "port": 4443}
    said = json.dumps({"orders": [{"is": "placed", "number": 7, "place": place}, {"is": "drain", "number": 8}]})
    assert decode(orders.Orders, said.encode()).orders == (orders.Unknown(number=7), orders.Drain(number=8))
    # One without a number is nothing at all.
    with pytest.raises(MalformedMessage):
        decode(orders.Orders, b'{"orders": [{"is": "drain", "number": "8"}]}')


@given(st.one_of(st.builds(orders.Close, tunnel=_texts, code=_texts, text=_texts), st.just(orders.Drain())))
def test_an_order_that_was_kept_gets_its_number(order: Any) -> None:
    assert orders.unkept(orders.kept(order), 9) == replace(order, number=9)
