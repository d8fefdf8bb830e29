"""Truth tables of autoscaling: what a load asks for."""

from dataclasses import replace

import pytest

from codestore.plan.autoscaling import Scaling
from tests.plan.watch import NOW, SCALING, STABLE, Watch, later, watched


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
