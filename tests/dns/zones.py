"""
A small zone for the tests: every kind of record and name that the service can have.
"""

from __future__ import annotations

from pinggy.dns.embedded_zone import EmbeddedZone
from pinggy.dns.rrsets import parse_records
from pinggy.dns.zone import NameRecord

DOMAIN = "a.example"
RECORDS = (
    "@ NS ns1",
    "@ A 127.0.0.1",
    "ns1 A 127.0.0.1",
    "eu A 192.0.2.1",
    "eu AAAA 2001:db8::1",
    "www CNAME eu",
    "hop CNAME www",
    "away CNAME elsewhere.example.",
    "astray CNAME nowhere",
    "ring1 CNAME ring2",
    "ring2 CNAME ring1",
    "*.wild CNAME eu",
    "inside.wild A 192.0.2.9",
    "under.empty TXT text",
    "*.text TXT any",
    *(f"big TXT {number:03}-{'x' * 200}" for number in range(12)),
)


def small_zone() -> EmbeddedZone:
    return EmbeddedZone(DOMAIN, parse_records(RECORDS, DOMAIN), serial=7)


def record(label: str = "blog", target: str = "eu", epoch: int = 1) -> NameRecord:
    return NameRecord(name=f"{label}.{DOMAIN}", target=f"{target}.{DOMAIN}", epoch=epoch)
