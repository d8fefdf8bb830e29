"""Truth table of a canary: its share, step by step."""

from dataclasses import replace
from datetime import timedelta

import pytest

from codestore.domain.canary import Progress, Trial
from codestore.domain.deployments import Deployment, as_live
from codestore.domain.instances import View
from codestore.plan.canary import remembered
from codestore.plan.desired import routed
from codestore.plan.fold import fold
from codestore.plan.model import Verdict
from codestore.plan.outcomes import Done
from codestore.plan.steps import GiveUp, Publish
from tests.plan.canaries import (
    CANARY,
    DRAINING,
    ENDED,
    FROZEN,
    NOW,
    READY,
    SERVING,
    SHARED,
    STARTING,
    at_step,
    goal,
    instance,
    keys,
    many,
    plan_of,
    published,
    rolling,
    seen,
    to,
)


def test_as_many_start_as_the_share_needs() -> None:
    plan = plan_of(rolling(), seen(rolling(), *many(1, SERVING, 4)))
    assert keys(plan) == ["prepare:d2", "start:2.0"]
    half = at_step(rolling(), 0)
    observed = seen(half, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1))
    assert keys(plan_of(half, observed, 60)) == ["prepare:d2", "start:2.1"]


def test_it_is_proved_before_its_share_is_led_to_it_and_not_admitted() -> None:
    observed = seen(rolling(), *many(1, SERVING, 4), instance(2, READY))
    plan = plan_of(rolling(), observed)
    assert keys(plan) == ["prove:dep-1.2.0", "publish"]
    assert published(plan) == Publish(SHARED, 1, split=to(5, 1))


def test_what_was_proved_is_not_asked_again_while_its_share_is_held() -> None:
    held = at_step(rolling(), 0)
    observed = seen(held, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1))
    plan = plan_of(held, observed, 59)
    assert (keys(plan), plan.verdict) == ([], Verdict.WORKING)
    assert plan.next_look == NOW + timedelta(seconds=60)


def test_the_share_stays_until_all_that_the_next_one_needs_are_there() -> None:
    held = at_step(rolling(), 0)
    starting = replace(instance(2, STARTING, 1), since=NOW + timedelta(seconds=59))
    new = [instance(2, READY), starting]
    waiting = plan_of(held, seen(held, *many(1, SERVING, 4), *new, split=to(5, 1)), 60)
    assert keys(waiting) == []
    new[1] = instance(2, READY, 1)
    grown = plan_of(held, seen(held, *many(1, SERVING, 4), *new, split=to(5, 1)), 61)
    assert keys(grown) == ["prove:dep-1.2.1", "publish"]
    assert published(grown).split == to(50, 2)


@pytest.mark.parametrize(
    ("held", "when"), [(rolling(), "before it was ready"), (at_step(rolling(), 0), "as a canary")]
)
def test_one_that_ends_is_told_to_have_ended_as_what_it_was(held: Deployment, when: str) -> None:
    plan = plan_of(held, seen(held, *many(1, SERVING, 4), instance(2, ENDED), split=to(5, 1)))
    (step,) = [due.step for due in plan.due if isinstance(due.step, GiveUp)]
    assert step.letter.detail == f"dep-1.2.0 ended {when}: exit code 1."


def test_paused_it_keeps_its_share_for_ever() -> None:
    held = at_step(rolling(paused=True), 0)
    observed = seen(held, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1))
    assert keys(plan_of(held, observed, 1e6)) == []


def test_the_last_step_is_a_rollout_like_any_other() -> None:
    held = at_step(rolling(), 1)
    new = many(2, READY, 2)
    plan = plan_of(held, seen(held, *many(1, SERVING, 4), *new, split=to(50, 2)), 60)
    assert keys(plan) == ["prepare:d2", "start:2.2", "start:2.3"]
    new = many(2, READY, 4)
    plan = plan_of(held, seen(held, *many(1, SERVING, 4), *new, split=to(50, 2)), 61)
    assert keys(plan)[:2] == ["prove:dep-1.2.2", "prove:dep-1.2.3"]
    assert keys(plan)[2:] == [f"admit:dep-1.2.{n}" for n in range(4)]


def test_the_split_goes_when_the_old_ones_have_stopped_accepting() -> None:
    held = at_step(rolling(), 1)
    new = many(2, SERVING, 4)
    over = plan_of(held, seen(held, *many(1, SERVING, 4), *new, split=to(50, 2)), 62)
    assert keys(over) == [*(f"drain:dep-1.1.{n}" for n in range(4)), "publish"]
    assert published(over) == Publish(SHARED, 2, split=None)
    moving = plan_of(held, seen(held, *many(1, DRAINING, 4), *new, split=to(50, 2)), 62)
    assert published(moving) == Publish(SHARED, 2, split=None)


def test_once_admitted_a_pause_does_not_lead_back() -> None:
    held = at_step(rolling(paused=True), 1)
    new = [instance(2, SERVING), *many(2, READY, 4)[1:]]
    plan = plan_of(held, seen(held, *many(1, SERVING, 4), *new, split=to(50, 2)), 62)
    assert "admit:dep-1.2.1" in keys(plan)


def test_an_abort_gives_any_change_up_even_while_it_waits_for_another_try() -> None:
    held = rolling(None, aborted_by="ada")
    status = replace(held.status, retry_at=NOW + timedelta(hours=1), attempts=3)
    plan = plan_of(replace(held, status=status), seen(held, *many(1, SERVING, 4)))
    assert keys(plan) == ["give-up:aborted"]


def test_what_serves_is_looked_after_beside_a_canary() -> None:
    held = at_step(rolling(), 0)
    others = many(1, SERVING, 3)
    ended = seen(held, *others, instance(1, ENDED, 3), instance(2, READY), split=to(5, 1))
    assert keys(plan_of(held, ended, 1)) == ["stop:dep-1.1.3"]
    missing = seen(held, *others, instance(2, READY), split=to(5, 1))
    assert keys(plan_of(held, missing, 1)) == ["start:1.3"]
    back = seen(held, *others, instance(1, READY, 3), instance(2, READY), split=to(5, 1))
    assert keys(plan_of(held, back, 1)) == ["prove:dep-1.1.3", "admit:dep-1.1.3"]


def test_while_it_waits_for_another_try_its_share_stays() -> None:
    held = at_step(rolling(), 0)
    until = NOW + timedelta(seconds=30)
    failed = replace(held, status=replace(held.status, retry_at=until, attempts=1))
    crashed = replace(held, status=replace(held.status, restart_at=until, resting=1, crashes=2))
    observed = seen(held, *many(1, SERVING, 3), instance(2, READY), split=to(5, 1))
    assert keys(plan_of(failed, observed, 1)) == []
    assert keys(plan_of(crashed, observed, 1)) == []


def test_where_nobody_serves_there_is_no_canary() -> None:
    plan = plan_of(rolling(), seen(rolling(), *many(1, FROZEN, 1)))
    assert keys(plan) == ["prepare:d2", "start:2.0", "start:2.1", "start:2.2", "start:2.3"]


@pytest.mark.parametrize("steps", [(5, 50, 100), (100,)])
def test_paused_before_its_first_share_it_is_made_ready_and_gets_none(
    steps: tuple[int, ...],
) -> None:
    held = rolling(replace(CANARY, steps=steps), paused=True)
    plan = plan_of(held, seen(held, *many(1, SERVING, 4)))
    count = 4 if steps == (100,) else 1
    assert keys(plan) == ["prepare:d2", *(f"start:2.{n}" for n in range(count))]
    ready = many(2, READY, count)
    assert plan_of(held, seen(held, *many(1, SERVING, 4), *ready), 1e6).due == ()
    untold = seen(held, *many(1, SERVING, 4), *ready, split=to(5, 1))
    assert published(plan_of(held, untold)) == Publish(SHARED, 1, split=None)
    resumed = replace(held, spec=replace(held.spec, dials=rolling().spec.dials))
    plan = plan_of(resumed, seen(held, *many(1, SERVING, 4), *ready), 1e6)
    assert keys(plan)[0] == "prove:dep-1.2.0"
    aborted = rolling(replace(CANARY, steps=steps), paused=True, aborted_by="ada")
    assert keys(plan_of(aborted, seen(held, *ready))) == ["give-up:aborted"]


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("step", [0, 1])
def test_while_the_old_ones_start_again_its_share_stays(step: int, *, paused: bool) -> None:
    """They were ended, all at once: by want of memory, or with the machine."""
    held = at_step(rolling(paused=paused), step)
    held = replace(held, status=replace(held.status, crashes=2, crashed_at=NOW))
    split = to(50, 2) if step else to(5, 1)
    for old in ([], many(1, STARTING, 4), many(1, ENDED, 4)):
        new = many(2, READY, 2 if step else 1)
        plan = plan_of(held, seen(held, *old, *new, split=split), 59)
        assert [key for key in keys(plan) if "1." not in key] in ([], ["prepare:d1"])
        plan = plan_of(held, seen(held, *old, *new), 1e6)
        assert published(plan).split == split  # after the machine began anew


def test_where_nobody_is_led_to_any_more_a_canary_is_not_asked_again_and_again() -> None:
    """With ports, all get a 503 until an old one is back; its share comes back then, too."""
    held = at_step(rolling(), 0)
    new = instance(2, READY)
    observed = seen(held, *many(1, STARTING, 4), new, split=to(5, 1))
    observed = replace(observed, view=View(observed.view.instances, ()))
    assert keys(plan_of(held, observed)) == ["publish", "refuse"]
    step = published(plan_of(held, observed))
    route = routed(goal(held).route, (), 1, step.unavailable)
    assert plan_of(held, replace(observed, route=route)).due == ()
    back = seen(held, *many(1, SERVING, 4), new)
    assert keys(plan_of(held, replace(back, route=route))) == ["prove:dep-1.2.0", "publish"]


def test_a_first_share_waits_until_an_old_one_serves() -> None:
    held = rolling()
    plan = plan_of(held, seen(held, *many(1, STARTING, 4), instance(2, READY)))
    assert plan.due == ()


@pytest.mark.parametrize(
    ("crashes", "resting", "paused", "alone"),
    [(2, 4, False, False), (3, 3, False, False), (3, 4, False, True), (3, 4, True, False)],
)
def test_it_is_let_in_where_what_is_live_crashes_again_and_again(
    crashes: int, resting: int, *, paused: bool, alone: bool
) -> None:
    held = at_step(rolling(paused=paused), 0)
    status = replace(held.status, crashes=crashes, crashed_at=NOW, resting=resting)
    held = replace(held, status=status)
    plan = plan_of(held, seen(held, *many(1, STARTING, 4), instance(2, READY), split=to(5, 1)))
    assert ("start:2.3" in keys(plan)) == alone


def test_after_a_failure_the_split_goes_before_its_instances() -> None:
    failed = replace(rolling(), spec=replace(as_live(rolling()).spec, generation=2))
    failed = replace(failed, status=replace(failed.status, generation=2))
    first = plan_of(failed, seen(failed, *many(1, SERVING, 4), instance(2, READY), split=to(5, 1)))
    assert keys(first) == ["publish"]
    assert published(first).split is None
    then = plan_of(failed, seen(failed, *many(1, SERVING, 4), instance(2, READY)))
    assert keys(then) == ["drain:dep-1.2.0"]


def test_a_share_is_remembered_by_what_runs_without_those_a_later_step_needs() -> None:
    held = at_step(rolling(), 0)
    new = [instance(2, READY, 1), instance(2, READY, 0)]
    view = View((*many(1, SERVING, 4), *new), SHARED)
    assert remembered(held, goal(held), view) == to(5, 1)
    assert remembered(at_step(held, 1), goal(held), view) == to(50, 2)
    assert remembered(held, goal(held), View(tuple(many(1, SERVING, 4)), SHARED)) is None
    assert remembered(at_step(held, 2), goal(held), view) is None
    assert remembered(rolling(), goal(rolling()), view) is None


def test_a_share_is_noted_once_with_the_time_it_was_reached() -> None:
    held = rolling()
    plan = plan_of(held, seen(held, *many(1, SERVING, 4), instance(2, READY)))
    outcomes = [Done(due.step, 0.0) for due in plan.due]
    after, news = fold(held, plan, outcomes, NOW)
    assert after.status.canary == Progress(0, NOW, Trial(), NOW)
    assert [text for _, text, _ in news] == ["5 % of the requests go to 0.0.2"]
    later, none = fold(after, plan, outcomes, NOW + timedelta(seconds=30))
    assert (later.status.canary, none) == (after.status.canary, [])
