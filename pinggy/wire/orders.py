"""
What the core wants of an edge, and what the edge answers: the values of the stream of orders.

An edge asks for orders with a long poll; each order has a number of its edge's stream, without gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pinggy.wire import codec
from pinggy.wire.places import Place

# Seconds for the visitors of a tunnel whose name went elsewhere.
GRACE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOrders:
    """
    A long poll: answered at once where there are orders after the number *after*, otherwise when one comes, or after
    some 20 s with none. Asking with a higher *after* says that all up to it have been carried out.
    """

    instance: str
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """
    Close the *tunnel* and tell its client the *text*. Harmless where it is gone. Visitors who are being served have
    *grace* seconds to finish; its names and ports are given back at once.
    """

    TAG: ClassVar[str] = "close"
    tunnel: str
    code: str
    text: str
    grace: float = 0.0
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Ping the client of *tunnel*, within 2 s, and say `Probed` with the same *ask*; a dead one's tunnel is ended."""

    TAG: ClassVar[str] = "probe"
    ask: str
    tunnel: str
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examine:
    """Look at the *tunnel* from the edge to the local servers, and say `Examined` with the same *ask*."""

    TAG: ClassVar[str] = "examine"
    ask: str
    tunnel: str
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """
    A name that this edge had, or whose port it shall listen at too, lives at *place* now. The port is listened at for
    so many *seconds*, None for as long as it is not `Displaced`.
    """

    TAG: ClassVar[str] = "placed"
    place: Place
    seconds: float | None = None
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced:
    """Nobody has the label *name* any more, by *epoch*: what was `Placed` by it or an earlier one is over."""

    TAG: ClassVar[str] = "displaced"
    name: str
    epoch: int
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Take no new tunnels, and send those that are here away, spread over a while."""

    TAG: ClassVar[str] = "drain"
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undrain:
    """Take new tunnels again."""

    TAG: ClassVar[str] = "undrain"
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An order of a newer core: passed over."""

    TAG: ClassVar[str] = codec.ANY_OTHER
    number: int = 0


Order = Close | Probe | Examine | Placed | Displaced | Drain | Undrain | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """In the order of their numbers; none twice, none left out."""

    orders: tuple[Order, ...] = ()


# -- the answers to those that ask something --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Whether the client has answered; a tunnel that is not here is not *alive*."""

    ask: str
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServer:
    """What a connection to the local server behind forwarding *number* met: *trouble*, or nothing where it answered."""

    number: int
    name: str
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """*held*: the tunnel is here. *ping* is the seconds that its client took to answer, None for no answer."""

    ask: str
    held: bool
    ping: float | None = None
    local_servers: tuple[LocalServer, ...] = ()


# -- orders as the core keeps them --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    order: Order


def kept(order: Order) -> str:
    """*order* as a text to be kept."""
    return codec.encode(_Kept(order=order)).decode("utf-8")


def unkept(text: str, number: int) -> Order:
    """The order that was `kept` as *text*, with its *number*."""
    return replace(codec.decode(_Kept, text.encode("utf-8")).order, number=number)
