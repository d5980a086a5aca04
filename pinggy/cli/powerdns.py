"""
PowerDNS's HTTP API, as far as the zone itself is concerned: is it there, how is it set, what stands at a name.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from pinggy.cli.failure import CommandFailed
from pinggy.cli.places import Place, exchange
from pinggy.cli.tables import clean
from pinggy.cli.zone_plan import Rrset, with_serial
from pinggy.settings import Secret
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.wire.codec import decode

T = TypeVar("T")
TIMEOUT = 10.0
_SERVER = "/api/v1/servers/localhost"
_AUTHORITATIVE = "authoritative"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    content: str
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rrset:
    name: str
    type: str
    ttl: int = 0
    records: tuple[_Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSettings:
    """
    What PowerDNS does with a zone. Native: each server has the zone by itself, without transfers. The serial grows by
    one with each change. Without rectifying, for that reads the whole zone at each change, and is of use for DNSSEC.
    """

    kind: str = "Native"
    soa_edit_api: str = "INCREASE"
    api_rectify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zone(ZoneSettings):
    serial: int
    rrsets: tuple[_Rrset, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A zone as it is: its settings and its *serial*."""

    settings: ZoneSettings
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    daemon_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Error:
    error: str


class PowerDns:
    """One server. Every method raises `CommandFailed` where it says no, or nothing."""

    def __init__(self, place: Place, key: Secret, key_from: str, timeout: float = TIMEOUT) -> None:
        self._place = place
        self._key = key
        self._key_from = key_from
        self._timeout = timeout

    @property
    def url(self) -> str:
        return self._place.url

    def check(self) -> None:
        """Is it PowerDNS that answers, and does it take the key?"""
        body = self._say("GET", "", missing_is_none=True)
        if body is None:
            raise CommandFailed(self._stranger("it has no such path, as a gate has none"))
        if self._decode(_Server, body).daemon_type != _AUTHORITATIVE:
            raise CommandFailed("It is a PowerDNS, but not an authoritative one.")

    def zone(self, domain: str) -> Standing | None:
        """The zone *domain*, None where it has none."""
        body = self._say("GET", f"{_zone(domain)}?rrsets=false", missing_is_none=True)
        if body is None:
            return None
        zone = self._decode(_Zone, body)
        settings = ZoneSettings(kind=zone.kind, soa_edit_api=zone.soa_edit_api, api_rectify=zone.api_rectify)
        return Standing(settings=settings, serial=zone.serial)

    def rrsets(self, domain: str, name: str) -> tuple[Rrset, ...]:
        """All that stands at *name*, which has its final dot, in the zone *domain*."""
        asked = urlencode({"rrset_name": name})
        zone = self._decode(_Zone, self._say("GET", f"{_zone(domain)}?{asked}"))
        return tuple(
            Rrset(
                name=each.name.lower(),
                type=each.type,
                ttl=each.ttl,
                contents=tuple(record.content for record in each.records if not record.disabled),
            )
            for each in zone.rrsets
            if each.name.lower() == name
        )

    def create(self, domain: str, settings: ZoneSettings, rrsets: Iterable[Rrset]) -> None:
        """A new zone with these *settings* and *rrsets*."""
        wanted = {"name": f"{domain}.", "nameservers": [], **_fields(settings)}
        self._say("POST", "/zones", {**wanted, "rrsets": [_said(each) for each in rrsets if each.contents]})

    def set(self, domain: str, settings: ZoneSettings) -> None:
        self._say("PUT", _zone(domain), _fields(settings))

    def replace(self, domain: str, rrsets: Iterable[Rrset], serial: int) -> None:
        """From now on *rrsets* stand at their names, all or none of them. *serial* is the zone's so far."""
        changes = [
            {**_said(with_serial(each, serial)), "changetype": "REPLACE" if each.contents else "DELETE"}
            for each in rrsets
        ]
        self._say("PATCH", _zone(domain), {"rrsets": changes})

    def _decode(self, cls: type[T], body: bytes | None) -> T:
        try:
            return decode(cls, body or b"")
        except MalformedMessage:
            raise CommandFailed(self._stranger("its answer is not understood")) from None

    def _say(
        self, method: str, target: str, message: dict[str, Any] | None = None, *, missing_is_none: bool = False
    ) -> bytes | None:
        body = None if message is None else json.dumps(message).encode("ascii")
        headers = {"X-API-Key": self._key.reveal()}
        try:
            status, answered = exchange(self._place, method, f"{_SERVER}{target}", headers, body, self._timeout)
        except http.client.HTTPException as error:
            raise CommandFailed(self._stranger(clean(repr(error)))) from error
        except OSError as error:
            raise CommandFailed(f"It cannot be reached: {error.strerror or error}.") from error
        if 200 <= status < 300:
            return answered
        if status == http.client.NOT_FOUND and missing_is_none:
            return None
        raise CommandFailed(self._refusal(status, answered))

    def _refusal(self, status: int, body: bytes) -> str:
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            return f"It does not take the key of {self._key_from}."
        try:
            return f"PowerDNS says: {clean(decode(_Error, body).error)}"
        except MalformedMessage:
            return self._stranger(f"it answers {status}")

    def _stranger(self, why: str) -> str:
        return f"What answers there is not PowerDNS's own API: {why}."


def _zone(domain: str) -> str:
    return f"/zones/{quote(domain, safe='')}."


def _fields(settings: ZoneSettings) -> dict[str, Any]:
    return {"kind": settings.kind, "soa_edit_api": settings.soa_edit_api, "api_rectify": settings.api_rectify}


def _said(rrset: Rrset) -> dict[str, Any]:
    return {
        "name": rrset.name,
        "type": rrset.type,
        "ttl": rrset.ttl,
        "records": [{"content": each, "disabled": False} for each in rrset.contents],
    }
