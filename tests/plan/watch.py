"""A deployment whose load is watched, second by second, as the tests of autoscaling need it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from codestore.plan.autoscaling import Load, Scaling, decide, read

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCALING = Scaling(minimum=1, maximum=8, target=40)  # 28 for each instance
STABLE = 60
PANIC = 6


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@dataclass
class Watch:
    """A deployment that is watched: what is wanted is ready at once, unless a test says more."""

    count: int = 1
    scaling: Scaling = SCALING
    load: Load = field(default_factory=Load)
    reason: str = ""

    def read(self, requests: float, *moments: float) -> "Watch":
        for moment in moments:
            self.load = read(self.load, requests, self.scaling, later(moment))
        return self

    def decide(self, moment: float, ready: int | None = None) -> int:
        ready = self.count if ready is None else ready
        decision = decide(self.load, self.scaling, self.count, ready, later(moment))
        self.load, self.count, self.reason = decision.load, decision.count, decision.reason
        return self.count

    def follow(self, requests: float, moments: Iterable[float]) -> list[int]:
        return [self.read(requests, moment).decide(moment) for moment in moments]

    @property
    def panics(self) -> bool:
        return self.load.panicked is not None


def watched(requests: float, count: int = 1, scaling: Scaling = SCALING) -> Watch:
    """Return one whose windows are full of the same reading, up to the moment 0."""
    return Watch(count, scaling).read(requests, *range(-STABLE - PANIC, 1))
