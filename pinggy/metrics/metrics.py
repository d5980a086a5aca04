"""
What one daemon shows: counters and histograms that it moves, and readings of what it knows anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, succeed

# Seconds: from a statement on the same machine to what a user takes for broken.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# What stands for a word that we have not chosen.
OTHER = "other"

# None: not known now, so that nothing is shown.
Read = Callable[[], float | None]
ReadEach = Callable[[], Mapping[str, float]]


class Words:
    """Counters of one name, one for each word of a set that was chosen before; any other word is `OTHER`."""

    def __init__(self, counter: Counter, words: Iterable[str]) -> None:
        # They begin with 0, so that the first increase is seen as one.
        self._counters = {word: counter.labels(word) for word in (*words, OTHER)}

    def count(self, word: str, amount: int = 1) -> None:
        self._counters.get(word, self._counters[OTHER]).inc(amount)


class Steps:
    """Histograms of seconds, one for each of some words."""

    def __init__(self, histogram: Histogram, words: Iterable[str]) -> None:
        self._histograms = {word: histogram.labels(word) for word in words}

    def took(self, word: str, seconds: float) -> None:
        """A *word* that was not chosen is left out."""
        histogram = self._histograms.get(word)
        if histogram is not None:
            histogram.observe(seconds)


class _Readings(Collector):
    """Families whose samples are read when somebody asks. What reads must neither raise nor wait."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Metric]] = []

    def add(self, family: Callable[[], Metric]) -> None:
        self._families.append(family)

    def collect(self) -> Iterable[Metric]:
        return [family() for family in self._families]


class Metrics:
    """
    The base of a daemon's metrics; *prefix* begins every name: ``pinggy_edge``.

    *registry* is its own, so that two daemons can live in one process.
    """

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = prefix
        self._readings = _Readings()
        self.registry.register(self._readings)

    def refresh(self) -> Deferred[None]:
        """Called before each exposition: fires when what is to be waited for is there; never fails."""
        return succeed(None)

    # -- moved by what happens --------------------------------------------------------------------------------------

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"{self._prefix}_{name}", text, registry=self.registry)

    def _words(self, name: str, text: str, label: str, words: Iterable[str]) -> Words:
        return Words(Counter(f"{self._prefix}_{name}", text, [label], registry=self.registry), words)

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(f"{self._prefix}_{name}_seconds", text, registry=self.registry, buckets=BUCKETS)

    def _steps(self, name: str, text: str, label: str, words: Iterable[str]) -> Steps:
        histogram = Histogram(f"{self._prefix}_{name}_seconds", text, [label], registry=self.registry, buckets=BUCKETS)
        return Steps(histogram, words)

    def _seconds_by(self, name: str, text: str, label: str) -> Histogram:
        """For a *label* whose values are the operator's, and few: each begins when it is first heard of."""
        return Histogram(f"{self._prefix}_{name}_seconds", text, [label], registry=self.registry, buckets=BUCKETS)

    # -- read when somebody asks ------------------------------------------------------------------------------------

    def _gauge(self, name: str, text: str, read: Read) -> None:
        self._readings.add(lambda: GaugeMetricFamily(f"{self._prefix}_{name}", text, value=read()))

    def _gauges(self, name: str, text: str, label: str, read: ReadEach) -> None:
        def family() -> Metric:
            found = GaugeMetricFamily(f"{self._prefix}_{name}", text, labels=[label])
            for word, value in read().items():
                found.add_metric([word], value)
            return found

        self._readings.add(family)

    def _total(self, name: str, text: str, read: Read) -> None:
        """*read* gives a count that never falls while the daemon runs."""
        self._readings.add(lambda: CounterMetricFamily(f"{self._prefix}_{name}", text, value=read()))

    def _totals(self, name: str, text: str, label: str, read: ReadEach) -> None:
        def family() -> Metric:
            found = CounterMetricFamily(f"{self._prefix}_{name}", text, labels=[label])
            for word, value in read().items():
                found.add_metric([word], value)
            return found

        self._readings.add(family)
