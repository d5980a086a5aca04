from __future__ import annotations

import pytest

from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.request import Kind


def forwarding(kind: Kind, port: int | None = None) -> Forwarding:
    return Forwarding(number=1, kind=kind, name="blog", epoch=1, port=port)


@pytest.mark.parametrize(
    ("kind", "urls"),
    [
        (Kind.HTTP, ("http://blog.a.example", "https://blog.a.example")),
        (Kind.TCP, ("tcp://blog.a.example:20001",)),
        (Kind.TLS, ("tls://blog.a.example:443",)),
        (Kind.TLSTCP, ("tlstcp://blog.a.example:443",)),
    ],
)
def test_schemes_own_ports_are_left_out(kind: Kind, urls: tuple[str, ...]) -> None:
    assert PublicFace(domain="a.example").urls(forwarding(kind, 20001)) == urls


def test_other_ports_stand_in_the_url() -> None:
    face = PublicFace(domain="a.localhost", http_port=7080, https_port=7443)
    assert face.urls(forwarding(Kind.HTTP)) == ("http://blog.a.localhost:7080", "https://blog.a.localhost:7443")
