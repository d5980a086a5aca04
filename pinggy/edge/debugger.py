"""
What a client may ask its own edge about its own tunnel, as a web resource: ``GET /urls`` (ssh-interface).
"""

from __future__ import annotations

import json

from twisted.web.resource import Resource
from twisted.web.server import Request

from pinggy.edge.client_tunnel import ClientTunnel


class Urls(Resource):
    """``{"urls": [...]}``, in the order in which the forwardings were asked for."""

    isLeaf = True

    def __init__(self, tunnel: ClientTunnel) -> None:
        super().__init__()
        self._tunnel = tunnel

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        return json.dumps({"urls": self._tunnel.urls(*self._tunnel.forwardings())}).encode() + b"\n"


def debugger_root(tunnel: ClientTunnel) -> Resource:
    root = Resource()
    root.putChild(b"urls", Urls(tunnel))
    return root
