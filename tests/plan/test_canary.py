"""Truth table of a canary: its share, step by step, and what ends it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from codestore.domain.canary import Canary, Progress, Trial
from codestore.domain.deployments import Deployment, Spec, as_live
from codestore.domain.environments import Kind
from codestore.domain.instances import Instance, InstanceState, View
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.marking import mark_live
from codestore.domain.overrides import Override
from codestore.domain.routing import Endpoint, Split
from codestore.domain.versions import Seal
from codestore.plan.canary import remembered
from codestore.plan.desired import Wanted, desired, routed
from codestore.plan.fold import fold
from codestore.plan.model import Observed, Plan, Verdict
from codestore.plan.outcomes import Done
from codestore.plan.planning import plan_for
from codestore.plan.steps import GiveUp, Publish

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CANARY = Canary(steps=(5, 50, 100), hold=60.0, error_rate=0.01)
FOUR = {Kind.PRODUCTION: Override(min_instances=4)}
MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)), database=False, overrides=FOUR)
SHARED = (Endpoint("unix:shared"),)
NONE = Trial()
STARTING, READY, SERVING, FROZEN, DRAINING, ENDED = InstanceState


def rolling(canary: Canary | None = CANARY, **dials: object) -> Deployment:
    """Revision 1 serves in production; 2 is to be let in as a canary."""
    spec = Spec(1, 1, "0.0.1", "d1", "ada", NOW, "promote 0.0.1")
    held = Deployment(
        "dep-1", "0" * 32, "svc-1", "env-1", Kind.PRODUCTION, "prj-1", "blog", NOW, spec
    )
    held = mark_live(held, NOW)
    wanted = Spec(2, 2, "0.0.2", "d2", "ada", NOW, "promote 0.0.2", canary=canary)
    wanted = replace(wanted, dials=replace(wanted.dials, **dials))
    return replace(held, spec=wanted)


def at_step(held: Deployment, step: int, base: Trial = NONE) -> Deployment:
    return replace(held, status=replace(held.status, canary=Progress(step, NOW, base, NOW)))


def instance(
    revision: int, state: InstanceState, ordinal: int = 0, failing: str | None = None
) -> Instance:
    name = f"dep-1.{revision}.{ordinal}"
    ending = "exit code 1" if state is ENDED else None
    private = f"unix:{name}"
    return Instance(name, revision, ordinal, state, NOW, None, ending, private, failing)


def many(revision: int, state: InstanceState, count: int) -> list[Instance]:
    return [instance(revision, state, n) for n in range(count)]


def goal(held: Deployment) -> Wanted:
    wanted = desired(held, Seal(held.spec.digest, "content", MANIFEST), ())
    if held.busy:
        live = desired(as_live(held), Seal("d1", "content", MANIFEST), ())
        wanted = replace(wanted, before=live)
    return wanted


def to(percent: int, count: int) -> Split:
    endpoints = tuple(Endpoint(f"unix:dep-1.2.{n}") for n in range(count))
    return Split(percent, 2, endpoints)


def seen(
    held: Deployment, *instances: Instance, split: Split | None = None, trial: Trial | None = None
) -> Observed:
    revision = held.status.live.revision if held.status.live else 2
    route = routed(goal(held).route, SHARED, revision, split=split)
    return Observed(View(instances, SHARED), artifact=True, route=route, canary=trial)


def plan_of(held: Deployment, observed: Observed, seconds: float = 0) -> Plan:
    return plan_for(held, goal(held), observed, NOW + timedelta(seconds=seconds))


def keys(plan: Plan) -> list[str]:
    return [due.step.key for due in plan.due]


def published(plan: Plan) -> Publish:
    (step,) = (due.step for due in plan.due if isinstance(due.step, Publish))
    return step


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
