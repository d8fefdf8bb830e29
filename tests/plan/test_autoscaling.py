"""Truth tables of autoscaling, and what holds for every load."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.plan.autoscaling import Decision, Load, Scaling, decide, read

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


@pytest.mark.parametrize(
    ("requests", "count", "expected"),
    [
        (0, 1, 1),
        (28, 1, 1),
        (28.1, 1, 2),
        (56, 2, 2),
        (56.1, 2, 3),
        (84, 3, 3),
        (84, 2, 3),
        (224, 8, 8),
        (5000, 8, 8),
        (5000, 1, 8),
        (56, 3, 2),
        (56.1, 3, 3),
        (0, 2, 1),
    ],
)
def test_a_steady_load_has_the_instances_that_it_needs(
    requests: float, count: int, expected: int
) -> None:
    assert watched(requests, count).decide(0) == expected


@pytest.mark.parametrize(
    ("target", "utilization", "requests", "expected"),
    [(3, 0.7, 21, 10), (3, 0.7, 21.1, 11), (10, 1.0, 40, 4), (0.5, 1.0, 2, 4)],
)
def test_a_share_that_is_no_exact_number_asks_for_no_instance_too_many(
    target: float, utilization: float, requests: float, expected: int
) -> None:
    assert Scaling(1, 20, target, utilization).instances(requests) == expected


@pytest.mark.parametrize(
    ("ready", "requests", "panics"),
    [
        (0, 28, False),
        (0, 28.1, True),
        (1, 28, False),
        (1, 28.1, True),
        (2, 84, False),
        (2, 84.1, True),
        (3, 140, False),
        (3, 140.1, True),
        (8, 420, False),
        (8, 420.1, True),
    ],
)
def test_it_panics_when_twice_as_many_are_needed_as_are_ready(
    ready: int, requests: float, panics: bool
) -> None:
    watch = watched(requests, count=8)
    watch.decide(0, ready)
    assert watch.panics is panics


def test_in_a_panic_six_seconds_count_and_otherwise_sixty() -> None:
    calm, surge = watched(50, count=2), watched(50, count=2)
    assert calm.read(84, *range(1, 7)).decide(6) == 2  # 53.4 over 60 s
    assert surge.read(85, *range(1, 7)).decide(6) == 4
    assert (calm.panics, surge.panics) == (False, True)


def test_nothing_is_started_for_a_peak_that_is_over() -> None:
    watch = watched(56, count=2).read(84, *range(1, 20)).read(50, *range(20, 26))
    assert watch.decide(25) == 2  # 64 over 60 s
    assert watch.reason == "50 requests at once over 6 s, 28 for each instance"


def test_a_slow_rise_is_followed_by_the_stable_average() -> None:
    watch = watched(50, count=2)
    counts = watch.follow(70, range(1, 61))
    assert (counts.index(3), watch.panics) == (18, False)  # 50 + 20 × 18 ÷ 60 is 56
    assert counts[18:] == [3] * 42


@pytest.mark.parametrize(
    ("watch", "ready", "reason"),
    [
        (watched(50, 2), 2, "50 requests at once over 60 s, 28 for each instance"),
        (watched(1, 1), 1, "1 request at once over 60 s, 28 for each instance"),
        (watched(0.34, 1), 1, "0.3 requests at once over 60 s, 28 for each instance"),
        (watched(212, 2), 2, "212 requests at once over 6 s, 28 for each instance"),
        (watched(300, 8), 8, "300 requests at once over 60 s, 28 for each instance; at most 8"),
        (watched(300, 2), 2, "300 requests at once over 6 s, 28 for each instance; at most 8"),
        (
            watched(20, 4),
            4,
            "at most 20 requests at once over 6 s in the last 60 s, 28 for each instance",
        ),
        (
            watched(60, 4),
            1,
            "at most 60 requests at once over 6 s in the last 60 s, 28 for each instance;"
            " none is stopped within 60 s of a surge",
        ),
        (
            Watch(4).read(20, -2, -1, 0),
            4,
            "at most 20 requests at once over 6 s in the last 60 s, 28 for each instance;"
            " none is stopped before 60 s were seen",
        ),
        (Watch(4), 4, "how many requests are under way is not known"),
        (Watch(9), 9, "1 to 8 are allowed"),
        (watched(0, 9), 9, "1 to 8 are allowed"),
    ],
)
def test_people_are_told_why(watch: Watch, ready: int, reason: str) -> None:
    watch.decide(0, ready)
    assert watch.reason == reason


@pytest.mark.parametrize(
    ("minimum", "maximum", "count", "requests", "expected"),
    [
        (2, 8, 1, 0, 2),
        (2, 8, 9, 1000, 8),
        (2, 8, 2, 0, 2),
        (3, 3, 3, 0, 3),
        (3, 3, 3, 1000, 3),
        (3, 3, 1, 0, 3),
        (0, 8, 2, 0, 1),
        (0, 8, 1, 0, 1),
        (0, 0, 0, 1000, 1),
    ],
)
def test_the_limits_are_kept_and_nothing_is_scaled_to_zero(
    minimum: int, maximum: int, count: int, requests: float, expected: int
) -> None:
    scaling = replace(SCALING, minimum=minimum, maximum=maximum)
    assert watched(requests, count, scaling).decide(0) == expected
    assert Watch(count, scaling).decide(0) == scaling.limited(count)  # without data, too


@pytest.mark.parametrize(("ready", "expected"), [(0, 2), (1, 2), (2, 4), (3, 6), (4, 8), (5, 8)])
def test_one_decision_adds_no_more_than_a_factor_of_what_is_ready(
    ready: int, expected: int
) -> None:
    watch = watched(212, scaling=replace(SCALING, max_up_rate=2.0))
    assert watch.decide(0, ready) == expected


def test_a_small_factor_still_adds_one() -> None:
    assert watched(212, 2, replace(SCALING, max_up_rate=1.1)).decide(0) == 3


def test_one_decision_takes_no_more_than_a_factor_away() -> None:
    watch = watched(0, count=8)
    assert [watch.decide(moment) for moment in (0, 0, 0, 0)] == [4, 2, 1, 1]
    watch = watched(0, count=7)
    assert [watch.decide(0, ready=8), watch.decide(0, ready=7)] == [4, 3]
    assert watched(0, count=8).decide(0, ready=2) == 4


def test_what_has_not_been_stopped_yet_makes_it_no_more() -> None:
    assert watched(0, count=2).decide(0, ready=8) == 2


def test_what_was_wanted_stays_wanted_when_instances_are_missing() -> None:
    assert watched(100, count=4).decide(0, ready=3) == 4
    assert watched(100, count=4).decide(0, ready=0) == 4


def test_nothing_is_stopped_before_a_stable_window_after_the_peak() -> None:
    watch = watched(100, count=4)
    counts = watch.follow(20, range(1, 80))
    assert counts[:60] == [4] * 60  # the last second that needed four is still in the window
    assert counts[60:67] == [4, 3, 3, 2, 2, 1, 1]  # then only a part of six seconds was in it


def test_a_single_second_without_much_load_stops_nothing() -> None:
    watch = watched(100, count=4).read(0, 1, 2)
    assert watch.decide(2) == 4


def test_a_panic_lasts_a_stable_window_after_the_threshold_was_last_passed() -> None:
    watch = watched(20, count=1)
    assert watch.follow(100, range(1, 11))[-1] == 4
    passed = watch.load.panicked
    watch.follow(0, range(11, 14))
    ends = 13
    while watch.panics:
        assert watch.load.panicked == passed
        assert watch.count == 4
        ends += 1
        watch.read(0, ends).decide(ends)
    assert passed is not None
    assert ends == passed - NOW.timestamp() + STABLE + 1


def test_a_surge_that_goes_on_goes_on_being_a_panic() -> None:
    watch = watched(212, count=8)
    for moment in range(1, 200):  # the instances do not come up
        watch.read(212, moment).decide(moment, ready=2)
    assert watch.load.panicked == later(199).timestamp()


def test_a_panic_does_not_go_on_because_an_old_reading_is_looked_at_again() -> None:
    watch = watched(212, count=2)
    watch.decide(0, ready=2)
    watch.decide(5, ready=2)
    assert watch.load.panicked == NOW.timestamp()


def test_what_is_wanted_only_grows_in_a_panic() -> None:
    watch = watched(20, count=1)
    counts = watch.follow(120, range(1, 7)) + watch.follow(60, range(7, 30))
    assert counts == sorted(counts)
    assert watch.follow(224, range(30, 40))[-1] == 8


def test_after_a_restart_nothing_is_stopped_before_a_stable_window_was_seen() -> None:
    counts = Watch(8).follow(0, range(65))
    assert counts[:61] == [8] * 61
    assert counts[61:] == [4, 2, 1, 1]


def test_after_a_restart_a_surge_is_answered_at_once() -> None:
    assert Watch(2).follow(212, range(3)) == [2, 8, 8]


@pytest.mark.parametrize(
    ("readings", "moment", "known"),
    [
        ((), 0, False),
        ((0,), 0, False),
        ((0.1, 0.6), 0.9, False),
        ((0, 1), 1, True),
        ((0, 5), 5, True),
        ((0, 6), 6, False),
        ((0, 2), 7.9, True),
        ((0, 2), 8, False),
    ],
)
def test_without_data_nothing_is_decided(
    readings: Sequence[float], moment: float, known: bool
) -> None:
    watch = Watch(2).read(212, *readings)
    assert watch.decide(moment) == (8 if known else 2)
    assert ("not known" in watch.reason) is not known


def test_a_missing_reading_is_not_a_zero() -> None:
    watch = Watch(3).read(84, *range(-66, 1, 3))
    assert watch.decide(0) == 3
    assert watch.reason == "84 requests at once over 60 s, 28 for each instance"


@pytest.mark.parametrize(("gap", "expected"), [(6, 2), (7, 4)])
def test_after_a_gap_longer_than_a_panic_window_the_stable_window_begins_again(
    gap: int, expected: int
) -> None:
    watch = Watch(4).read(20, *range(-70, -30), *range(-31 + gap, 1))
    assert watch.decide(0) == expected


def test_readings_within_one_second_are_one() -> None:
    watch = Watch(1).read(20, *range(-66, -5))
    for second in range(-5, 1):
        watch.read(0, second, second + 0.2).read(90, second + 0.4)
    assert watch.decide(0.5) == 2
    assert watch.reason == "30 requests at once over 6 s, 28 for each instance"


def test_a_peak_that_the_rest_of_its_second_softens_is_not_forgotten() -> None:
    watch = watched(84, count=3)
    assert (watch.read(110, 1, 1.1).decide(1.1), watch.panics) == (4, False)
    watch.read(0, 1.2, 1.4, 1.6, 1.8)
    assert watch.follow(84, range(2, 64)) == [4] * 60 + [3] * 2


def test_the_load_has_a_bounded_size() -> None:
    load = Load()
    for number in range(1000):
        load = read(load, number, SCALING, later(number / 4))
        assert len(load.seconds) <= STABLE + PANIC + 1
    assert len(load.seconds) == STABLE + PANIC + 1


@pytest.mark.parametrize("back", [1, 5, 30, 3600, 100_000])
def test_a_clock_that_is_set_back_changes_nothing_but_the_clock(back: int) -> None:
    watch = watched(100, count=4)
    watch.decide(0, ready=2)
    calm = watched(20, count=4).read(20, -back).decide(-back)
    assert calm == 2
    counts = watch.follow(20, range(1 - back, 80 - back))
    assert counts[:60] == [4] * 60
    assert counts[-1] == 1
    assert watch.follow(212, range(80 - back, 86 - back))[-1] == 8


def test_a_clock_that_is_set_back_while_nothing_is_read_makes_no_reading_new() -> None:
    watch = watched(212, count=2)
    watch.decide(-3600)
    watch.decide(-3590)
    assert watch.reason == "how many requests are under way is not known"


def test_a_host_that_was_suspended_begins_again() -> None:
    watch = watched(212, count=8)
    watch.decide(0, ready=1)
    assert (watch.panics, watch.decide(3600)) == (True, 8)
    counts = watch.follow(0, range(3600, 3665))
    assert counts[:61] == [8] * 61
    assert (counts[-1], watch.panics) == (1, False)


def test_a_window_that_was_made_longer_must_be_seen_first() -> None:
    watch = watched(0, count=4)
    watch.scaling = replace(SCALING, stable_window=120)
    assert watch.follow(0, range(1, 50))[-1] == 4
    assert watch.follow(0, range(50, 62))[-1] == 1


# What holds for every load.

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
