"""Truth table of running instances: more and fewer of them, sick ones, crashes, the way back."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from codestore.domain.deployments import Deployment, Live, Mark, State
from codestore.domain.dials import Dials, Hold
from codestore.domain.environments import Kind
from codestore.domain.events import EventKind
from codestore.domain.faults import failed, unavailable
from codestore.domain.instances import InstanceState
from codestore.domain.marking import CALM, mark_available, mark_failed, mark_live
from codestore.plan.fold import fold
from codestore.plan.model import Plan, Verdict
from codestore.plan.outcomes import Done
from codestore.plan.steps import Drain, Start, Stop
from tests.plan.test_canary import (
    DRAINING,
    ENDED,
    NOW,
    READY,
    SERVING,
    STARTING,
    instance,
    keys,
    many,
    plan_of,
    rolling,
    seen,
)

FIRST = Live(1, "0.0.1", "d1", NOW)
FROZEN = InstanceState.FROZEN


def running(scale: int | None = None, **dials: object) -> Deployment:
    """Revision 2 serves in production: four instances at least, eight at most."""
    held = mark_live(rolling(None), NOW)
    dialled = replace(held.spec.dials, scale=scale, **dials)
    return replace(held, spec=replace(held.spec, dials=dialled))


def crashed(times: int, at: datetime = NOW) -> Deployment:
    status = replace(
        running().status, crashes=times, crashed_at=at, crash="exit code 1", previous=FIRST
    )
    return replace(running(), status=status)


@pytest.mark.parametrize(
    ("scale", "count"), [(None, 4), (0, 4), (3, 4), (4, 4), (6, 6), (8, 8), (99, 8)]
)
def test_the_load_decides_within_what_is_allowed(scale: int | None, count: int) -> None:
    held = running(scale)
    plan = plan_of(held, seen(held, *many(2, SERVING, 4)))
    assert keys(plan) == [f"start:2.{n}" for n in range(4, count)]
    assert (plan.wanted, plan.verdict) == (4, Verdict.REACHED)


def test_a_new_one_serves_as_soon_as_it_has_proved_itself() -> None:
    held = running(6)
    observed = seen(held, *many(2, SERVING, 4), instance(2, READY, 4), instance(2, STARTING, 5))
    assert keys(plan_of(held, observed)) == ["prove:dep-1.2.4", "admit:dep-1.2.4"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([SERVING, SERVING], ["drain:dep-1.2.5", "drain:dep-1.2.4"]),
        ([SERVING, STARTING], ["stop:dep-1.2.5", "drain:dep-1.2.4"]),
        ([SERVING, DRAINING], ["drain:dep-1.2.4"]),
        ([DRAINING, DRAINING], []),
    ],
)
def test_what_is_more_than_wanted_drains_and_the_youngest_first(
    states: list[InstanceState], expected: list[str]
) -> None:
    held = running(4)
    more = [instance(2, state, 4 + n) for n, state in enumerate(states)]
    assert keys(plan_of(held, seen(held, *many(2, SERVING, 4), *more), 1)) == expected


def test_one_that_drains_is_no_instance_any_more_and_keeps_its_number() -> None:
    held = running(5)
    observed = seen(held, *many(2, SERVING, 4), instance(2, DRAINING, 4))
    assert keys(plan_of(held, observed)) == ["start:2.5"]
    five = seen(held, *many(2, SERVING, 4), instance(2, DRAINING, 4), instance(2, SERVING, 5))
    assert keys(plan_of(held, five, 34)) == []
    assert keys(plan_of(held, five, 36)) == ["stop:dep-1.2.4"]


def test_a_sick_one_is_replaced_but_never_two_at_once() -> None:
    held = running()
    sick = [instance(2, SERVING, n, "/health answered 500") for n in range(4)]
    here = [*many(2, SERVING, 2), *sick[2:]]
    plan = plan_of(held, seen(held, *here))
    assert keys(plan) == ["start:2.4"]
    assert plan.failing == "dep-1.2.2: /health answered 500"
    assert keys(plan_of(held, seen(held, *here, instance(2, STARTING, 4)))) == []
    five = plan_of(held, seen(held, *here, instance(2, SERVING, 4)))
    assert [due.step for due in five.due] == [Drain("dep-1.2.3", "/health answered 500")]
    left = [*here[:3], instance(2, DRAINING, 3), instance(2, SERVING, 4)]
    assert [due.step for due in plan_of(held, seen(held, *left)).due] == [Start(2, 5)]


def test_what_takes_the_place_of_the_sick_and_is_sick_itself_makes_them_no_more() -> None:
    """Nor if this process ends each time before one of them could be told to leave."""
    held = replace(running(), status=replace(running().status, previous=None))
    sick = [instance(2, SERVING, n, "/health answered 500") for n in range(6)]
    for here in (sick[:5], sick):
        plan = plan_of(held, seen(held, *here))
        assert {type(due.step) for due in plan.due} == {Drain}
        assert len(plan.due) == len(here) - 4


def test_when_all_are_sick_none_leaves_before_another_serves() -> None:
    held = replace(running(), status=replace(running().status, previous=None))
    sick = [instance(2, SERVING, n, "/health answered 500") for n in range(4)]
    assert keys(plan_of(held, seen(held, *sick))) == ["start:2.4"]
    assert keys(plan_of(held, seen(held, *sick, instance(2, READY, 4)))) == [
        "prove:dep-1.2.4",
        "admit:dep-1.2.4",
    ]


def test_a_sick_one_that_is_replaced_counts_as_a_crash() -> None:
    replaced = Done(Drain("dep-1.2.3", "/health answered 500"), 0.0)
    held, news = fold(running(), Plan(serving=4, wanted=4), [replaced], NOW)
    assert (held.status.crashes, held.status.crash) == (1, "/health answered 500")
    assert [text for _, text, _ in news] == ["dep-1.2.3 is replaced: /health answered 500"]


def test_more_than_wanted_leave_though_one_is_sick() -> None:
    held = running(4)
    sick = instance(2, SERVING, 0, "/health answered 500")
    others = many(2, SERVING, 6)[1:]
    assert keys(plan_of(held, seen(held, sick, *others))) == ["drain:dep-1.2.5", "drain:dep-1.2.0"]


def test_one_that_is_let_go_is_not_let_in_by_the_same_plan() -> None:
    held = running(4)
    plan = plan_of(held, seen(held, *many(2, SERVING, 4), instance(2, READY, 4)))
    assert keys(plan) == ["stop:dep-1.2.4"]


def test_one_that_was_told_to_leave_and_left_has_not_crashed() -> None:
    held = running()
    gone = replace(instance(2, ENDED, 4), dismissed=True)
    (due,) = plan_of(held, seen(held, *many(2, SERVING, 4), gone)).due
    assert due.step == Stop("dep-1.2.4", None)


def test_a_crash_loop_is_named_and_leaves_the_healthy_ones_alone() -> None:
    held = mark_available(running(), 4, 4, None, NOW)
    held = replace(held, status=replace(held.status, previous=None))
    assert held.state is State.READY
    for crash in range(1, 4):
        plan = Plan(serving=4, wanted=4)
        ended = Done(Stop("dep-1.2.4", "exit code 1"), 0.0)
        held, news = fold(held, plan, [ended], NOW + timedelta(seconds=crash))
        assert held.status.crashes == crash
    assert held.state is State.DEGRADED
    told = [(kind, text) for kind, text, _ in news]
    words = "4 of 4 instances accept requests. 3 crashes in a row; the last: exit code 1."
    assert told == [
        (EventKind.INSTANCE_ENDED, "dep-1.2.4 ended: exit code 1"),
        (EventKind.DEGRADED, words),
    ]
    three = plan_of(held, seen(held, *many(2, SERVING, 3)), 3)  # its turn comes
    assert (keys(three), three.next_look) == ([], held.status.restart_at)


def test_what_ran_well_for_long_has_a_clean_slate() -> None:
    held = crashed(2)
    later = NOW + CALM
    after, _ = fold(held, Plan(verdict=Verdict.REACHED, serving=4, wanted=4), [], later)
    assert after.status.crashes == 0
    again = [Done(Stop("dep-1.2.0", "exit code 1"), 0.0)]
    after, _ = fold(held, Plan(serving=3, wanted=4), again, later)
    assert after.status.crashes == 1
    plan = plan_of(held, seen(held, *many(2, SERVING, 4)))
    assert plan.next_look == later


def test_a_young_version_that_crashes_gives_way_to_the_one_before() -> None:
    held = crashed(3)
    plan = plan_of(held, seen(held, *many(2, SERVING, 4)))
    assert plan.returning is not None
    after, news = fold(held, plan, [], NOW + timedelta(seconds=1))
    spec = after.spec
    assert (spec.number, spec.digest, spec.generation, spec.revision) == ("0.0.1", "d1", 3, 3)
    assert spec.returning
    assert spec.dials.hold is not None
    assert [mark.number for mark in after.status.marks] == ["0.0.2"]
    assert [kind for kind, _, _ in news] == [EventKind.RETURNING]
    assert news[0][1].startswith("return to 0.0.1: 0.0.2 failed 3 times in a row (exit code 1)")
    back = mark_live(after, NOW + timedelta(seconds=5))
    assert back.status.live is not None
    assert back.status.live.returned
    assert back.status.previous is None


def test_one_that_is_sick_as_a_whole_gives_way_one_sick_instance_does_not() -> None:
    held = crashed(0)
    sick = [instance(2, SERVING, n, "/health answered 500") for n in range(4)]
    plan = plan_of(held, seen(held, *sick))
    assert plan.returning is not None
    assert "/health answered 500" in plan.returning.detail
    assert plan_of(held, seen(held, *sick[:3], instance(2, SERVING, 3))).returning is None


@pytest.mark.parametrize(
    ("held", "seconds"),
    [
        (crashed(2), 1),
        (crashed(3, NOW + timedelta(minutes=20)), 20 * 60),
        (replace(crashed(3), kind=Kind.DEMO), 1),
        (
            replace(
                crashed(3),
                status=replace(crashed(3).status, live=Live(2, "0.0.2", "d2", NOW, returned=True)),
            ),
            1,
        ),
        (replace(crashed(3), status=replace(crashed(3).status, previous=None)), 1),
        (
            replace(
                crashed(3),
                status=replace(crashed(3).status, marks=(Mark("0.0.1", "it failed", NOW, "ada"),)),
            ),
            1,
        ),
        (
            replace(
                crashed(3),
                status=replace(crashed(3).status, live=Live(2, "0.0.2", "d2", NOW, login=1)),
            ),
            1,
        ),
        (
            replace(
                crashed(3),
                spec=replace(
                    crashed(3).spec,
                    dials=replace(crashed(3).spec.dials, hold=Hold("ada", NOW, "it stays")),
                ),
            ),
            1,
        ),
    ],
    ids=[
        "two crashes",
        "old",
        "demo",
        "was a return",
        "nothing before",
        "marked",
        "new password",
        "held",
    ],
)
def test_nothing_else_returns(held: Deployment, seconds: float) -> None:
    plan = plan_of(held, seen(held, *many(2, SERVING, 4)), seconds)
    assert plan.returning is None


@pytest.mark.parametrize("number", ["0.0.1", "0.0.2"])
def test_a_return_that_fails_was_the_only_one(number: str) -> None:
    """Also where the version stays, and only its secrets were to be those before."""
    held = replace(
        crashed(3), status=replace(crashed(3).status, previous=replace(FIRST, number=number))
    )
    plan = plan_of(held, seen(held, *many(2, SERVING, 4)))
    away, _ = fold(held, plan, [], NOW + timedelta(seconds=1))
    fault = failed("start_failed", "The new version does not start", "exit code 1")
    back = mark_failed(away, fault, NOW + timedelta(seconds=9))
    assert back.status.live == replace(running().status.live, returned=True)
    assert back.spec.number == "0.0.2"
    hold = back.spec.dials.hold
    assert hold is not None
    assert hold.reason.startswith(f"failed to {away.spec.reason}")
    free = replace(back, spec=replace(back.spec, dials=Dials()))
    assert plan_of(free, seen(free, *many(2, SERVING, 4)), 9).returning is None


def test_the_troubles_of_the_platform_mark_no_version() -> None:
    held = rolling(None)
    assert mark_failed(held, unavailable("gone", "The keeper is away", "x"), NOW).status.marks == ()
    lifted = Hold("codestore", NOW - CALM, "return to 0.0.1: 0.0.2 does badly")
    on = replace(held, spec=replace(held.spec, lifted=lifted))
    after = mark_failed(on, unavailable("gone", "The keeper is away", "x"), NOW)
    assert after.spec.dials.hold == lifted  # and what came with it is as before, too
    (mark,) = after.status.marks
    assert (mark.number, mark.at, mark.by) == ("0.0.2", lifted.at, "codestore")


def test_a_rollback_that_comes_to_nothing_leaves_no_hold_and_no_mark_behind() -> None:
    held = running()
    at = NOW + timedelta(minutes=1)
    spec = replace(
        held.spec,
        generation=3,
        revision=3,
        number="0.0.1",
        asked_at=at,
        asked_by="ada",
        returning=True,
        dials=Dials(hold=Hold("ada", at, "rolled back")),
    )
    status = replace(held.status, marks=(Mark("0.0.2", "rolled back", at, "ada"),))
    fault = failed("start_failed", "The new version does not start", "exit code 1")
    after = mark_failed(replace(held, spec=spec, status=status), fault, at)
    assert after.spec.dials.hold is None
    assert [mark.number for mark in after.status.marks] == ["0.0.1"]


def test_a_back_off_is_kept_though_enough_others_serve() -> None:
    held = crashed(2)
    until = NOW + timedelta(seconds=30)
    held = replace(held, status=replace(held.status, restart_at=until, resting=1))
    after, _ = fold(held, Plan(verdict=Verdict.REACHED, serving=4, wanted=4), [], NOW)
    assert (after.status.restart_at, after.status.resting) == (until, 1)


def test_in_a_rollout_nobody_starts_in_place_of_the_sick() -> None:
    held = rolling(None)
    new = [instance(2, SERVING, n, "/health answered 500") for n in range(4)]
    plan = plan_of(held, seen(held, *many(1, SERVING, 4), *new))
    assert keys(plan) == [*(f"drain:dep-1.1.{n}" for n in range(4)), "publish"]


def test_after_a_step_that_failed_nothing_is_done_until_its_time() -> None:
    held = crashed(3)
    waiting = replace(held.status, attempts=1, retry_at=NOW + timedelta(seconds=30))
    plan = plan_of(replace(held, status=waiting), seen(held, instance(2, ENDED)), 1)
    assert (keys(plan), plan.next_look) == ([], NOW + timedelta(seconds=30))
