"""
``python -m pinggy.dns.geo.compose``: a large database takes a minute or so, which no reactor waits for.

Reads ``{"places": {ADDRESS: [LATITUDE, LONGITUDE]}, "database": PATH or null, "out": PATH}`` and says the text that
tells one outcome from another; or, with status 1, why there is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from pinggy.dns.geo.file import GeoUnusable, compose
from pinggy.dns.geo.grid import Spot


def main() -> None:
    # Visitors come first; a unit of systemd may forbid to say so.
    with contextlib.suppress(OSError):
        os.nice(10)
    asked: dict[str, Any] = json.load(sys.stdin)
    places = {address: Spot(*degrees) for address, degrees in asked["places"].items()}
    database = None if asked["database"] is None else Path(asked["database"])
    try:
        sys.stdout.write(compose(places, database, Path(asked["out"])))
    except GeoUnusable as error:
        sys.stdout.write(str(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
