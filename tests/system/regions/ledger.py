"""
What the ledger and the zone's servers say, read behind the service's back.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import psycopg2

from tests.system.regions.files import DOMAIN, GATE, READ_KEY
from tests.system.regions.histories import Grant, Record

_PATIENCE = 10.0
# Those of now and those of all time, in one statement: one moment. The columns are the fields of `Grant`, in order.
_GRANTS = """
SELECT f.tunnel, t.account, t.edge, e.region, f.kind, f.name, f.port, f.epoch,
       extract(epoch FROM f.started)::float, NULL::float, f.live
    FROM forwardings f JOIN tunnels t ON t.id = f.tunnel JOIN edges e ON e.name = t.edge
UNION ALL
SELECT f.tunnel, coalesce(t.account, o.account), coalesce(t.edge, o.edge), e.region, f.kind, f.name, f.port, f.epoch,
       extract(epoch FROM f.started)::float, extract(epoch FROM f.ended)::float, false
    FROM ended_forwardings f LEFT JOIN ended_tunnels t ON t.id = f.tunnel LEFT JOIN tunnels o ON o.id = f.tunnel
    JOIN edges e ON e.name = coalesce(t.edge, o.edge)
ORDER BY 8
"""


def read_grants(database: str) -> tuple[Grant, ...]:
    """The whole history, in the order of epochs. Raises `psycopg2.Error`."""
    connecting = psycopg2.connect(database, connect_timeout=int(_PATIENCE))
    with closing(connecting) as connection, connection.cursor() as cursor:
        cursor.execute(_GRANTS)
        rows = cursor.fetchall()
    names = [field.name for field in fields(Grant)]
    return tuple(Grant(**dict(zip(names, row, strict=True))) for row in rows)


def read_records(gates: Mapping[str, str], ca: Path, regions: tuple[str, ...]) -> tuple[Record, ...]:
    """The CNAMEs that lead to a region, at each of *gates* (server to address). Raises OSError."""
    context = ssl.create_default_context(cafile=str(ca))
    targets = {f"{region}.{DOMAIN}.": region for region in regions}
    records = []
    for server, address in gates.items():
        request = urllib.request.Request(
            f"https://{address}:{GATE}/api/v1/servers/localhost/zones/{DOMAIN}.", headers={"X-API-Key": READ_KEY}
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE, context=context) as response:
            zone = json.loads(response.read())
        for rrset in zone["rrsets"]:
            if rrset["type"] == "CNAME" and (target := rrset["records"][0]["content"]) in targets:
                name = rrset["name"].removesuffix(f".{DOMAIN}.")
                records.append(Record(server=server, name=name, region=targets[target]))
    return tuple(records)
