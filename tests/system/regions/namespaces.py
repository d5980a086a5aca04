"""
Sites with networks of their own: a namespace each, one veth cable from each to the namespace ``wire``.

All of it lives in namespaces of processes, mounts and networks that end with the first process in them: whatever
happens to it, the kernel ends every process that was started there and takes every cable away.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

WIRE = "wire"
_INSIDE = "PINGGY_REGIONS_INSIDE"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
# As root; or as anybody else, where the machine lets everybody have namespaces.
_WAYS = (_UNSHARE, (*_UNSHARE, "--user", "--map-current-user", "--keep-caps"))

# linux/sockios.h and linux/ethtool.h: checksums and segments are made by the sender, so that each frame on the wire is
# whole and of the cable's size.
_SIOCETHTOOL = 0x8946
_CHECKSUMS_OUT, _CHECKSUMS_IN, _TSO, _GSO, _GRO = 0x17, 0x15, 0x1F, 0x24, 0x2C


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    A place with an address of its own. The site whose *namespace* is empty is where the driver itself runs; without
    *cables* every site is an address on loopback.
    """

    name: str
    number: int
    namespace: str = ""
    cables: bool = True

    @property
    def address(self) -> str:
        return f"10.77.0.{self.number}" if self.cables else f"127.77.0.{self.number}"

    @property
    def loopback(self) -> str:
        """An address that only this site reaches."""
        return "127.0.0.1" if self.cables else self.address

    @property
    def enter(self) -> tuple[str, ...]:
        """The words before a command that is to run here."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}") if self.namespace else ()

    @property
    def cable(self) -> str:
        """The end of its cable in the namespace of the wire."""
        return f"to-{self.name}"

    @property
    def mac(self) -> str:
        return f"02:00:00:00:00:{self.number:02x}"


def is_inside() -> bool:
    return _INSIDE in os.environ


def way_in() -> tuple[str, ...] | None:
    """The words that give a command namespaces of its own; None where this machine does not allow them."""
    for way in _WAYS:
        try:
            if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
                return way
        except OSError:
            return None
    return None


def run_inside(way: Sequence[str], module: str, words: Sequence[str]) -> int:
    """Run ``python -m MODULE WORDS`` in namespaces of its own; its exit status."""
    # Where we are killed, what runs inside goes too.
    command = ["setpriv", "--pdeathsig", "KILL", *way, sys.executable, "-m", module, *words]
    return subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode


def lay_cables(sites: Sequence[Site]) -> None:
    """Make the namespaces of *sites* and of the wire, and a cable between each site and the wire."""
    # A /run of our own: the machine's has the namespaces of others, and may belong to somebody else.
    _run("mount", "--types", "tmpfs", "tmpfs", "/run")
    _run("ip", "netns", "add", WIRE)
    for site in sites:
        _lay_cable(site)
    for site in sites:
        # Known for good: a cut link is silence, never "no route to host".
        for other in sites:
            if other is not site:
                _at(site, "neigh", "replace", other.address, "lladdr", other.mac, "dev", "eth0", "nud", "permanent")


def take_up_cables(sites: Sequence[Site]) -> None:
    """Where no program runs at them any more: as it was before, so that another world can be made."""
    for site in sites:
        if site.namespace:
            _run("ip", "netns", "delete", site.namespace)
        else:
            _run("ip", "link", "delete", "eth0")
    _run("ip", "netns", "delete", WIRE)
    _run("umount", "--lazy", "/run")


def _lay_cable(site: Site) -> None:
    _run("ip", "link", "add", site.cable, "type", "veth", "peer", "name", "new", "address", site.mac)
    _without_offloads("new")
    _run("ip", "link", "set", site.cable, "netns", WIRE, "up")
    if site.namespace:
        _run("ip", "netns", "add", site.namespace)
        _run("ip", "link", "set", "new", "netns", site.namespace)
    _at(site, "link", "set", "lo", "up")
    _at(site, "link", "set", "new", "name", "eth0")
    _at(site, "address", "add", f"{site.address}/24", "dev", "eth0")
    _at(site, "link", "set", "eth0", "up")


def _without_offloads(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for feature in (_CHECKSUMS_OUT, _CHECKSUMS_IN, _TSO, _GSO, _GRO):
            value = array.array("B", struct.pack("II", feature, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(control, _SIOCETHTOOL, request)


def _at(site: Site, *words: str) -> None:
    _run("ip", *(("-n", site.namespace) if site.namespace else ()), *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
