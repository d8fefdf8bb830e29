"""How a deployment sleeps and how long its wakes took, as it crosses HTTP."""

from collections.abc import Iterator
from itertools import accumulate
from math import isfinite

from codestore.domain.standby import BOUNDS, Depth, Histogram, Standby, Wakes
from codestore.wire import StandbyView, WakesView

BEYOND = "+Inf"
"""The name of the bucket behind the last bound, as Prometheus has it."""


def standby_view(standby: Standby | None) -> StandbyView | None:
    """Show how a deployment sleeps, if it does."""
    if standby is None:
        return None
    return StandbyView(standby.depth.value, standby.idle_since, standby.since)


def wakes_views(wakes: Wakes) -> dict[str, WakesView]:
    """Show the wakes from each depth that there were any from."""
    return {depth.value: _wakes(held) for depth, held in of_each_depth(wakes)}


def of_each_depth(wakes: Wakes) -> Iterator[tuple[Depth, Histogram]]:
    """Yield each depth that it was woken from, and how long that took."""
    for depth in Depth:
        held = wakes.of(depth)
        if held.count:
            yield depth, held


def cumulative(histogram: Histogram) -> Iterator[tuple[int | None, int]]:
    """Yield each bound (``None`` behind the last) and how many wakes took no longer than that."""
    return zip((*BOUNDS, None), accumulate(histogram.counts), strict=True)


def _wakes(histogram: Histogram) -> WakesView:
    return WakesView(
        count=histogram.count,
        p50_ms=_finite(histogram.quantile(0.5)),
        p99_ms=_finite(histogram.quantile(0.99)),
        buckets={
            BEYOND if bound is None else str(bound): count for bound, count in cumulative(histogram)
        },
        total_seconds=histogram.total,
    )


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and isfinite(value) else None
