"""
A file in MaxMind's form, of what an operator's database and the places of our edges say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import maxminddb
from mmdb_writer import MMDBWriter
from netaddr import IPNetwork, IPSet

from pinggy.dns.geo.grid import Network, Spot, coarse, network_of
from pinggy.tunnel.refusals import echo

# What a gate fetches at the most.
LARGEST = 64 * 1024 * 1024
# PowerDNS looks at nothing else of a record, and finds no place without all three.
_LATITUDE, _LONGITUDE, _RADIUS = "latitude", "longitude", "accuracy_radius"
_FORM = b"pinggy geo 1\0"


class GeoUnusable(Exception):
    """A database or file cannot be used; the text says which and why."""


def compose(places: Mapping[str, Spot], database: Path | None, out: Path) -> str:
    """
    Write to *out* where the networks of *database* are, and, above those, each address of *places*. The answer is a
    text that is another one where something of that is other. Raises `GeoUnusable`.
    """
    # PowerDNS 4.7 does not read a file without languages.
    writer = MMDBWriter(6, "pinggy", languages=["en"], description="places of edges and visitors", ipv4_compatible=True)
    digest = hashlib.sha256(_FORM)
    if database is not None:
        for network, spot in coarse(_networks(database, digest)):
            _put(writer, network, spot)
    for address, spot in sorted(places.items()):
        digest.update(json.dumps([address, spot.latitude, spot.longitude]).encode("utf-8"))
        _put(writer, network_of(address), spot)
    if database is None and not places:
        # A tree without a leaf is none.
        _put(writer, network_of("192.0.2.0/24"), Spot(0.0, 0.0))
    try:
        writer.to_db_file(str(out))
        size = out.stat().st_size
    except OSError as error:
        raise GeoUnusable(f"{out} cannot be written: {error.strerror}.") from error
    if size > LARGEST:
        raise GeoUnusable(f"What comes of {database} has {size} bytes: {LARGEST} at the most.")
    return digest.hexdigest()


def check(path: Path) -> None:
    """Raises `GeoUnusable` where *path* is no file that PowerDNS could read."""
    with _opened(path) as reader:
        reader.get("192.0.2.1")


def _networks(database: Path, digest: Any) -> Iterator[tuple[Network, Spot]]:
    try:
        with database.open("rb") as file:
            while piece := file.read(1024 * 1024):
                digest.update(piece)
    except OSError as error:
        raise GeoUnusable(f"{database} cannot be read: {error.strerror}.") from error
    with _opened(database) as reader:
        try:
            for network, record in reader:
                spot = _spot(record)
                if spot is not None:
                    yield network, spot
        except maxminddb.InvalidDatabaseError as error:
            raise GeoUnusable(f"{database} is broken: {echo(str(error))}.") from error


def _opened(path: Path) -> maxminddb.reader.Reader:
    try:
        return maxminddb.open_database(path)
    except OSError as error:
        raise GeoUnusable(f"{path} cannot be read: {error.strerror or error}.") from error
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise GeoUnusable(f"{path} is no database in MaxMind's form: {echo(str(error))}.") from error


def _spot(record: Any) -> Spot | None:
    """Where *record* says that its network is, if it does."""
    location = record.get("location") if isinstance(record, dict) else None
    if not isinstance(location, dict):
        return None
    latitude, longitude = location.get(_LATITUDE), location.get(_LONGITUDE)
    if not isinstance(latitude, (int, float)) or not isinstance(longitude, (int, float)):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return Spot(latitude, longitude)


def _put(writer: MMDBWriter, network: Network, spot: Spot) -> None:
    writer.insert_network(IPSet([IPNetwork(str(network))]), _content(spot))


@lru_cache(maxsize=100_000)
def _content(spot: Spot) -> dict[str, Any]:
    """One for all networks that are there: a million of them are the most of what this takes."""
    return {"location": {_LATITUDE: float(spot.latitude), _LONGITUDE: float(spot.longitude), _RADIUS: 100}}
