"""What came between two looks is counted once, in its minutes, whatever happened meanwhile."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codestore.domain.canary import Tally
from codestore.domain.looks import (
    LATE,
    LONGEST,
    SLACK,
    Look,
    came,
    came_late,
    spread,
    to_forget,
    to_remember,
)
from codestore.domain.promise import MINUTE, MOST, Hour

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BORN = {"a": NOON - timedelta(days=9), "b": NOON - timedelta(days=9)}
tallies = st.builds(Tally, st.integers(0, 10_000), st.integers(0, 10_000))
times = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 9), timezones=st.just(UTC))


def minutes(hours: Iterable[Hour]) -> dict[datetime, Tally]:
    """Return the minutes in which there was anything."""
    return {
        hour.start + n * MINUTE: Tally(asked, failed)
        for hour in hours
        for n, (asked, failed) in enumerate(zip(hour.requests, hour.failures, strict=True))
        if asked or failed
    }


def total(hours: Iterable[Hour]) -> Tally:
    held = [hour.total for hour in hours]
    return Tally(sum(each.requests for each in held), sum(each.failures for each in held))


def look(seconds: float, run: str = "r1", **totals: tuple[int, int]) -> Look:
    """Return a look at counters with one source each, or with several, as in ``a_2=(5, 0)``."""
    held: dict[str, dict[str, Tally]] = {}
    for name, pair in totals.items():
        deployment, _, source = name.partition("_")
        held.setdefault(deployment, {})[source] = Tally(*pair)
    return Look(NOON + seconds * SECOND, run, held)


def test_what_came_within_a_minute_belongs_to_it() -> None:
    found = came(look(10, a=(100, 1)), look(25, a=(130, 3)), BORN)
    assert minutes(found) == {NOON: Tally(30, 2)}
    assert {hour.deployment for hour in found} == {"a"}


def test_what_came_over_a_minutes_end_is_shared_out_by_time() -> None:
    found = came(look(50, a=(0, 0)), look(65, a=(30, 15)), BORN)
    assert minutes(found) == {NOON: Tally(20, 10), NOON + MINUTE: Tally(10, 5)}


def test_an_absence_is_filled_evenly() -> None:
    found = came(look(0, a=(0, 0)), look(600, a=(100, 10)), BORN)
    assert minutes(found) == {NOON + n * MINUTE: Tally(10, 1) for n in range(10)}


def test_an_absence_over_hours_fills_both() -> None:
    found = came(look(0, a=(0, 0)), look(7200, a=(1200, 0)), BORN)
    assert [(hour.start, set(hour.requests)) for hour in found] == [
        (NOON, {10}),
        (NOON + timedelta(hours=1), {10}),
    ]


def test_a_longer_absence_than_a_day_is_told_of_the_last_day() -> None:
    found = came(look(0, a=(0, 0)), look(9 * 86_400 + 30, a=(144_100, 0)), BORN)
    assert total(found) == Tally(144_100, 0)
    held = minutes(found)
    assert min(held) == NOON + timedelta(days=8)
    assert max(held) == NOON + timedelta(days=9)
    assert timedelta(days=1) == LONGEST


def test_nothing_new_is_nothing_at_all() -> None:
    assert came(look(0, a=(5, 1)), look(15, a=(5, 1)), BORN) == []
    assert came(look(0), look(15, a=(0, 0)), BORN) == []


def test_one_that_is_not_told_of_is_not_counted_and_not_forgotten() -> None:
    before, now = look(0, a=(5, 1), b=(9, 0)), look(15, a=(6, 1))
    assert total(came(before, now, BORN)) == Tally(1, 0)
    assert to_remember(before, now) == look(15, a=(6, 1))


def test_each_source_counts_by_itself() -> None:
    """A cluster of a proxy's that is replaced counts under another name, from zero on."""
    before = look(0, a_1=(100, 5))
    now = look(15, a_1=(110, 6), a_2=(7, 1))
    assert total(came(before, now, BORN)) == Tally(17, 2)
    assert to_remember(before, now) == now
    later = look(30, a_2=(9, 1))
    assert total(came(look(15, a_1=(110, 6), a_2=(7, 1)), later, BORN)) == Tally(2, 0)


@pytest.mark.parametrize("fallen", [(3, 1), (91, 0), (0, 1), (900, 0)])
def test_counters_that_fell_began_anew_both_of_them(fallen: tuple[int, int]) -> None:
    before, now = look(0, a=(100, 50)), look(15, a=fallen)
    assert total(came(before, now, BORN)) == Tally(*fallen)
    assert to_remember(before, now) == now


@pytest.mark.parametrize(
    ("told", "new"),
    [((99, 50), (0, 0)), ((100, 49), (0, 0)), ((130, 42), (30, 0)), ((92, 60), (0, 10))],
)
def test_what_is_read_in_the_middle_of_a_change_counts_nothing_twice(
    told: tuple[int, int], new: tuple[int, int]
) -> None:
    """Refused requests are taken off again, and a reading is not of one instant."""
    before, now = look(0, a=(100, 50)), look(15, a=told)
    assert total(came(before, now, BORN)) == Tally(*new)
    kept = to_remember(before, now).totals.get("a", {"": Tally(100, 50)})[""]
    further = look(30, a=(200, 100))
    rest = total(came(look(15, a=(kept.requests, kept.failures)), further, BORN))
    assert Tally(rest.requests + new[0], rest.failures + new[1]) == Tally(100, 50)
    assert SLACK == 8


def test_in_another_run_all_began_anew_though_the_counters_rose() -> None:
    found = came(look(0, a=(100, 5)), look(15, "r2", a=(120, 6)), BORN)
    assert total(found) == Tally(120, 6)


def test_the_first_look_counts_from_the_beginning() -> None:
    born = {"a": NOON - 90 * SECOND}
    found = came(None, look(30, a=(120, 0)), born)
    assert minutes(found) == {
        NOON - 2 * MINUTE: Tally(30, 0),
        NOON - MINUTE: Tally(60, 0),
        NOON: Tally(30, 0),
    }


def test_one_that_was_born_since_the_last_look_has_nothing_before() -> None:
    born = {"b": NOON + 61 * SECOND}
    found = came(look(0, a=(5, 0)), look(70, b=(9, 9)), born)
    assert minutes(found) == {NOON + MINUTE: Tally(9, 9)}


@pytest.mark.parametrize(("seconds", "late"), [(0, True), (-1, True), (-299.9, True), (1, False)])
def test_a_look_that_came_late_counts_nothing(seconds: float, late: bool) -> None:
    """Another process has looked since; whatever it saw, this look has less."""
    before, now = look(0, a=(100, 5)), look(seconds, a=(110, 6))
    assert came_late(before, now) is late
    assert bool(came(before, now, BORN)) is not late
    assert not came(before, look(min(seconds, 0), "r0", a=(500, 4)), BORN)


def test_a_clock_that_was_set_back_stops_no_count() -> None:
    before, now = look(0, a=(100, 5)), look(-3600, a=(103, 5))
    assert not came_late(before, now)
    assert timedelta(seconds=3600) > LATE
    assert minutes(came(before, now, BORN)) == {NOON - timedelta(hours=1): Tally(3, 0)}


def test_a_failure_whose_request_was_counted_before_is_no_loss() -> None:
    found = came(look(0, a=(10, 0)), look(15, a=(10, 1)), BORN)
    assert minutes(found) == {NOON: Tally(0, 1)}
    found = came(look(0, a=(10, 0)), look(15, a=(12, 5)), BORN)
    assert minutes(found) == {NOON: Tally(2, 5)}


def test_only_what_changed_is_to_be_remembered() -> None:
    before = look(0, a=(5, 1), b=(9, 0))
    assert to_remember(before, look(15, a=(5, 1), b=(9, 1))) == look(15, b=(9, 1))
    assert to_remember(before, look(15, a=(5, 1), b=(9, 0))) == look(15)
    anew = look(15, "r2", a=(5, 1))
    assert to_remember(before, anew) == to_remember(None, anew) == anew
    assert to_remember(None, look(15, a=(0, 0))) == look(15)


def test_a_source_that_is_not_told_any_more_is_to_be_forgotten() -> None:
    before = look(0, a_1=(5, 1), a_2=(9, 0), b_1=(3, 0))
    now = look(15, a_2=(9, 0), a_3=(1, 0), b_1=(3, 0))
    assert to_forget(before, now, BORN) == {"a": {"1"}}
    assert to_forget(before, before, BORN) == to_forget(None, now, BORN) == {}


def test_what_a_look_leaves_out_is_forgotten_when_it_is_held_no_more() -> None:
    before, now = look(0, a_1=(5, 1), b_1=(3, 0), b_2=(3, 0)), look(15, a_1=(5, 1))
    assert to_forget(before, now, BORN) == {}
    assert to_forget(before, now, ["a"]) == {"b": {"1", "2"}}


def test_another_run_forgets_by_itself() -> None:
    assert to_forget(look(0, a_1=(5, 1)), look(15, "r2", a_2=(1, 0)), BORN) == {}


def test_a_minute_holds_its_most_and_no_more() -> None:
    found = spread("a", Tally(2**33, 2**33), NOON, NOON + SECOND)
    assert minutes(found) == {NOON: Tally(MOST, MOST)}


def test_the_end_of_a_minute_is_not_in_the_next() -> None:
    assert minutes(spread("a", Tally(4, 0), NOON, NOON + MINUTE)) == {NOON: Tally(4, 0)}
    assert minutes(spread("a", Tally(4, 0), NOON, NOON)) == {NOON: Tally(4, 0)}
    assert minutes(spread("a", Tally(4, 0), NOON + MINUTE, NOON)) == {NOON: Tally(4, 0)}


@settings(deadline=None)
@given(tallies, times, times)
def test_what_is_spread_is_all_there_and_within_its_time(
    tally: Tally, one: datetime, two: datetime
) -> None:
    since, until = sorted((one, two))
    hours = spread("a", tally, since, until)
    assert total(hours) == tally
    held = minutes(hours)
    assert all(since - MINUTE < at <= until for at in held)
    if tally.failures <= tally.requests:
        assert all(each.failures <= each.requests for each in held.values())
    whole = [each.requests for at, each in held.items() if since <= at and at + MINUTE <= until]
    fair = tally.requests * MINUTE / (until - since) if until > since else 0
    assert all(abs(each - fair) < 2 for each in whole)


@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.integers(0, 50), st.integers(0, 50), st.booleans()),
        max_size=20,
    )
)
def test_whenever_one_looks_the_sum_is_what_was_served(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    """The proxy serves, starts anew after a look, or is looked at; not all looks see all."""
    before, at, run = look(0), 0, 0
    requests = failures = 0
    served, counted = Tally(), Tally()
    for seconds, good, bad, restarts in steps:
        at += seconds
        requests, failures = requests + good + bad, failures + bad
        served = Tally(served.requests + good + bad, served.failures + bad)
        now = look(at, str(run), a=(requests, failures))
        more = total(came(before, now, BORN))
        counted = Tally(counted.requests + more.requests, counted.failures + more.failures)
        before = now
        if restarts:
            run, requests, failures = run + 1, 0, 0
    assert counted == served
