"""
A little of the fuzz, and what it must be able to find.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.cases import judge, run, run_by_another
from tests.fuzz.h2_edge import run_h2
from tests.fuzz.h2_local import run_local
from tests.fuzz.h2_order import run_order
from tests.fuzz.mutations import POISON

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: blog.a.example\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (
    b"PUT /c HTTP/1.1\r\nHost: shop.a.example\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
)


@pytest.mark.parametrize("first", range(0, 1200, 100))
def test_what_reaches_a_local_server_is_what_a_strict_reader_reads(first: int) -> None:
    for seed in range(first, first + 100):
        run(seed)


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_what_reaches_a_local_server_is_what_was_asked_over_http_2(first: int) -> None:
    for seed in range(first, first + 100):
        run_h2(seed)


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_it_is_so_by_another_edge_too(first: int) -> None:
    for seed in range(first, first + 100):
        run_by_another(seed)


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_what_a_local_server_says_over_http_2_is_what_the_visitor_hears_or_broken(first: int) -> None:
    for seed in range(first, first + 100):
        run_local(seed)


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_whatever_the_order_of_frames_nothing_breaks_and_nothing_stays_behind(first: int) -> None:
    for seed in range(first, first + 100):
        run_order(seed)


@pytest.mark.parametrize("data", [GET + POST, POST + CHUNKS, CHUNKS + GET], ids=["length", "both", "chunks"])
def test_every_split(data: bytes) -> None:
    for at in range(len(data) + 1):
        judge([[data[:at], data[at:]]], Random(at), f"split at {at}")


@pytest.mark.parametrize("poison", POISON)
def test_every_poison_at_every_place(poison: bytes) -> None:
    for at in range(0, len(POST + CHUNKS), 3):
        data = (POST + CHUNKS)[:at] + poison + (POST + CHUNKS)[at:]
        judge([[data]], Random(at), f"{poison!r} at {at}")
