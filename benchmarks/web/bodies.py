"""
One download and one upload: curl, from nginx with sendfile, and to a local server that reads and drops.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.leg.loads import Failed, Flow, running_nginx, said_by
from benchmarks.web.ways import Door

PATIENCE = 40.0  # seconds for one body


def make_body(folder: Path, megabytes: int) -> Path:
    body = folder / "served" / "body"
    body.parent.mkdir(exist_ok=True)
    body.write_bytes(b"")
    with body.open("ab") as file:
        for _ in range(megabytes):
            file.write(bytes(1_000_000))
    return body


@contextmanager
def serving(folder: Path, body: Path) -> Iterator[int]:
    """The port of an nginx that has *body*, which is in the kernel's cache by now."""
    with running_nginx(folder, also=f"location = /body {{ sendfile on; root {body.parent}; }}") as running:
        yield running.port


def download(door: Door, ca: Path, size: int) -> Flow:
    return _carried(door, ca, size, "/body")


def upload(door: Door, ca: Path, body: Path) -> Flow:
    # Without 100-continue: what is measured is what follows it.
    return _carried(door, ca, body.stat().st_size, "/drop", "-H", "Expect:", "-T", str(body))


def _carried(door: Door, ca: Path, size: int, path: str, *words: str) -> Flow:
    before = door.spent()
    said = said_by(
        [
            *("curl", "-s", "-S", "-o", "/dev/null", "--http1.1", *words),
            *(("--cacert", str(ca)) * door.secure),
            *("--connect-to", f"::127.0.0.1:{door.port}", "--noproxy", "*"),
            *("-w", "%{http_code} %{size_download} %{size_upload} %{time_total}"),
            f"{door.scheme}://{door.authority}{path}",
        ],
        PATIENCE,
    )
    spent = door.spent() - before
    code, down, up, took = said.split()
    if code != "200" or size not in (int(down), int(up)):
        raise Failed(f"curl has {code}, {down} bytes down and {up} up, of {size}")
    return Flow(rate=size / float(took) / 1e6, cpu=spent / (size / 1e9))
