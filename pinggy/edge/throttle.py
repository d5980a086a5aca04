"""
How often one visitor of a tunnel may ask, and how often he may guess its password.

Visitors are told apart by what their address is counted as (`limits.counted_as`). Times are seconds of one clock, which
may be set meanwhile.
"""

from __future__ import annotations

from pinggy.tunnel.policy import Rate

# Visitors of one tunnel who are remembered. Of more, those who asked longest ago are new again.
MOST_VISITORS = 4096
# Wrong passwords and keys of one visitor: ten at once, then one every six seconds.
WRONG_TRIES = Rate(10, 60)


class TokenBuckets:
    """
    One bucket for each visitor: it holds as many tokens as *rate* counts, and fills evenly. At most *most* of them are
    kept; one that must be full again is not.
    """

    __slots__ = ("_buckets", "_most", "rate")

    def __init__(self, rate: Rate, most: int = MOST_VISITORS) -> None:
        self.rate = rate
        self._most = most
        # What was left, and when: in the order of the times.
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, visitor: str, now: float) -> float:
        """Seconds until there is a token; 0 where there is one."""
        # What is missing to a whole token by nothing but rounding is not missing.
        missing = 1.0 - 1e-6 - self._left(visitor, now)
        return missing * self.rate.seconds / self.rate.count if missing > 0 else 0.0

    def take(self, visitor: str, now: float) -> None:
        """Take a token, if there is one."""
        left = max(self._left(visitor, now) - 1.0, 0.0)
        self._buckets.pop(visitor, None)
        self._forget(now)
        self._buckets[visitor] = (left, now)

    def _left(self, visitor: str, now: float) -> float:
        bucket = self._buckets.get(visitor)
        if bucket is None:
            return float(self.rate.count)
        left, then = bucket
        if now < then:
            # The clock has been set back: what was left is left still, and fills from now on.
            self._buckets[visitor] = (left, now)
            return left
        return min(left + (now - then) * self.rate.count / self.rate.seconds, float(self.rate.count))

    def _forget(self, now: float) -> None:
        """Make room for one. What a call takes in it forgets, or calls before it have: two looks are enough."""
        buckets = self._buckets
        for _ in range(2):
            oldest = next(iter(buckets), None)
            if oldest is None:
                return
            if len(buckets) < self._most and buckets[oldest][1] + self.rate.seconds > now:
                return
            del buckets[oldest]


class Throttle:
    """Of one tunnel. Each question is answered in seconds to wait, 0 for not at all."""

    __slots__ = ("_requests", "_tries")

    def __init__(self) -> None:
        self._requests: TokenBuckets | None = None
        self._tries: TokenBuckets | None = None

    def request(self, rate: Rate, visitor: str, now: float) -> float:
        """*visitor* makes a request, where *rate* is in force; one who must wait has made none."""
        buckets = self._requests
        if buckets is None or buckets.rate != rate:
            # All begin anew under another rate.
            buckets = self._requests = TokenBuckets(rate)
        wait = buckets.wait(visitor, now)
        if not wait:
            buckets.take(visitor, now)
        return wait

    def try_of(self, visitor: str, now: float) -> float:
        """*visitor* has brought a password or key, which has not been looked at."""
        return self._tries.wait(visitor, now) if self._tries is not None else 0.0

    def wrong_try(self, visitor: str, now: float) -> None:
        """It was wrong."""
        if self._tries is None:
            self._tries = TokenBuckets(WRONG_TRIES)
        self._tries.take(visitor, now)
