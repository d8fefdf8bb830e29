"""Autoscaling: what holds for every load."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from codestore.plan.autoscaling import Decision, Load, Scaling, decide, read
from tests.plan.watch import PANIC, SCALING, STABLE, Watch, later

counts = st.integers(1, 8)
requests = st.one_of(st.integers(0, 400), st.floats(0, 400))
gaps = st.one_of(st.floats(0.25, 2), st.sampled_from([0.25, 1.0, 2.0, 5.0, 9.0, 70.0]))
turns = st.lists(st.tuples(gaps, requests, counts), min_size=1, max_size=120)


def decisions(
    turns: Sequence[tuple[float, float, int]],
    count: int,
    scaling: Scaling = SCALING,
    tweak: Callable[[float], float] = float,
) -> list[tuple[float, Decision]]:
    """Return what is decided after each reading: (seconds since the last one, requests, ready)."""
    made: list[tuple[float, Decision]] = []
    load, moment = Load(), 0.0
    for gap, requests, ready in turns:
        moment += gap
        load = read(load, tweak(requests), scaling, later(moment))
        decision = decide(load, scaling, count, ready, later(moment))
        load, count = decision.load, decision.count
        made.append((moment, decision))
    return made


@given(turns, st.integers(-3, 20), st.integers(0, 5), st.integers(0, 8))
def test_the_limits_are_always_kept(
    turns: list[tuple[float, float, int]], count: int, minimum: int, more: int
) -> None:
    scaling = replace(SCALING, minimum=minimum, maximum=minimum + more)
    for _, decision in decisions(turns, count, scaling):
        assert max(1, minimum) <= decision.count <= max(1, minimum + more)


@given(turns, counts, counts, st.floats(1, 4), st.floats(0, 100))
def test_more_load_never_has_fewer_instances(
    turns: list[tuple[float, float, int]], count: int, other: int, factor: float, more: float
) -> None:
    low, high = min(count, other), max(count, other)
    less = decisions(turns, low)
    greater = decisions(turns, high, tweak=lambda requests: requests * factor + more)
    for (_, few), (_, many) in zip(less, greater, strict=True):
        assert few.count <= many.count


@given(turns, counts)
def test_what_was_scaled_up_for_is_kept_for_a_stable_window(
    turns: list[tuple[float, float, int]], count: int
) -> None:
    raised = [(float("-inf"), 1)]
    before = count
    for moment, decision in decisions(turns, count):
        kept = max(wanted for since, wanted in raised if moment - since <= STABLE or wanted == 1)
        assert decision.count >= kept
        if decision.count > before:
            raised.append((moment, decision.count))
        before = decision.count


@given(turns, counts)
def test_nothing_is_stopped_in_a_panic_or_without_a_stable_window_of_readings(
    turns: list[tuple[float, float, int]], count: int
) -> None:
    since = 0.0
    last = None
    for moment, decision in decisions(turns, count):
        if last is None or moment - last > PANIC + 1:  # seconds are counted whole
            since = moment
        if decision.count < count:
            assert decision.load.panicked is None
            assert moment - since > STABLE
        last, count = moment, decision.count


@given(st.integers(0, 300), counts, st.lists(st.floats(0.25, 2), min_size=10, max_size=10))
def test_a_constant_load_settles_and_stays(requests: int, count: int, rhythm: list[float]) -> None:
    made: list[int] = []
    watch, moment = Watch(count), 0.0
    while moment < 140:
        moment += rhythm[len(made) % len(rhythm)]
        made.append(watch.read(requests, moment).decide(moment))
    expected = SCALING.limited(SCALING.instances(requests))
    assert made[-1] == expected
    steps = [after - before for before, after in pairwise(made)]
    assert all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
    assert set(made[len(made) * 3 // 4 :]) == {expected}


@given(turns, counts, st.data())
def test_a_clock_that_is_set_back_never_stops_anything_early(
    turns: list[tuple[float, float, int]], count: int, data: st.DataObject
) -> None:
    """Time as it was lived and time as it was told differ; what was scaled up for is kept."""
    load, lived, told = Load(), 0.0, 0.0
    raised: list[tuple[float, int]] = []
    for gap, requests, ready in turns:
        back = data.draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 3.0, 4000.0]))
        lived, told = lived + gap, told + gap - back
        load = read(load, requests, SCALING, later(told))
        decision = decide(load, SCALING, count, ready, later(told))
        if decision.count < count:
            assert all(w <= decision.count for at, w in raised if lived - at <= STABLE - 1)
        if decision.count > count:
            raised.append((lived, decision.count))
        load, count = decision.load, decision.count
