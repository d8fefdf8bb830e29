"""How long wakes took is counted once each, in buckets that never lose one."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.domain.conditions import ConditionType, find
from codestore.domain.deployments import Deployment, State
from codestore.domain.environments import POLICIES, Kind
from codestore.domain.marking import counted, mark_awake, mark_standby
from codestore.domain.overrides import Override, rest
from codestore.domain.standby import BOUNDS, Depth, Histogram, Standby, Wakes
from tests.domain.test_deployments import NOW, living

SOON = NOW + timedelta(minutes=5)
LATER = NOW + timedelta(minutes=30)
waits = st.floats(0, 100, allow_nan=False)
shares = st.floats(0.01, 1)


def filled(*seconds: float) -> Histogram:
    histogram = Histogram()
    for each in seconds:
        histogram = histogram.counting(each)
    return histogram


def test_bounds_go_up_and_one_more_bucket_takes_the_rest() -> None:
    assert all(low < high for low, high in pairwise(BOUNDS))
    assert len(Histogram().counts) == len(BOUNDS) + 1
    assert filled(BOUNDS[-1] / 1000 + 0.001, 3600).counts[-1] == 2


@pytest.mark.parametrize("bucket", range(len(BOUNDS)))
def test_a_wake_that_took_as_long_as_a_bound_belongs_below_it(bucket: int) -> None:
    at = BOUNDS[bucket] / 1000
    assert filled(at).counts[bucket] == 1
    assert filled(at * 1.0001).counts[bucket + 1] == 1


def test_without_a_wake_there_is_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().count == 0


@pytest.mark.parametrize(
    ("seconds", "half", "most"),
    [
        ((0.0,), 1, 1),
        ((0.0004, 0.003, 0.0031), 3, 5),
        ((0.001,) * 99 + (1.5,), 1, 1),
        ((0.001,) * 98 + (1.5,) * 2, 1, 2000),
        ((11.0,), float("inf"), float("inf")),
    ],
)
def test_a_quantile_is_the_bound_that_so_many_kept(
    seconds: tuple[float, ...], half: float, most: float
) -> None:
    histogram = filled(*seconds)
    assert (histogram.quantile(0.5), histogram.quantile(0.99)) == (half, most)


@given(st.lists(waits))
def test_every_wake_is_counted_and_its_time_added(seconds: list[float]) -> None:
    histogram = filled(*seconds)
    assert histogram.count == sum(histogram.counts) == len(seconds)
    assert histogram.total == pytest.approx(sum(seconds))
    assert min(histogram.counts) >= 0


@given(st.lists(waits, min_size=1), shares)
def test_a_quantile_is_no_less_than_what_it_stands_for(seconds: list[float], share: float) -> None:
    bound = filled(*seconds).quantile(share)
    assert bound is not None
    kept = sum(each * 1000 <= bound for each in seconds)
    assert kept >= share * len(seconds) - 1e-9
    lower = max((each for each in BOUNDS if each < bound), default=0)
    assert sum(each * 1000 <= lower for each in seconds) < share * len(seconds) or lower == 0


@given(st.lists(waits, min_size=1), shares, shares)
def test_a_larger_share_has_no_smaller_quantile(
    seconds: list[float], one: float, other: float
) -> None:
    histogram = filled(*seconds)
    low, high = histogram.quantile(min(one, other)), histogram.quantile(max(one, other))
    assert low is not None
    assert high is not None
    assert low <= high


@given(st.lists(st.tuples(st.sampled_from(Depth), waits)))
def test_depths_are_counted_apart(woken: list[tuple[Depth, float]]) -> None:
    wakes = Wakes()
    for depth, seconds in woken:
        wakes = wakes.counting(depth, seconds)
    for depth in Depth:
        assert wakes.of(depth) == filled(*(seconds for from_, seconds in woken if from_ is depth))


def test_a_wake_that_is_told_again_is_counted_once() -> None:
    once = counted(living(), SOON, Depth.FROZEN, 0.004)
    assert once.status.wakes.frozen.count == 1
    assert once.status.woken_at == SOON
    assert counted(once, SOON, Depth.FROZEN, 0.004) == once
    assert counted(once, NOW, Depth.STOPPED, 1.0) == once  # an older one
    twice = counted(once, LATER, Depth.STOPPED, 0.9)
    assert (twice.status.wakes.frozen.count, twice.status.wakes.stopped.count) == (1, 1)
    assert twice.status.wakes.stopped.total == 0.9
    assert twice.state is living().state


def asleep(depth: Depth, waking: datetime | None = None, at: datetime = SOON) -> Deployment:
    return mark_standby(living(), Standby(depth, NOW, SOON, waking), at)


def explained(deployment: Deployment) -> tuple[State, str, datetime]:
    told = find(deployment.status.conditions, ConditionType.AWAKE)
    assert told is not None and deployment.explanation == (told.since, told.message)
    return deployment.state, told.reason, told.since


def test_every_sleep_has_its_state_its_reason_and_its_beginning() -> None:
    assert explained(asleep(Depth.FROZEN)) == (State.STANDBY, "Frozen", SOON)
    assert explained(asleep(Depth.STOPPED)) == (State.STANDBY, "Stopped", SOON)
    assert explained(asleep(Depth.STOPPED, LATER, LATER)) == (State.WAKING, "Waking", LATER)


def test_since_moves_when_it_sleeps_deeper_and_not_when_it_is_only_looked_at() -> None:
    frozen = asleep(Depth.FROZEN)
    standby = frozen.status.standby
    assert standby is not None
    assert mark_standby(frozen, standby, LATER).explanation == frozen.explanation
    deeper = mark_standby(frozen, Standby(Depth.STOPPED, NOW, LATER), LATER)
    assert explained(deeper) == (State.STANDBY, "Stopped", LATER)


def test_a_wake_ends_the_sleep_and_forgets_crashes() -> None:
    awake = mark_awake(asleep(Depth.FROZEN), LATER)
    assert explained(awake) == (State.READY, "Woken", LATER)
    assert awake.status.standby is None
    assert (awake.status.crashes, awake.status.restart_at) == (0, None)


@pytest.mark.parametrize(
    ("kind", "override", "expected"),
    [
        (Kind.PRIVATE, Override(), (300, 1800)),
        (Kind.PRIVATE, Override(standby=2, stop=10), (2, 10)),
        (Kind.DEMO, Override(standby=7200), (7200, 14400)),
        (Kind.DEVELOPMENT, Override(), None),
        (Kind.DEVELOPMENT, Override(stop=60), None),
        (Kind.STAGING, Override(standby=60), (60, 1800)),
        (Kind.PRODUCTION, Override(), None),
        (Kind.PRODUCTION, Override(standby=1, stop=2), None),
    ],
)
def test_rest_is_policy_and_manifest_and_stopping_never_comes_first(
    kind: Kind, override: Override, expected: tuple[float, float] | None
) -> None:
    assert rest(POLICIES[kind], override) == expected
