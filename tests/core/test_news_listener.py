"""
The connection that brings news: lost, it is made again, and everybody is told to look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from pinggy.core.connections import Servers
from pinggy.core.news import EdgesChanged, News
from pinggy.core.news_listener import NewsListener
from pinggy.settings import Secret
from tests.support.logs import logged
from tests.support.postgres import Databases, execute

asynchronous = pytest_twisted.ensureDeferred
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pinggy-core'"
NOWHERE = Secret("postgresql://nobody@127.0.0.1:1/none")
Make = Callable[[Secret, News], NewsListener]


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[Make]:
    made: list[NewsListener] = []

    def listener(url: Secret, news: News) -> NewsListener:
        made.append(NewsListener(reactor, Servers(reactor, url, 10.0), news))
        return made[-1]

    yield listener
    for each in made:
        await each.stop()


def next_gap(news: News) -> Deferred[None]:
    gap: Deferred[None] = Deferred()
    news.on_gap.append(lambda: None if gap.called else gap.callback(None))
    return gap


@asynchronous
async def test_a_cut_is_mended_and_everybody_looks_again(postgres: Databases, make: Make) -> None:
    news = News()
    gap = next_gap(news)
    with logged("pinggy.core.") as log:
        await make(postgres.url, news).start()
        assert not gap.called
        execute(postgres.url, CUT)
        await gap
    assert [line for line in log if "news of other cores" in line] == [
        "news of other cores is missed: the connection that brings it was lost",
        "news of other cores is heard again",
    ]
    heard: Deferred[EdgesChanged] = Deferred()
    news.hear(EdgesChanged, heard.callback)
    execute(postgres.url, f"NOTIFY pinggy, '{News().bulletin([EdgesChanged()]).text()}'")
    assert await heard == EdgesChanged()


@asynchronous
async def test_nonsense_is_passed_over(postgres: Databases, make: Make) -> None:
    news = News()
    await make(postgres.url, news).start()
    heard: Deferred[EdgesChanged] = Deferred()
    news.hear(EdgesChanged, heard.callback)
    with logged("pinggy.core.") as log:
        newer = '{"core": "x", "serial": 1, "items": [{"is": "of-a-newer-core"}, {"is": "edges-changed"}]}'
        for text in ("", "nonsense", '{"core": 1}', newer):
            execute(postgres.url, f"NOTIFY pinggy, '{text}'")
        assert await heard == EdgesChanged()
    assert len([line for line in log if "not understood" in line]) == 3


@asynchronous
async def test_it_can_be_stopped_while_the_database_is_away(make: Make) -> None:
    listener = make(NOWHERE, News())
    with logged("pinggy.core.") as log:
        listening = listener.start()
        missed: Deferred[None] = Deferred()
        reactor.callLater(0.05, missed.callback, None)
        await missed
        assert not listening.called
        await listener.stop()
        await listening
    assert len([line for line in log if "missed" in line]) == 1


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@asynchronous
async def test_it_can_be_stopped_at_any_step_of_its_start(postgres: Databases, make: Make, after: int) -> None:
    listener = make(postgres.url, News())
    listening = listener.start()
    for _ in range(after):
        turn: Deferred[None] = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn
    await listener.stop()
    await listening


@asynchronous
@pytest.mark.parametrize("turns", range(4))
async def test_nothing_is_left_of_what_is_on_its_way_to_other_cores_when_it_stops(
    postgres: Databases, turns: int
) -> None:
    news = News()
    listener = NewsListener(reactor, Servers(reactor, postgres.url, 10.0), news)
    await listener.start()
    before = reactor.getDelayedCalls()
    for _ in range(50):
        news.say(EdgesChanged())
    for _ in range(turns):
        await deferLater(reactor, 0, lambda: None)
        news.say(EdgesChanged())
    await listener.stop()
    assert [each for each in reactor.getDelayedCalls() if each not in before] == []
