"""
What the core says of places without being asked: remembered, and listened at where it is a port.
"""

from __future__ import annotations

from pinggy.edge.elsewhere import Told
from pinggy.edge.peers.places import Places
from pinggy.edge.visitor.tcp import TcpPorts
from pinggy.wire.places import Place


class ToldPlaces(Told):
    def __init__(self, places: Places, ports: TcpPorts) -> None:
        self._places = places
        self._ports = ports

    def placed(self, place: Place, seconds: float | None) -> None:
        self._places.learn(place)
        self._ports.place(place, seconds)

    def displaced(self, name: str, epoch: int) -> None:
        self._places.forget(name, epoch)
        self._ports.displace(name, epoch)
