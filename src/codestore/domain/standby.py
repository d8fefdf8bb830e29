"""Standby: how deep a deployment sleeps, and how long callers waited when it was woken."""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

BOUNDS = (1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Upper bounds of a histogram's buckets in milliseconds; one more takes the rest."""


class Depth(StrEnum):
    """Frozen: the processes are there and do nothing. Stopped: there is none."""

    FROZEN = "frozen"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Standby:
    """How a deployment sleeps: in this depth since ``since``, being woken since ``waking_since``.

    ``idle_since`` is when the last request ended.
    """

    depth: Depth
    idle_since: datetime
    since: datetime
    waking_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often a wake took how long. ``counts`` by bucket, ``total`` in seconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    @property
    def count(self) -> int:
        """How many wakes there were."""
        return sum(self.counts)

    def counting(self, seconds: float) -> "Histogram":
        """Return the histogram with one more wake."""
        bucket = bisect_left(BOUNDS, seconds * 1000)
        counts = (*self.counts[:bucket], self.counts[bucket] + 1, *self.counts[bucket + 1 :])
        return Histogram(counts, self.total + seconds)

    def quantile(self, share: float) -> float | None:
        """Return the upper bound, in milliseconds, of the bucket that this share falls into.

        ``None`` without a wake; infinity when it falls behind the last bound.
        """
        left = share * self.count
        if not self.count:
            return None
        for bound, count in zip((*BOUNDS, float("inf")), self.counts, strict=True):
            left -= count
            if left <= 0:
                return float(bound)
        return float("inf")


@dataclass(frozen=True, slots=True)
class Wakes:
    """The wakes of a deployment, by the depth that it was woken from."""

    frozen: Histogram = field(default_factory=Histogram)
    stopped: Histogram = field(default_factory=Histogram)

    def of(self, depth: Depth) -> Histogram:
        """Return those from one depth."""
        return self.frozen if depth is Depth.FROZEN else self.stopped

    def counting(self, depth: Depth, seconds: float) -> "Wakes":
        """Return them with one more."""
        if depth is Depth.FROZEN:
            return replace(self, frozen=self.frozen.counting(seconds))
        return replace(self, stopped=self.stopped.counting(seconds))
