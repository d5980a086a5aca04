"""
The nearest edge by PowerDNS, through a real core and a real gate: three places, three edges, and one that dies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted

from pinggy.settings import Secret
from pinggy.wire.operator import PlaceEdge
from tests.support.nearest import PLACES, VISITORS, Nearest, until
from tests.support.powerdns import PowerDns

asynchronous = pytest_twisted.ensureDeferred
EACH_ITS_OWN = {place: place for place in VISITORS}


@pytest_twisted.async_yield_fixture
async def house(nearest: PowerDns, database: Secret, tmp_path: Path) -> AsyncIterator[Nearest]:
    house = Nearest(nearest, database, tmp_path)
    yield house
    await house.stop()


async def leads(house: Nearest, wanted: dict[str, str], name: str = "a.example") -> None:
    """Four times in a row: where nobody is near to anything, PowerDNS draws lots."""
    await until(
        lambda: all(house.answers(name) == wanted for _ in range(4)),
        lambda: f"{house.answers(name)} instead of {wanted}",
    )


@asynchronous
async def test_each_place_is_led_to_its_edge_and_past_one_that_is_dead(house: Nearest) -> None:
    await house.start("eu", "us", "ap")
    await leads(house, EACH_ITS_OWN)
    # The apex keeps what makes it a zone.
    assert house.ask(kind="NS") == ["ns1.a.example."]
    assert house.ask(kind="AAAA") == []
    await house.kill("us")
    await leads(house, {"eu": "eu", "us": "eu", "ap": "ap"})
    house.listen("us")
    await leads(house, EACH_ITS_OWN)
    # An edge that drains is left out, alive as it is.
    await house.core.service.drains.begin("eu-1")
    await leads(house, {"eu": "us", "us": "us", "ap": "ap"})


@asynchronous
async def test_a_label_leads_there_too_and_a_file_that_changes_is_loaded(
    nearest: PowerDns, database: Secret, tmp_path: Path
) -> None:
    house = Nearest(nearest, database, tmp_path, "go")
    try:
        await house.start("eu", "ap")
        name = "go.a.example"
        await leads(house, {"eu": "eu", "us": "eu", "ap": "ap"}, name)
        # The edges change places.
        for edge, place in (("eu-1", "ap"), ("ap-1", "eu")):
            latitude, longitude = PLACES[place]
            await house.core.operator.place_edge(PlaceEdge(name=edge, latitude=latitude, longitude=longitude))
        await house.placed(eu="ap", ap="eu")
        await leads(house, {"eu": "ap", "us": "ap", "ap": "eu"}, name)
    finally:
        await house.stop()
