"""Truth table of what ends a canary, and of what keeps it from going on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from codestore.domain.canary import Progress, Trial
from codestore.plan.fold import fold
from codestore.plan.model import Plan
from codestore.plan.outcomes import Done
from codestore.plan.steps import GiveUp
from tests.plan.canaries import (
    CANARY,
    NONE,
    NOW,
    READY,
    SERVING,
    at_step,
    instance,
    keys,
    many,
    plan_of,
    rolling,
    seen,
    to,
)


@pytest.mark.parametrize(
    ("requests", "failures", "given_up"),
    [
        (1000, 10, False),
        (1000, 11, True),
        (1, 1, True),
        (19, 0, False),
        (0, 0, False),
        (100, 1, False),
        (99, 1, True),
    ],
)
def test_it_is_given_up_when_too_many_of_its_requests_fail(
    requests: int, failures: int, given_up: bool
) -> None:
    held = at_step(rolling(), 0)
    trial = Trial(requests, failures)
    observed = seen(held, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1), trial=trial)
    assert keys(plan_of(held, observed)) == (["give-up:canary_failed"] if given_up else [])


def test_a_few_failures_are_forgiven_when_the_rate_allows_them() -> None:
    canary = replace(CANARY, error_rate=0.1)
    held = at_step(rolling(canary), 0)
    observed = seen(
        held, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1), trial=Trial(3, 2)
    )
    assert keys(plan_of(held, observed)) == []


def judged(base: Trial, trial: Trial, seconds: float = 0) -> Plan:
    """The second step has begun with a tally."""
    held = at_step(rolling(), 1, base)
    observed = seen(held, *many(1, SERVING, 4), *many(2, READY, 2), split=to(50, 2), trial=trial)
    return plan_of(held, observed, seconds)


def verdict(plan: Plan) -> tuple[str, str]:
    (step,) = [due.step for due in plan.due if isinstance(due.step, GiveUp)]
    return step.letter.code, step.letter.detail


@pytest.mark.parametrize(
    ("trial", "given_up"),
    [
        (Trial(100_009, 9), True),
        (Trial(100_008, 8), False),
        (Trial(101_000, 20), False),
        (Trial(101_000, 21), True),
    ],
)
def test_a_good_beginning_does_not_hide_what_fails_of_late(trial: Trial, given_up: bool) -> None:
    plan = judged(Trial(100_000, 0), trial)
    assert keys(plan) == (["give-up:canary_failed"] if given_up else [])
    if given_up:
        requests = trial.requests - 100_000
        assert f"{trial.failures} of the last {requests} requests" in verdict(plan)[1]


@pytest.mark.parametrize(
    "trial", [Trial(900, 9), Trial(1100, 9, run="another")], ids=["fell", "another run"]
)
def test_counters_that_began_anew_are_judged_as_a_whole(trial: Trial) -> None:
    assert keys(judged(Trial(1000, 0), trial)) == []


@pytest.mark.parametrize(
    ("trial", "given_up"),
    [
        (Trial(0, 0, left=2, waiting=500), False),
        (Trial(0, 0, left=3), True),
        (Trial(100, 0, left=11), False),
        (Trial(98, 0, left=11), True),
    ],
)
def test_it_is_given_up_when_too_many_callers_leave_unanswered(
    trial: Trial, given_up: bool
) -> None:
    plan = judged(NONE, trial)
    assert keys(plan) == (["give-up:canary_silent"] if given_up else [])


def test_callers_who_leave_of_late_are_seen_after_a_good_beginning() -> None:
    base = Trial(10_000)
    assert keys(judged(base, replace(base, left=80))) == []
    told = verdict(judged(base, replace(base, left=81)))
    assert told == (
        "canary_silent",
        "81 of the last 81 callers that 0.0.2 got as a canary left without an answer.",
    )


@pytest.mark.parametrize(
    ("base", "trial", "goes_on"),
    [
        (NONE, NONE, True),  # nobody comes
        (NONE, Trial(0, waiting=1), False),  # nobody was answered in this step
        (NONE, Trial(9, waiting=1), True),
        (Trial(5), Trial(5), True),
        (Trial(5), Trial(5, waiting=1), False),
        (Trial(5, waiting=3), Trial(7, waiting=3), False),  # who came before waits still
        (Trial(5, waiting=3), Trial(8, waiting=1), True),
        (Trial(5, waiting=1), Trial(5, left=1), True),  # who has left needs no answer
        (Trial(5, run="one"), Trial(1, waiting=1, run="two"), True),  # counted anew
    ],
)
def test_it_does_not_go_on_while_requests_are_not_answered(
    base: Trial, trial: Trial, goes_on: bool
) -> None:
    """Neither is it given up: they are slow, or a time-out will make failures of them."""
    due = keys(judged(base, trial, 60))
    assert due == (["prepare:d2", "start:2.2", "start:2.3"] if goes_on else [])


def test_one_that_is_not_well_is_given_up_if_requests_are_led_to_it() -> None:
    held = at_step(rolling(), 0)
    sick = instance(2, READY, failing="/health answered 500")
    led = plan_of(held, seen(held, *many(1, SERVING, 4), sick, split=to(5, 1)))
    assert verdict(led) == (
        "canary_sick",
        "dep-1.2.0, which got requests as a canary, is not well: /health answered 500.",
    )
    plan = plan_of(rolling(), seen(rolling(), *many(1, SERVING, 4), sick))
    assert keys(plan) == ["prove:dep-1.2.0", "publish"]


def test_what_is_counted_of_late_begins_with_a_step_and_anew_every_ten_minutes() -> None:
    held, trial = at_step(rolling(), 0, Trial(3)), Trial(40, 0)
    observed = seen(held, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1), trial=trial)
    plan = plan_of(held, observed)
    soon = NOW + timedelta(minutes=9)
    assert fold(held, plan, [], soon)[0].status.canary == held.status.canary
    later = NOW + timedelta(minutes=10)
    assert fold(held, plan, [], later)[0].status.canary == Progress(0, NOW, trial, later)
    two = seen(held, *many(1, SERVING, 4), *many(2, READY, 2), split=to(5, 1), trial=trial)
    plan = plan_of(held, two, 60)
    after, _ = fold(held, plan, [Done(due.step, 0.0) for due in plan.due], soon)
    assert after.status.canary == Progress(1, soon, trial, soon)


@pytest.mark.parametrize("trial", [Trial(2), Trial(40, run="another")], ids=["fell", "run"])
def test_with_new_counters_it_begins_anew_at_once(trial: Trial) -> None:
    held = at_step(rolling(), 0, Trial(3))
    observed = seen(held, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1), trial=trial)
    later = NOW + timedelta(seconds=1)
    after, news = fold(held, plan_of(held, observed), [], later)
    assert (after.status.canary, news) == (Progress(0, NOW, trial, later), [])
