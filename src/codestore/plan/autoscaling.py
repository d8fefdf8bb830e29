"""Autoscaling: how many instances a deployment should have, from the requests under way.

The model is Knative's pod autoscaler, KPA (knative/serving at 98e5ef9: the files
``pkg/autoscaler/scaling/autoscaler.go`` and ``pkg/autoscaler/aggregation/bucketing.go``; the
defaults are those of ``config/core/configmaps/autoscaler.yaml``).

Taken from it: the average of requests under way over a stable and a panic window, in buckets of
one second; a target for each instance, of which a share is aimed at; panic, when what the panic
window wants is a multiple of what is ready, in which nothing is scaled down, and which ends a
stable window after the threshold was last passed; one factor at most per decision, up and down;
limits that are applied last; nothing decided without data.

Other than there:

- A second without a reading is left out of an average; the KPA counts it as zero.
- After a restart the KPA panics to keep its size. Here nothing is scaled down before readings
  reach back over a whole stable window, without a gap longer than a panic window.
- The KPA follows its stable average down at once, or, with ``scale-down-delay``, keeps the highest
  of its last decisions. Here the readings are asked: no stretch of one panic window within the
  stable window may have needed more. So what was scaled up for is kept for a stable window.
- Outside a panic the KPA scales up for the stable average alone. Here the panic window must want it
  too: nothing is started for a peak that is over.
- In a panic the KPA takes the larger of both averages. Here the panic window's is enough, for the
  count that was decided before is kept.
- The KPA scales from the instances that are ready. Here a count that was decided once is kept until
  something else is: an instance that crashed is still wanted.

Not taken: scaling to zero, its grace and retention times, and initial and activation scale (standby
sees to them: here it is never below one); burst capacity and activator (callers queue at the
listening socket, which needs no proxy); requests per second as a measure (requests under way
include those that wait, so they tell of slow instances as well); the exponentially weighted
average (an option of the KPA, off by default).

Fewer are only *wanted* here. A rollout lets an instance finish what it has before it is stopped,
and one that does so is not ``ready``.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil, floor
from operator import attrgetter
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a deployment is scaled; windows in whole seconds, the panic window the shorter one.

    ``target`` is how many requests an instance may have at once, ``utilization`` the share of it
    that is aimed at. It panics when ``panic_threshold`` times as many instances are needed as are
    ready. In one decision it grows and shrinks by a factor of at most ``max_up_rate`` and
    ``max_down_rate``, both above 1.
    """

    minimum: int
    maximum: int
    target: float
    utilization: float = 0.7
    stable_window: int = 60
    panic_window: int = 6
    panic_threshold: float = 2.0
    max_up_rate: float = 1000.0
    max_down_rate: float = 2.0

    @property
    def share(self) -> float:
        """How many requests at once are aimed at for each instance."""
        return self.target * self.utilization

    def instances(self, requests: float) -> int:
        """Return how many instances so many requests at once need, whatever the limits."""
        return ceil(round(requests / self.share, 6))  # 21 ÷ (3 × 0.7) is a little above 10

    def limited(self, count: int) -> int:
        """Return the nearest count that is allowed."""
        return max(1, self.minimum, min(count, self.maximum))


@dataclass(frozen=True, slots=True)
class Second:
    """What was read in one second, ``at`` since the epoch: so many readings, together ``total``.

    ``peak`` is the highest average over a panic window that was seen in it.
    """

    at: int
    total: float
    readings: int
    peak: float = 0.0

    @property
    def requests(self) -> float:
        """How many requests were under way, on average."""
        return self.total / self.readings


@dataclass(frozen=True, slots=True)
class Load:
    """What was read of a deployment lately, oldest first; empty after a restart of the platform.

    ``panicked`` is the second whose reading last passed the threshold; ``None``: it is calm.
    """

    seconds: tuple[Second, ...] = ()
    panicked: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How many instances are wanted, why, and the load to go on with."""

    count: int
    reason: str
    load: Load


def read(load: Load, requests: float, scaling: Scaling, now: datetime) -> Load:
    """Return the load with one more reading: so many requests are under way, waiting ones too.

    Readings come in order; whoever could not read leaves one out. What no window reaches any more
    is forgotten: at most one entry is kept per second of both windows, and one more.
    """
    at = floor(now.timestamp())
    load = _set_back(load, at)
    second = Second(at, requests, 1)
    earlier = _since(load, at - scaling.stable_window - scaling.panic_window)
    if earlier and earlier[-1].at == at:
        last = earlier[-1]
        second = Second(at, last.total + requests, last.readings + 1, last.peak)
        earlier = earlier[:-1]
    load = replace(load, seconds=(*earlier, second))
    peak = max(second.peak, _average(load, scaling.panic_window))
    return replace(load, seconds=(*earlier, replace(second, peak=peak)))


def decide(load: Load, scaling: Scaling, count: int, ready: int, now: datetime) -> Decision:
    """Decide how many instances are wanted; to be asked every 2 s or so, as the KPA is.

    ``count`` is what was wanted until now, ``ready`` how many take requests at this moment.
    """
    at = floor(now.timestamp())
    load = _set_back(load, at)
    allowed = scaling.limited(count)
    if allowed != count:
        return Decision(allowed, f"{scaling.minimum} to {scaling.maximum} are allowed", load)
    if not _known(load, scaling, at):
        return Decision(count, "how many requests are under way is not known", load)
    requests, window = _average(load, scaling.panic_window), scaling.panic_window
    load = replace(load, panicked=_panicked(load, scaling, requests, ready, at))
    stable = _average(load, scaling.stable_window)
    if load.panicked is None and stable <= requests:
        requests, window = stable, scaling.stable_window
    why = f"{_told(requests)} at once over {window} s, {scaling.share:g} for each instance"
    wanted = scaling.instances(requests)
    if wanted > scaling.maximum:
        why += f"; at most {scaling.maximum}"
    up = scaling.limited(min(wanted, ceil(scaling.max_up_rate * max(1, ready))))
    if up > count:
        return Decision(up, why, load)
    if scaling.limited(wanted) >= count:
        return Decision(count, why, load)
    slowest = floor(max(count, ready) / scaling.max_down_rate)
    return _fewer(load, scaling, count, slowest, at)


def _fewer(load: Load, scaling: Scaling, count: int, slowest: int, at: int) -> Decision:
    """Scale down as far as the whole stable window allows, or say what that waits for."""
    busiest = max(second.peak for second in _since(load, at - scaling.stable_window))
    why = (
        f"at most {_told(busiest)} at once over {scaling.panic_window} s in the last "
        f"{scaling.stable_window} s, {scaling.share:g} for each instance"
    )
    if load.panicked is not None:
        why += f"; none is stopped within {scaling.stable_window} s of a surge"
    elif not _covered(load, scaling, at):
        why += f"; none is stopped before {scaling.stable_window} s were seen"
    else:
        count = min(count, scaling.limited(max(slowest, scaling.instances(busiest))))
    return Decision(count, why, load)


def _panicked(load: Load, scaling: Scaling, requests: float, ready: int, at: int) -> int | None:
    """Return when the threshold was last passed, or ``None`` if it is a stable window ago."""
    if scaling.instances(requests) / max(1, ready) >= scaling.panic_threshold:
        return load.seconds[-1].at
    if load.panicked is not None and at - load.panicked > scaling.stable_window:
        return None
    return load.panicked


def _known(load: Load, scaling: Scaling, at: int) -> bool:
    """Whether there is data to decide on: a reading in every third second, none of them old."""
    if not load.seconds or at - load.seconds[-1].at >= scaling.panic_window:
        return False
    return 3 * len(_latest(load, scaling.panic_window)) >= scaling.panic_window


def _covered(load: Load, scaling: Scaling, at: int) -> bool:
    """Whether readings reach back over a whole stable window without a long gap."""
    later = at
    for second in reversed(load.seconds):
        if later - second.at > scaling.panic_window:
            return False
        if second.at < at - scaling.stable_window:
            return True
        later = second.at
    return False


def _average(load: Load, window: int) -> float:
    """Return the average over the window that ends with the last reading."""
    return fmean(second.requests for second in _latest(load, window))


def _latest(load: Load, window: int) -> tuple[Second, ...]:
    return _since(load, load.seconds[-1].at - window + 1)


def _since(load: Load, at: int) -> tuple[Second, ...]:
    return load.seconds[bisect_left(load.seconds, at, key=attrgetter("at")) :]


def _set_back(load: Load, at: int) -> Load:
    """Move the past back with a clock that was set back, so that it stays as long ago as it was."""
    back = load.seconds[-1].at - at if load.seconds else 0
    if back <= 0:
        return load
    seconds = tuple(replace(second, at=second.at - back) for second in load.seconds)
    panicked = None if load.panicked is None else load.panicked - back
    return Load(seconds, panicked)


def _told(requests: float) -> str:
    number = f"{round(requests, 1):g}"
    return f"{number} request" if number == "1" else f"{number} requests"
