"""Burn rates and alarms, with the figures of the SRE workbook's chapter on alerting."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codestore.domain.budgeting import (
    BURNS,
    FEWEST,
    LONGEST,
    LONGEST_SHORT,
    Burn,
    burn_of,
    burning,
    faster,
    mark_budget,
    told,
)
from codestore.domain.canary import Tally
from codestore.domain.conditions import ConditionType, Truth, find
from codestore.domain.deployments import State
from codestore.domain.promise import HOUR, MINUTE, MINUTES, Budget, Hour
from tests.domain.test_deployments import NOW, living

FAST, STEADY, SLOW = BURNS
PROMISE = 0.999
START = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


class Days:
    """Some days of traffic, every minute as busy as the other, with failures now and then."""

    def __init__(self, per_minute: int = 1000, days: int = 4) -> None:
        self.requests = [per_minute] * (days * 1440)
        self.failures = [0] * (days * 1440)

    def fail(self, first: int, last: int, share: float) -> "Days":
        """Let a share of the requests fail, from a minute on and before another."""
        for minute in range(first, last):
            self.failures[minute] = round(self.requests[minute] * share)
        return self

    def hours(self, until: int) -> list[Hour]:
        """Return what is known at a minute; nothing of what is to come."""
        asked = self.requests[: until + 1]
        failed = self.failures[: until + 1]
        return [
            Hour(
                "dep-1",
                START + hour * MINUTE,
                _filled(asked[hour : hour + MINUTES]),
                _filled(failed[hour : hour + MINUTES]),
            )
            for hour in range(0, until + 1, MINUTES)
        ]

    def at(self, minute: int, before: Burn | None = None) -> Burn | None:
        return burning(self.hours(minute), PROMISE, START + minute * MINUTE, before)

    def story(self, first: int, last: int) -> list[tuple[int, str | None]]:
        """Return when the alarm changed, minute by minute, in minutes after the first."""
        burn: Burn | None = None
        changes: list[tuple[int, str | None]] = []
        for minute in range(first, last):
            after = self.at(minute, burn)
            if after is not burn:
                changes.append((minute - first, after.pace if after else None))
            burn = after
        return changes


def _filled(part: list[int]) -> tuple[int, ...]:
    return (*part, *[0] * (MINUTES - len(part)))


@pytest.mark.parametrize(
    ("burn", "rate", "long", "short", "budget"),
    [
        (FAST, 14.4, timedelta(hours=1), timedelta(minutes=5), 0.02),
        (STEADY, 6, timedelta(hours=6), timedelta(minutes=30), 0.05),
        (SLOW, 1, timedelta(days=3), timedelta(hours=6), 0.10),
    ],
)
def test_the_windows_and_rates_of_the_workbook(
    burn: Burn, rate: float, long: timedelta, short: timedelta, budget: float
) -> None:
    """Table 5-8: 2 %, 5 % and 10 % of the budget are gone when the alarm begins."""
    assert (burn.rate, burn.long, burn.short) == (rate, long, short)
    assert burn.rate * burn.long / MONTH == pytest.approx(budget)
    assert burn.long == 12 * burn.short
    assert (timedelta(days=3), timedelta(hours=6)) == (LONGEST, LONGEST_SHORT)


@pytest.mark.parametrize(
    ("share", "pace", "minutes"),
    [
        (1.0, "fast", 0.864),  # the 2 % of the fast alarm, at 1,000 times the promised rate
        (0.15, "fast", 5.76),
        (0.036, "fast", 24),
        (0.016, "fast", 54),
        (0.012, "steadily", 180),
        (0.010, "steadily", 216),  # a burn rate of 10
        (0.005, "slowly", 864),
        (0.002, "slowly", 2160),  # a burn rate of 2 alarms after 10 % of the budget
    ],
)
def test_how_long_it_takes_until_the_alarm_begins(share: float, pace: str, minutes: float) -> None:
    """(1 - promise) / error rate × long window × burn rate, to the minute."""
    first = 3 * 1440
    days = Days(days=6).fail(first, 6 * 1440, share)
    begun = first + int(minutes)
    found = next(minute for minute in range(begun - 3, begun + 4) if days.at(minute))
    alarm = days.at(found)
    assert alarm is not None
    assert alarm.pace == pace
    assert abs(found + 1 - first - minutes) <= 1


def test_fifteen_percent_for_ten_minutes_as_in_figure_5_6() -> None:
    """It begins after five minutes (and a bit), and ends five minutes after the errors do."""
    first = 3 * 1440
    days = Days().fail(first, first + 10, 0.15)
    assert days.story(first, first + 120) == [(5, "fast"), (14, None)]
    long_window = days.hours(first + 60)
    assert burning(long_window, PROMISE, START + (first + 60) * MINUTE, None) is None


def test_a_tenth_of_a_percent_is_as_promised_and_alarms_nobody() -> None:
    now = 4 * 1440 - 1
    assert Days().fail(0, now + 1, 0.001).at(now) is None
    half = Days().fail(0, now + 1, 0.5).hours(now)  # a promise of which the figures are exact
    assert burning(half, 0.5, START + now * MINUTE, None) is None
    assert burning(half, 0.501, START + now * MINUTE, None) is SLOW


def test_five_bad_minutes_every_ten_do_not_go_unnoticed() -> None:
    """Figure 5-3: with a duration in place of windows this alarms nobody, for ever."""
    first = 3 * 1440
    days = Days()
    for spike in range(first, first + 60, 10):
        days.fail(spike, spike + 5, 1.0)
    assert days.story(first, first + 60) == [(0, "fast")]


def test_what_is_over_alarms_nobody_though_the_long_window_still_tells_of_it() -> None:
    first = 3 * 1440
    days = Days().fail(first, first + 10, 0.15)
    assert days.at(first + 30) is None
    assert days.at(first + 30, FAST) is None


def test_a_total_outage_of_ten_minutes_is_one_alarm_that_calms_down() -> None:
    first = 3 * 1440
    days = Days(days=5).fail(first, first + 10, 1.0)
    assert days.story(first, first + 1440) == [
        (0, "fast"),
        (69, "slowly"),  # no longer in the last hour, but 2.7 % of the last six
        (369, None),
    ]


def test_an_alarm_stays_while_its_short_window_burns_though_the_long_one_does_not() -> None:
    now = 3 * 1440
    days = Days().fail(now - 4, now + 1, 0.016)
    assert days.at(now, None) is None
    assert [days.at(now, before) for before in (FAST, STEADY)] == [FAST, None]
    assert days.at(now + 1, FAST) is None


def test_what_comes_and_goes_is_one_alarm_while_there_is_a_slower_one() -> None:
    first = 3 * 1440
    days = Days().fail(first, first + 5, 1.0)
    assert days.at(first + 20, None) is STEADY
    assert days.at(first + 20, FAST) is FAST
    assert days.at(first + 66, FAST) is not FAST


def test_one_failure_of_ten_in_a_quiet_night_alarms_nobody() -> None:
    """The workbook's low traffic: ten an hour, one fails, 13.9 % of the month's budget."""
    days = Days(0)
    days.requests[::6] = [1] * len(days.requests[::6])
    days.failures[3 * 1440] = 1
    assert days.at(3 * 1440) is None
    assert days.at(3 * 1440 + 300) is None


def test_half_an_hour_without_an_answer_is_told_in_the_quietest_night() -> None:
    days = Days(0)
    days.requests[::6] = [1] * len(days.requests[::6])
    first = 3 * 1440
    for minute in range(first, first + 60, 6):
        days.failures[minute] = 1
    story = days.story(first, 4 * 1440)
    assert story[0] == (24, "fast")
    assert [pace for _, pace in story] == ["fast", "steadily", None]
    assert FEWEST == 5


def test_a_few_requests_that_go_well_do_not_end_an_alarm() -> None:
    """One request a minute, every fourth fails: five minutes without a failure are no proof."""
    days = Days(1)
    first = 3 * 1440
    for minute in range(first, first + 180):
        days.failures[minute] = int((minute * 7919) % 41 < 10)
    story = days.story(first, first + 180)
    assert [pace for _, pace in story] == ["fast"]


@pytest.mark.parametrize("failures", [FEWEST - 1, FEWEST])
def test_the_floor_is_of_failures_in_the_long_window(failures: int) -> None:
    days = Days(1)
    first = 3 * 1440
    for minute in range(first, first + failures):
        days.failures[minute] = 1
    found = days.at(first + failures - 1)
    assert (found is None) is (failures < FEWEST)


def test_nothing_asked_is_no_alarm_and_ends_one() -> None:
    assert burning([], PROMISE, START, None) is None
    assert burning([], PROMISE, START, FAST) is None


def test_an_alarm_begins_when_there_was_none_or_a_slower_one() -> None:
    assert faster(FAST, None)
    assert faster(FAST, SLOW)
    assert faster(STEADY, SLOW)
    assert not faster(SLOW, FAST)
    assert not faster(FAST, FAST)
    assert not faster(None, FAST)


def test_the_condition_tells_the_alarm_and_since_when() -> None:
    held = living()
    assert burn_of(held) is None
    later = NOW + HOUR
    for burn in BURNS:
        held = mark_budget(held, burn, "5 of 9 requests failed.", later)
        said = find(held.status.conditions, ConditionType.WITHIN_BUDGET)
        assert said is not None
        assert (said.truth, said.message, said.since) == (
            Truth.FALSE,
            "5 of 9 requests failed.",
            later,
        )
        assert burn_of(held) is burn
        later += HOUR
    calm = mark_budget(held, None, "It is over.", later)
    said = find(calm.status.conditions, ConditionType.WITHIN_BUDGET)
    assert said is not None
    assert (said.truth, said.since) == (Truth.TRUE, later)
    assert burn_of(calm) is None


def test_a_budget_that_burns_changes_nothing_else() -> None:
    held = living()
    burnt = mark_budget(held, FAST, "…", NOW)
    assert burnt.state is State.READY
    others = tuple(c for c in burnt.status.conditions if c.type is not ConditionType.WITHIN_BUDGET)
    assert replace(burnt, status=replace(burnt.status, conditions=others)) == held


@pytest.mark.parametrize(
    ("tally", "left"),
    [
        (Tally(1_000_000, 500), "50%"),
        (Tally(1_000_000, 1001), "nothing"),
        (Tally(10, 5), "nothing"),
        (Tally(1_000_000, 1), "99%"),
        (Tally(0, 0), "100%"),
    ],
)
def test_an_alarm_in_words(tally: Tally, left: str) -> None:
    days = Days(100).fail(3 * 1440, 3 * 1440 + 10, 0.5)
    now = 3 * 1440 + 9
    hours, budget, at = days.hours(now), Budget(PROMISE, tally), START + now * MINUTE
    assert told(FAST, hours, budget, at) == (
        "The error budget burns fast: 500 of 6,000 requests failed in 1 h, "
        f"83.3 times as many as promised; {left} of this month's is left."
    )
    assert told(SLOW, hours, budget, at).startswith(
        "The error budget burns slowly: 500 of 432,000 requests failed in 72 h, 1.16 times"
    )
    outage = Days(100).fail(now - 60, now + 1, 1.0).hours(now)
    assert "6,000 of 6,000 requests failed in 1 h, 1,000 times" in told(FAST, outage, budget, at)
    assert told(None, hours, budget, at) == (
        f"The error budget no longer burns faster than promised; {left} of this month's is left."
    )


minutes = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=400)


@settings(max_examples=60)
@given(minutes, st.sampled_from([None, *BURNS]))
def test_there_is_no_alarm_without_failures_in_its_windows(
    traffic: list[tuple[int, int]], before: Burn | None
) -> None:
    days = Days(0)
    first = 3 * 1440
    for number, (good, bad) in enumerate(traffic):
        days.requests[first + number], days.failures[first + number] = good + bad, bad
    now = first + len(traffic) - 1
    found = days.at(now, before)
    failed = days.failures
    if found is None:
        assert (
            before is None
            or sum(failed[now - 4 : now + 1]) * 1000 <= 15 * sum(days.requests[now - 4 : now + 1])
            or before.short != timedelta(minutes=5)
        )
    else:
        assert sum(failed[max(0, now + 1 - found.short // MINUTE) : now + 1]) > 0
        if found is not before:
            assert sum(failed[max(0, now + 1 - found.long // MINUTE) : now + 1]) >= FEWEST


@settings(max_examples=60)
@given(minutes)
def test_more_failures_never_calm_an_alarm(traffic: list[tuple[int, int]]) -> None:
    first = 3 * 1440
    some, more = Days(0), Days(0)
    for number, (good, bad) in enumerate(traffic):
        some.requests[first + number] = more.requests[first + number] = good + bad
        some.failures[first + number] = bad // 2
        more.failures[first + number] = bad
    now = first + len(traffic) - 1
    one, two = some.at(now), more.at(now)
    assert one is None or (two is not None and two.rate >= one.rate)
