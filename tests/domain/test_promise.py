"""Requests are counted by minute and hour; what was promised of a month is told truthfully."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.domain.canary import Tally
from codestore.domain.faults import Fault
from codestore.domain.promise import (
    MINUTE,
    MINUTES,
    MOST,
    Budget,
    Hour,
    Minute,
    error_rate,
    hour_of,
    kept_since,
    minute_of,
    month_named,
    month_of,
    window,
    worst,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
counts = st.integers(0, MOST)


def hour(start: datetime = NOON, **minutes: tuple[int, int]) -> Hour:
    """Return an hour with some minutes, as in ``m7=(requests, failures)``."""
    requests, failures = [0] * MINUTES, [0] * MINUTES
    for name, (asked, failed) in minutes.items():
        requests[int(name[1:])], failures[int(name[1:])] = asked, failed
    return Hour("dep-1", start, tuple(requests), tuple(failures))


def at(minute: int) -> datetime:
    return NOON + minute * MINUTE


hours = st.builds(
    lambda requests, failures: Hour("dep-1", NOON, tuple(requests), tuple(failures)),
    st.lists(counts, min_size=MINUTES, max_size=MINUTES),
    st.lists(counts, min_size=MINUTES, max_size=MINUTES),
)


def test_a_fresh_hour_holds_nothing() -> None:
    assert Hour("dep-1", NOON).total == Tally(0, 0)
    assert len(Hour("dep-1", NOON).requests) == len(Hour("dep-1", NOON).failures) == 60


def test_what_is_added_goes_to_its_minute() -> None:
    both = hour(m0=(3, 1), m59=(5, 0)).adding(hour(m0=(1, 1), m7=(2, 2)))
    assert both == hour(m0=(4, 2), m7=(2, 2), m59=(5, 0))


def test_a_minute_is_full_at_its_most() -> None:
    assert hour(m3=(MOST, MOST)).adding(hour(m3=(1, 1))) == hour(m3=(MOST, MOST))


@given(hours, hours)
def test_adding_loses_nothing_but_what_no_minute_can_hold(one: Hour, two: Hour) -> None:
    both = one.adding(two)
    assert both == two.adding(one)
    assert all(0 <= each <= MOST for each in (*both.requests, *both.failures))
    if max(*one.requests, *one.failures, *two.requests, *two.failures) <= MOST // 2:
        assert both.total == Tally(
            one.total.requests + two.total.requests, one.total.failures + two.total.failures
        )


@pytest.mark.parametrize(
    ("tally", "availability", "allowed", "consumed", "left"),
    [
        (Tally(0, 0), None, 0, 0, 1),  # nobody asked: nothing is broken
        (Tally(1000, 0), 1.0, 1, 0, 1),
        (Tally(1000, 1), 0.999, 1, 1, 0),  # exactly as promised
        (Tally(10_000, 5), 0.9995, 10, 0.5, 0.5),
        (Tally(10_000, 20), 0.998, 10, 2, -1),
        (Tally(10, 1), 0.9, 0.01, 100, -99),
        (Tally(7200, 1), 1 - 1 / 7200, 7.2, 1 / 7.2, 1 - 1 / 7.2),  # the workbook's 13.9 %
        (Tally(0, 1), 0.0, 0.001, 1000, -999),  # its request was counted in the month before
        (Tally(40, 40), 0.0, 0.04, 1000, -999),
    ],
)
def test_a_budget(
    tally: Tally, availability: float | None, allowed: float, consumed: float, left: float
) -> None:
    budget = Budget(0.999, tally)
    assert budget.availability == (None if availability is None else pytest.approx(availability))
    assert budget.allowed == pytest.approx(allowed)
    assert budget.consumed == pytest.approx(consumed)
    assert budget.left == pytest.approx(left)


def test_a_month_of_30_days_at_one_a_second_allows_43_minutes_of_outage() -> None:
    month = timedelta(days=30) // timedelta(seconds=1)
    assert Budget(0.999, Tally(month, 0)).allowed / 60 == pytest.approx(43.2)


def test_a_promise_without_exception_is_broken_by_a_single_failure() -> None:
    assert Budget(1.0, Tally(10, 0)).left == 1
    assert Budget(1.0, Tally(10, 1)).left == 0


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0.5, 0.99999))
def test_the_budget_is_left_if_and_only_if_the_promise_is_kept(
    requests: int, failures: int, promise: float
) -> None:
    budget = Budget(promise, Tally(requests, failures))
    assert budget.left <= 1
    if budget.availability is None:
        assert budget.left == 1
    elif abs(budget.availability - promise) > 1e-9:
        assert (budget.left >= 0) == (budget.availability >= promise)


def test_the_rate_of_errors() -> None:
    assert error_rate(Tally(0, 0)) == 0
    assert error_rate(Tally(10, 1)) == pytest.approx(0.1)
    assert error_rate(Tally(0, 3)) == 1


@pytest.mark.parametrize(
    ("until", "length", "requests"),
    [
        (at(0), 1, 1),
        (at(4), 1, 5),
        (at(4) + timedelta(seconds=59.9), 1, 5),
        (at(4), 5, 15),
        (at(4), 500, 15),
        (at(59), 60, 1830),
        (at(60), 60, 1829 + 100),
        (at(62), 5, 59 + 60 + 300),
        (at(-1), 60, 0),
        (at(200), 60, 0),
    ],
)
def test_a_window_holds_so_many_minutes_with_the_present_one(
    until: datetime, length: int, requests: int
) -> None:
    held = [
        Hour("dep-1", NOON, tuple(range(1, 61)), (0,) * 60),
        Hour("dep-1", at(60), (100,) * 60, (0,) * 60),
    ]
    assert window(held, until, length * MINUTE) == Tally(requests, 0)


@given(hours, st.integers(-100, 200), st.integers(1, 200))
def test_windows_side_by_side_are_one_window(held: Hour, until: int, length: int) -> None:
    whole = window([held], at(until), (length + 7) * MINUTE)
    late = window([held], at(until), length * MINUTE)
    early = window([held], at(until - length), 7 * MINUTE)
    assert whole == Tally(late.requests + early.requests, late.failures + early.failures)


def test_the_worst_minutes_come_first() -> None:
    held = [
        hour(m1=(100, 5), m2=(9, 9), m3=(10, 5), m4=(1000, 0)),
        hour(at(60), m1=(0, 1), m2=(10, 5)),
    ]
    found = worst(held, 9)
    assert [(each.at, each.tally) for each in found] == [
        (at(2), Tally(9, 9)),
        (at(62), Tally(10, 5)),
        (at(3), Tally(10, 5)),
        (at(1), Tally(100, 5)),
        (at(61), Tally(0, 1)),
    ]
    assert worst(held, 2) == found[:2]
    assert worst([hour(m4=(1000, 0))], 9) == []


@given(st.lists(hours, max_size=3), st.integers(1, 10))
def test_no_minute_that_is_left_out_is_worse(held: list[Hour], count: int) -> None:
    told = worst(held, count)
    least = min((each.tally.failures for each in told), default=0)
    failing = sorted((f for each in held for f in each.failures if f), reverse=True)
    assert [each.tally.failures for each in told] == failing[:count]
    assert all(isinstance(each, Minute) and each.tally.failures >= least > 0 for each in told)


def test_times_are_those_of_utc() -> None:
    india = datetime(2026, 3, 1, 4, 59, 30, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert minute_of(india) == datetime(2026, 2, 28, 23, 29, tzinfo=UTC)
    assert hour_of(india) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert month_of(india) == datetime(2026, 2, 1, tzinfo=UTC)
    assert hour_of(india).utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("later", "month"),
    [(0, (2026, 3)), (1, (2026, 4)), (10, (2027, 1)), (-2, (2026, 1)), (-3, (2025, 12)),
     (-13, (2025, 2)), (22, (2028, 1))],
)  # fmt: skip
def test_months_later_and_before(later: int, month: tuple[int, int]) -> None:
    assert month_of(NOON, later) == datetime(*month, 1, tzinfo=UTC)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_thirteen_whole_months_are_kept(now: datetime) -> None:
    since = kept_since(now)
    assert since.day == 1
    assert timedelta(days=13 * 30) < now - since < timedelta(days=13 * 31 + 31)
    assert month_named(f"{since:%Y-%m}", now) == since
    assert month_named(f"{now:%Y-%m}", now) == month_of(now)


@pytest.mark.parametrize(
    "name", ["2026-04", "2025-01", "2026-3", "2026-13", "", "march", "2026-03-01", "2026-03\n"]
)
def test_other_months_are_refused(name: str) -> None:
    with pytest.raises(Fault) as caught:
        month_named(name, NOON)
    assert caught.value.letter.code == "bad_month"
    assert "From 2025-02 to 2026-03." in caught.value.letter.hint
