"""Crashes in a row: what is one, who waits for it, and who does not."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from codestore.domain.deployments import Deployment, Wish, retargeted
from codestore.domain.marking import CALM
from codestore.plan.fold import fold
from codestore.plan.model import Plan
from codestore.plan.outcomes import Done, Outcome
from codestore.plan.steps import Drain, Stop
from tests.plan.test_canary import (
    DRAINING,
    NOW,
    READY,
    SERVING,
    instance,
    keys,
    many,
    plan_of,
    seen,
)
from tests.plan.test_scale import running

MINUTE = 60.0


def ended(held: Deployment, at: float, *started: float, failing: bool = False) -> Deployment:
    """Return the deployment after a turn at ``at`` in which these ended, by when they began."""
    after, _ = fold(held, Plan(serving=1, wanted=4), ends(*started, failing=failing), later(at))
    return after


def ends(*started: float, failing: bool = False) -> list[Outcome]:
    step = Drain if failing else Stop
    steps = (step(f"dep-1.2.{n}", "exit code 1", later(s)) for n, s in enumerate(started))
    return [Done(each, 0.0) for each in steps]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def waiting(resting: int = 1, scale: int | None = None, seconds: float = 58) -> Deployment:
    """So many of revision 2 crash again and again, and wait; there is no way back."""
    held = running(scale)
    status = replace(held.status, crashes=7, crashed_at=NOW, crash="exit code 1")
    status = replace(status, restart_at=later(seconds), resting=resting, previous=None)
    return replace(held, status=status)


def test_one_that_is_restarted_and_crashes_again_counts_each_time() -> None:
    held, waits = running(), []
    for crash in range(1, 8):
        held = ended(held, 100.0 * crash, 100.0 * crash - 1)
        assert held.status.crashes == crash
        until = held.status.restart_at
        waits.append(0.0 if until is None else (until - later(100.0 * crash)).total_seconds())
    assert waits[0] == 0.0 < 0.37 <= waits[1] <= 0.5
    assert all(half < whole for half, whole in pairwise(waits))


@pytest.mark.parametrize("failing", [False, True])
def test_what_ends_together_is_one_crash(failing: bool) -> None:
    held = ended(running(), 5, 0, 0, 0, 0, failing=failing)
    assert (held.status.crashes, held.status.restart_at) == (1, None)
    held = ended(held, 6, 0, failing=failing)  # in the next turn, of the same cause
    assert (held.status.crashes, held.status.restart_at) == (1, None)
    again = ended(held, 20, 10, 10, 10, 10, failing=failing)
    assert (again.status.crashes, again.status.resting) == (2, 4)


def test_eight_that_crash_now_and_then_are_no_loop() -> None:
    """Each twice in an hour: there is no calm of ten minutes, and no crash in a row."""
    held, started = running(), dict.fromkeys(range(8), 0.0)
    for turn in range(32):
        at = (3.75 * turn + 30) * MINUTE
        held = ended(held, at, started[turn % 8])
        started[turn % 8] = at
        assert held.status.crashes == 1
        assert held.status.restart_at is None


def test_what_ends_beside_a_loop_waits_with_it_unless_it_ran_well() -> None:
    held = waiting()
    assert ended(held, 1, -30).status.resting == 2
    assert ended(held, 1, 1 - CALM.total_seconds()).status.resting == 1
    assert ended(held, 1, -30).status.restart_at == held.status.restart_at


def test_who_waits_goes_on_waiting_when_another_one_crashes() -> None:
    held = ended(waiting(2), 1, 0.5)
    assert (held.status.crashes, held.status.resting) == (8, 3)
    assert keys(plan_of(held, seen(held, instance(2, SERVING, 3)), 2)) == []


def test_a_fix_does_not_wait_for_what_it_mends() -> None:
    broken = waiting(4)
    wish = Wish("ada", later(1), "promote 0.0.3")
    held = retargeted(broken, "0.0.3", "d3", wish)
    first = plan_of(held, seen(held), 1)  # nothing of what is broken is started once more
    starts = [f"start:3.{n}" for n in range(4)]
    assert keys(first) == ["prepare:d3", *starts, "publish", "refuse"]
    up = plan_of(held, seen(held, *many(3, READY, 4)), 2)
    assert keys(up) == [f"{do}:dep-1.3.{n}" for do in ("prove", "admit") for n in range(4)]


def test_one_that_crashes_again_and_again_holds_nobody_else_up() -> None:
    held = waiting(1, scale=8)
    plan = plan_of(held, seen(held, *many(2, SERVING, 3)), 1)
    assert keys(plan) == [f"start:2.{n}" for n in range(3, 7)]
    assert plan.next_look == held.status.restart_at
    over = plan_of(held, seen(held, *many(2, SERVING, 7)), 58)
    assert keys(over) == ["start:2.7"]


def test_beside_one_that_waits_the_sick_are_replaced_and_drains_end() -> None:
    held = waiting()
    sick = instance(2, SERVING, 2, "/health answered 500")
    assert keys(plan_of(held, seen(held, *many(2, SERVING, 2), sick), 1)) == ["start:2.3"]
    drained = instance(2, DRAINING, 4)
    plan = plan_of(held, seen(held, *many(2, SERVING, 4), drained), 40)
    assert keys(plan) == ["stop:dep-1.2.4"]


def test_what_ails_all_of_them_waits_too() -> None:
    held = waiting()
    sick = [instance(2, SERVING, n, "/health answered 500") for n in range(4)]
    assert keys(plan_of(held, seen(held, *sick), 1)) == []
