"""Autoscaling on readings that are missing, late, or from a clock that is set back."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from codestore.plan.autoscaling import Load, read
from tests.plan.watch import PANIC, SCALING, STABLE, Watch, later, watched


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
