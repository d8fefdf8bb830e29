"""Truth table of standby: falling asleep, sleeping, being woken, and wakes that fail."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from codestore.domain.deployments import Deployment, State
from codestore.domain.environments import Kind
from codestore.domain.events import EventKind
from codestore.domain.instances import Instance, InstanceState, Wake
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.marking import mark_live, mark_standby
from codestore.domain.overrides import Override
from codestore.domain.routing import Endpoint
from codestore.domain.standby import Depth, Standby
from codestore.domain.versions import Seal
from codestore.plan.desired import Wanted, desired, routed
from codestore.plan.fold import fold
from codestore.plan.model import Observed, Plan, Verdict
from codestore.plan.outcomes import Done
from codestore.plan.planning import plan_for
from codestore.plan.standby import at_rest
from codestore.plan.standby_steps import Refuse
from tests.plan.test_rollout import (
    ENDED,
    FROZEN,
    NOW,
    READY,
    SERVING,
    SHARED,
    STARTING,
    deployment,
    instance,
    keys,
    live,
)

HELD = Endpoint("unix:held")
PORT = "tcp://127.0.0.1:1234"
AT_PORT = (Endpoint(PORT),)
OVERRIDES = {Kind.DEVELOPMENT: Override(standby=2.0)}
SOCKET = Manifest("blog", Run(RunKind.ASGI, ("app:app",)), overrides=OVERRIDES)
COMMAND = replace(SOCKET, run=Run(RunKind.COMMAND, ("node", "server.js")))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def awake(kind: Kind = Kind.PRIVATE) -> Deployment:
    return mark_live(deployment(kind), NOW)


def sleeping(depth: Depth = Depth.STOPPED, since: float = 0) -> Deployment:
    return mark_standby(awake(), Standby(depth, NOW, later(since)), NOW)


def goal(held: Deployment, manifest: Manifest = SOCKET) -> Wanted:
    return desired(held, Seal(held.spec.digest, "content", manifest), ())


def seen(
    held: Deployment,
    *instances: Instance,
    manifest: Manifest = SOCKET,
    at: tuple[Endpoint, ...] | None = None,
    idle: float | None = 0,
) -> Observed:
    port = manifest is COMMAND
    endpoints = (AT_PORT if any(i.state is SERVING for i in instances) else ()) if port else SHARED
    observed = Observed(database=True, artifact=True)
    view = replace(observed.view, instances=instances, endpoints=endpoints)
    led_to = at if at is not None else endpoints
    route = routed(goal(held, manifest).route, led_to, held.spec.revision) if led_to else None
    since = None if idle is None else later(idle)
    return replace(observed, view=view, route=route, idle_since=since)


def viewed(observed: Observed, **changes: object) -> Observed:
    return replace(observed, view=replace(observed.view, **changes))  # type: ignore[arg-type]


def plan_of(
    held: Deployment, observed: Observed, after: float, manifest: Manifest = SOCKET
) -> Plan:
    return plan_for(held, goal(held, manifest), observed, later(after))


def test_what_is_used_is_looked_at_again_when_it_could_sleep() -> None:
    held = awake()
    plan = plan_of(held, seen(held, instance(2, SERVING), idle=100), 200)
    assert (keys(plan), plan.next_look) == ([], later(400))
    plan = plan_of(held, seen(held, instance(2, SERVING), idle=None), 200)
    assert (keys(plan), plan.next_look) == ([], later(500))


@pytest.mark.parametrize(
    ("kind", "idle", "expected"),
    [
        (Kind.PRIVATE, 299, []),
        (Kind.PRIVATE, 300, ["freeze:dep-1.2.0"]),
        (Kind.DEMO, 300, ["freeze:dep-1.2.0"]),
        (Kind.DEVELOPMENT, 2, ["freeze:dep-1.2.0"]),
        (Kind.STAGING, 100_000, []),
    ],
)
def test_it_is_frozen_when_nobody_came_for_its_idle_time(
    kind: Kind, idle: float, expected: list[str]
) -> None:
    held = awake(kind)
    assert keys(plan_of(held, seen(held, instance(2, SERVING)), idle)) == expected


def scaled(held: Deployment, count: int) -> Deployment:
    dials = replace(held.spec.dials, scale=count)
    return replace(held, spec=replace(held.spec, dials=dials))


def test_production_never_sleeps() -> None:
    held = awake(Kind.PRODUCTION)
    plan = plan_of(held, seen(held, instance(2, SERVING), instance(2, SERVING, 1)), 1e6)
    assert plan.empty


def test_of_several_the_first_is_frozen_last() -> None:
    held = scaled(awake(Kind.DEVELOPMENT), 2)
    both = seen(held, instance(2, SERVING), instance(2, SERVING, 1))
    assert keys(plan_of(held, both, 5)) == ["freeze:dep-1.2.1", "freeze:dep-1.2.0"]


def test_nothing_falls_asleep_in_the_middle_of_a_change() -> None:
    busy = live()
    rolling = seen(busy, instance(1, SERVING), instance(2, STARTING))
    assert keys(plan_of(busy, rolling, 1000)) == ["give-up:start_timeout"]
    leaving = awake()
    both = seen(leaving, instance(1, InstanceState.DRAINING), instance(2, SERVING))
    assert keys(plan_of(leaving, both, 5)) == []
    assert keys(plan_of(leaving, both, 1000)) == ["stop:dep-1.1.0"]


def test_callers_of_a_port_are_led_to_a_socket_first() -> None:
    held = awake()
    serving = seen(held, instance(2, SERVING, address=PORT), manifest=COMMAND)
    assert keys(plan_of(held, serving, 300, COMMAND)) == ["hold:dep-1.2.0"]
    plan = plan_of(held, viewed(serving, held=HELD), 300, COMMAND)
    assert keys(plan) == ["publish", "freeze:dep-1.2.0"]
    led = seen(held, instance(2, SERVING, address=PORT), manifest=COMMAND, at=(HELD,))
    (back,) = plan_of(held, viewed(led, held=HELD), 200, COMMAND).due  # somebody came after all
    assert back.step.endpoints == AT_PORT  # type: ignore[union-attr]


def test_frozen_is_noticed_and_left_alone_until_it_is_stopped() -> None:
    held = awake()
    plan = plan_of(held, seen(held, instance(2, FROZEN)), 301)
    assert keys(plan) == []
    assert plan.standby is not None and plan.standby.depth is Depth.FROZEN
    assert plan.next_look == later(1800)
    asleep = sleeping(Depth.FROZEN, 301)
    assert keys(plan_of(asleep, seen(asleep, instance(2, FROZEN)), 1799)) == []
    assert keys(plan_of(asleep, seen(asleep, instance(2, FROZEN)), 1800)) == [
        "stop-frozen:dep-1.2.0"
    ]


def test_frozen_is_stopped_at_once_when_memory_is_short() -> None:
    held = sleeping(Depth.FROZEN)
    plan = plan_of(held, viewed(seen(held, instance(2, FROZEN)), pressed=True), 301)
    assert keys(plan) == ["stop-frozen:dep-1.2.0"]


def test_what_is_stopped_waits_for_a_caller() -> None:
    held = sleeping()
    assert keys(plan_of(held, seen(held), 2000)) == ["arm:2"]
    armed = viewed(seen(held), armed=2)
    plan = plan_of(held, armed, 2000)
    assert plan.empty and plan.verdict is Verdict.REACHED
    assert at_rest(held, armed.view) and not at_rest(held, seen(held).view)
    assert keys(plan_of(held, viewed(seen(held), armed=1), 2000)) == ["arm:2"]
    lost = replace(seen(held), artifact=False)
    assert keys(plan_of(held, lost, 2000)) == ["prepare:d2", "arm:2"]


def test_a_password_that_failed_is_closed_before_what_has_it_ends() -> None:
    """What rests without a process is not looked at again: not even after a crash in between."""
    held = sleeping()
    database = replace(SOCKET, database=True)
    left = instance(held.spec.revision + 1, state=InstanceState.DRAINING)
    for others, done in (((left,), [f"stop:{left.name}"]), ((), [])):
        observed = replace(seen(held, *others, manifest=database), logins=frozenset({0, 1}))
        plan = plan_for(held, goal(held, database), observed, later(100))
        assert keys(plan) == ["close-logins:0", f"arm:{held.spec.revision}", *done]


def test_nobody_is_locked_out_who_has_something_to_finish() -> None:
    held = sleeping()
    database = replace(SOCKET, database=True)
    left = instance(held.spec.revision + 1, state=InstanceState.DRAINING)
    observed = replace(seen(held, left, manifest=database), logins=frozenset({0, 1}))
    assert "close-logins:0" not in keys(plan_for(held, goal(held, database), observed, NOW))


def test_a_command_waits_at_the_socket_that_is_held_for_it() -> None:
    held = sleeping()
    armed = viewed(seen(held, manifest=COMMAND), held=HELD, armed=2)
    (publish,) = plan_of(held, armed, 2000, COMMAND).due
    assert publish.step.endpoints == (HELD,)  # type: ignore[union-attr]


def test_a_wake_is_awaited() -> None:
    held = sleeping()
    plan = plan_of(held, seen(held, replace(instance(2, STARTING), since=later(2000))), 2000.1)
    assert keys(plan) == [] and plan.next_look == later(2030)
    assert plan.standby is not None and plan.standby.waking_since == later(2000)
    ready = seen(held, replace(instance(2, READY), since=later(2000)))
    assert keys(plan_of(held, ready, 2000.1)) == ["admit:dep-1.2.0"]
    up = plan_of(held, seen(held, instance(2, SERVING)), 2000.2)
    assert keys(up) == [] and up.standby is None and up.verdict is Verdict.REACHED


def test_a_command_that_woke_is_called_at_its_port_again() -> None:
    held = sleeping()
    up = seen(held, instance(2, SERVING, address=PORT), manifest=COMMAND, at=(HELD,))
    (publish,) = plan_of(held, viewed(up, held=HELD), 2000, COMMAND).due
    assert publish.step.endpoints == AT_PORT  # type: ignore[union-attr]


def test_a_wake_that_fails_turns_away_whoever_waits() -> None:
    held = sleeping()
    plan = plan_of(held, seen(held, instance(2, ENDED)), 2000)
    assert keys(plan) == ["publish", "refuse"]
    assert [each.step.unavailable for each in plan.due if each.step.key == "publish"] == [  # type: ignore[union-attr]
        "The service did not start: exit code 1."
    ]


def test_a_wake_that_takes_too_long_is_given_up() -> None:
    held = sleeping()
    stuck = replace(instance(2, STARTING), since=later(2000))
    assert keys(plan_of(held, seen(held, stuck), 2030)) == ["publish", "refuse"]
    told = routed(goal(held).route, (), 2, "It did not start.")
    plan = plan_of(held, replace(seen(held, stuck), route=told), 2030)
    assert keys(plan) == ["stop:dep-1.2.0"]


def test_the_queue_is_closed_before_a_slow_start_is_over() -> None:
    held = sleeping()
    slow = replace(SOCKET, health=replace(SOCKET.health, timeout=300.0))
    stuck = replace(instance(2, STARTING), since=later(2000))
    observed = seen(held, stuck)
    assert keys(plan_of(held, observed, 2059, slow)) == []
    plan = plan_of(held, observed, 2060, slow)
    assert keys(plan) == ["publish", "refuse"] and plan.next_look == later(2300)
    closed = routed(goal(held).route, (), 2, "It is not awake.")
    assert keys(plan_of(held, replace(observed, route=closed), 2061, slow)) == []


def test_after_a_failed_wake_nobody_wakes_it_until_the_back_off_is_over() -> None:
    held = sleeping()
    status = replace(held.status, crashes=3, restart_at=later(2010))
    held = replace(held, status=status)
    plan = plan_of(held, viewed(seen(held), armed=2), 2000)
    assert keys(plan) == ["publish", "disarm"]
    assert plan.next_look == later(2010)
    assert keys(plan_of(held, seen(held), 2010)) == ["arm:2"]


def test_one_that_ends_while_it_is_frozen_turns_nobody_away() -> None:
    held = sleeping(Depth.FROZEN)
    plan = plan_of(held, seen(held, instance(2, ENDED)), 400)
    assert keys(plan) == ["stop:dep-1.2.0"]
    after, _ = fold(held, plan, [Done(due.step, 0.0) for due in plan.due], later(400))
    assert keys(plan_of(after, seen(after), 400)) == ["arm:2"]


def test_a_new_version_takes_over_from_one_that_sleeps() -> None:
    busy = replace(live(), status=replace(live().status, standby=Standby(Depth.FROZEN, NOW, NOW)))
    both = seen(busy, instance(1, FROZEN), instance(2, SERVING))
    assert keys(plan_of(busy, both, 10)) == ["drain:dep-1.1.0"]
    woken = seen(busy, instance(1, STARTING), instance(2, SERVING))  # by a caller, meanwhile
    assert keys(plan_of(busy, woken, 10)) == ["drain:dep-1.1.0"]
    armed = viewed(seen(busy, instance(2, READY)), armed=1)
    armed = replace(armed, route=routed(goal(busy).route, SHARED, 1))
    assert keys(plan_of(busy, armed, 10)) == ["prove:dep-1.2.0", "disarm", "admit:dep-1.2.0"]
    after, _ = fold(busy, Plan(verdict=Verdict.REACHED, serving=1, wanted=1), [], NOW)
    assert after.status.standby is None and after.state is State.READY
    assert after.explanation == (NOW, "0.0.2 was deployed.")


def test_while_a_new_version_comes_callers_of_a_sleeping_command_go_on_waiting() -> None:
    busy = replace(live(), status=replace(live().status, standby=Standby(Depth.STOPPED, NOW, NOW)))
    armed = viewed(seen(busy, instance(2, STARTING), manifest=COMMAND), held=HELD, armed=1)
    waiting = replace(armed, route=routed(goal(busy, COMMAND).route, (HELD,), 1))
    assert keys(plan_of(busy, waiting, 10, COMMAND)) == []


def test_what_does_not_sleep_any_more_is_thawed() -> None:
    held = replace(sleeping(Depth.FROZEN), kind=Kind.STAGING)
    assert keys(plan_of(held, seen(held, instance(2, FROZEN)), 5)) == ["thaw:dep-1.2.0"]
    one = scaled(awake(Kind.DEVELOPMENT), 2)
    plan = plan_of(one, seen(one, instance(2, SERVING), instance(2, FROZEN, 1), idle=None), 5)
    assert keys(plan) == ["thaw:dep-1.2.1"]


def test_people_hear_that_it_sleeps_how_deep_and_why() -> None:
    frozen = plan_of(awake(), seen(awake(), instance(2, FROZEN)), 301)
    after, news = fold(awake(), frozen, [], later(301))
    assert after.state is State.STANDBY
    assert [(kind, text) for kind, text, _ in news] == [
        (EventKind.STANDBY, "frozen: no request for 301 s")
    ]
    assert after.explanation == (later(301), "No request came; its processes are frozen.")
    assert fold(after, frozen, [], later(302))[1] == []
    stopped = plan_of(after, seen(after), 1801)
    after, news = fold(after, stopped, [], later(1801))
    assert [text for _, text, _ in news] == ["stopped: no request for 1801 s"]
    begun = replace(instance(2, STARTING), since=later(2000))
    waking = plan_of(after, seen(after, begun), 2000)
    after, news = fold(after, waking, [], later(2000))
    assert (after.state, news) == (State.WAKING, [])


def test_a_wake_is_counted_once_and_its_crashes_are_forgotten() -> None:
    held = replace(sleeping(), status=replace(sleeping().status, crashes=2))
    woke = Wake(later(2000), 0.0123, Depth.STOPPED)
    plan = plan_of(held, viewed(seen(held, instance(2, SERVING)), woke=woke), 2000)
    after, news = fold(held, plan, [], later(2000))
    assert (after.state, after.status.crashes) == (State.READY, 0)
    assert [(kind, text) for kind, text, _ in news] == [
        (EventKind.WOKEN, "a request woke it in 12.3 ms; it was stopped")
    ]
    again, news = fold(after, plan, [], later(2001))
    assert (again.status.wakes.stopped.count, news) == (1, [])


def test_a_failed_wake_is_told_and_counted() -> None:
    held = sleeping()
    plan = plan_of(held, seen(held, instance(2, ENDED)), 2000)
    (letter,) = [due.step.letter for due in plan.due if isinstance(due.step, Refuse)]
    assert letter.code == "wake_failed"
    outcomes = [Done(due.step, 0.0) for due in plan.due]
    after, news = fold(held, plan, outcomes, later(2000))
    assert [kind for kind, _, _ in news] == [EventKind.WAKE_FAILED]
    told = routed(goal(held).route, (), 2, "It did not start.")
    plan = plan_of(after, replace(seen(held, instance(2, ENDED)), route=told), 2000)
    after, news = fold(after, plan, [Done(due.step, 0.0) for due in plan.due], later(2000))
    assert [kind for kind, _, _ in news] == [EventKind.INSTANCE_ENDED]
    assert after.status.crashes == 1 and after.state is State.DEGRADED
    assert after.explanation == (later(2000), "The service did not start: exit code 1.")
