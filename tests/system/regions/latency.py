"""
The wire between the sites: carries each Ethernet frame to where it goes, after the time that the distance takes.

    python -m tests.system.regions.latency hub=1 us=2 eu=3 --delay us-eu=0.04

runs in the namespace that has the other ends of all cables (``to-hub``, ...). Lines on its standard input change it:
``cut us eu`` loses what us sends to eu (not what eu sends to us), ``heal us eu`` carries it again.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Direction = tuple[str, str]  # from one site to another

_ALL_PROTOCOLS = 0x0003
_LARGEST = 65536
# Frames that are taken from one cable before the others are looked at.
_BURST = 64
# Bytes under way in one direction; what comes more is lost, as in any router.
LONGEST_QUEUE = 4 * 1024 * 1024


@dataclass(slots=True)
class _Queue:
    delay: float
    frames: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    is_cut: bool = False


class Wire:
    """What is under way; *numbers* are the last bytes of the sites' MAC addresses, *delays* seconds one way."""

    def __init__(self, numbers: Mapping[str, int], delays: Mapping[frozenset[str], float]) -> None:
        self._by_number = {number: name for name, number in numbers.items()}
        self._queues = {
            (sender, receiver): _Queue(delays.get(frozenset((sender, receiver)), 0.0))
            for sender in numbers
            for receiver in numbers
            if sender != receiver
        }
        self.lost = 0

    def take(self, sender: str, frame: bytes, now: float) -> None:
        """A frame came from *sender*. Where it goes is in its first bytes; a group address is every other site."""
        if frame[0] & 1:
            receivers = [receiver for each, receiver in self._queues if each == sender]
        else:
            receivers = [self._by_number[frame[5]]] if frame[5] in self._by_number else []
        for receiver in receivers:
            self._put((sender, receiver), frame, now)

    def _put(self, direction: Direction, frame: bytes, now: float) -> None:
        queue = self._queues.get(direction)
        if queue is None or queue.is_cut or queue.size + len(frame) > LONGEST_QUEUE:
            self.lost += 1
            return
        queue.frames.append((now + queue.delay, frame))
        queue.size += len(frame)

    def arrived(self, now: float) -> Iterator[tuple[str, bytes]]:
        """What has come to its receiver by *now*; in each direction in the order in which it was sent."""
        for (_, receiver), queue in self._queues.items():
            while queue.frames and queue.frames[0][0] <= now:
                _, frame = queue.frames.popleft()
                queue.size -= len(frame)
                yield receiver, frame

    def next_arrival(self) -> float | None:
        return min((queue.frames[0][0] for queue in self._queues.values() if queue.frames), default=None)

    def cut(self, sender: str, receiver: str) -> None:
        queue = self._queues[sender, receiver]
        queue.is_cut = True
        self.lost += len(queue.frames)
        queue.frames.clear()
        queue.size = 0

    def heal(self, sender: str, receiver: str) -> None:
        self._queues[sender, receiver].is_cut = False


class Cables:
    """Moves frames between the sockets of the cables and the `Wire`, until its standard input ends."""

    def __init__(self, wire: Wire, names: Iterator[str]) -> None:
        self._wire = wire
        self._sockets: dict[str, socket.socket] = {}
        self._senders: dict[int, str] = {}
        self._poll = select.epoll()
        for name in names:
            cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
            cable.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LONGEST_QUEUE)
            cable.bind((f"to-{name}", 0))
            cable.setblocking(False)
            self._sockets[name] = cable
            self._senders[cable.fileno()] = name
            self._poll.register(cable, select.EPOLLIN)
        self._poll.register(0, select.EPOLLIN)

    def run(self) -> None:
        while True:
            due = self._wire.next_arrival()
            wait = -1.0 if due is None else max(0.0, due - time.monotonic())
            for number, _ in self._poll.poll(wait):
                if number == 0:
                    if not self._obey(os.read(0, 4096).decode()):
                        return
                else:
                    self._read(self._senders[number])
            for receiver, frame in self._wire.arrived(time.monotonic()):
                self._write(receiver, frame)

    def _obey(self, lines: str) -> bool:
        for line in lines.splitlines():
            verb, sender, receiver = line.split()
            (self._wire.cut if verb == "cut" else self._wire.heal)(sender, receiver)
        return bool(lines)

    def _read(self, sender: str) -> None:
        for _ in range(_BURST):
            try:
                frame, origin = self._sockets[sender].recvfrom(_LARGEST)
            except BlockingIOError:
                return
            # What we send through a cable is not shown to its own socket, but by its kind it would not come from there.
            if origin[2] != socket.PACKET_OUTGOING:
                self._wire.take(sender, frame, time.monotonic())

    def _write(self, receiver: str, frame: bytes) -> None:
        try:
            self._sockets[receiver].send(frame)
        except (BlockingIOError, OSError):
            self._wire.lost += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sites", nargs="+", metavar="NAME=NUMBER")
    parser.add_argument("--delay", action="append", default=[], metavar="NAME-NAME=SECONDS")
    arguments = parser.parse_args()
    numbers = {name: int(number) for name, _, number in (each.partition("=") for each in arguments.sites)}
    delays = {
        frozenset(pair.split("-")): float(seconds)
        for pair, _, seconds in (each.partition("=") for each in arguments.delay)
    }
    Cables(Wire(numbers, delays), iter(numbers)).run()


if __name__ == "__main__":
    main()
