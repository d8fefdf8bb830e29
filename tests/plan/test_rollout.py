"""Truth table of the planner: what is observed, and the steps that are due for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from codestore.domain.deployments import Deployment, Spec, Status
from codestore.domain.environments import Kind
from codestore.domain.faults import failed
from codestore.domain.instances import Instance, InstanceState, View
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.marking import mark_failed, mark_live
from codestore.domain.routing import Endpoint
from codestore.domain.versions import Migration, Seal
from codestore.plan.desired import Wanted, desired, routed
from codestore.plan.model import Observed, Plan, Verdict
from codestore.plan.rollout import removal, rollout
from codestore.plan.steps import Publish, Stop

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)), migrate=("migrate",))
FILES = (Migration("migrations/1.sql", "a"),)
SHARED = (Endpoint("unix:shared"),)
STARTING, READY, SERVING, FROZEN, DRAINING, ENDED = InstanceState


def deployment(kind: Kind = Kind.PRIVATE) -> Deployment:
    spec = Spec(2, 2, "0.0.2", "d2", "ada", NOW, "push 0.0.2")
    return Deployment("dep-1", "0" * 32, "svc-1", "env-1", kind, None, "blog", NOW, spec)


def live(kind: Kind = Kind.PRIVATE) -> Deployment:
    """Revision 1 serves; 2 is wanted."""
    first = mark_live(
        replace(deployment(kind), spec=replace(deployment().spec, generation=1, revision=1)), NOW
    )
    return replace(first, spec=deployment().spec)


def instance(
    revision: int, state: InstanceState, ordinal: int = 0, address: str | None = None
) -> Instance:
    name = f"dep-1.{revision}.{ordinal}"
    ending = "exit code 1" if state is ENDED else None
    return Instance(name, revision, ordinal, state, NOW, address, ending)


def seen(held: Deployment, *instances: Instance, routed_: bool = True) -> Observed:
    wanted = goal(held)
    live_ = held.status.live
    revision = wanted.revision if live_ is None or not held.busy else live_.revision
    route = routed(wanted.route, SHARED, revision) if routed_ else None
    view = View(instances, SHARED)
    return Observed(view, database=True, artifact=True, route=route, routed=route is not None)


def goal(held: Deployment) -> Wanted:
    return desired(held, Seal(held.spec.digest, "content", MANIFEST, migrations=FILES), ())


def keys(plan: Plan) -> list[str]:
    return [due.step.key for due in plan.due]


def plan_of(held: Deployment, observed: Observed, now: datetime = NOW) -> Plan:
    return rollout(held, goal(held), observed, now)


def test_a_first_version_is_prepared_migrated_and_started() -> None:
    plan = plan_of(deployment(), Observed())
    assert keys(plan) == ["prepare:d2", "database:blog", "migrate:d2", "start:2.0"]


def test_a_migration_that_has_run_is_not_run_again() -> None:
    held = replace(deployment(), status=Status(migrated=("d2",)))
    assert "migrate:d2" not in keys(plan_of(held, Observed()))


def test_going_back_behind_a_migration_asks_nothing_of_the_older_version() -> None:
    later = (*FILES, Migration("migrations/2.sql", "b"))
    held = replace(deployment(), status=Status(migrated=("d3",), applied=later))
    assert "migrate:d2" not in keys(plan_of(held, Observed()))
    changed = (Migration("migrations/1.sql", "another"),)
    held = replace(deployment(), status=Status(migrated=("d3",), applied=changed))
    assert "migrate:d2" in keys(plan_of(held, Observed()))


def test_a_new_instance_proves_itself_before_it_is_admitted() -> None:
    plan = plan_of(live(), seen(live(), instance(1, SERVING), instance(2, READY)))
    assert keys(plan) == ["prove:dep-1.2.0", "admit:dep-1.2.0"]
    assert plan.verdict is Verdict.WORKING


def test_nobody_is_admitted_before_all_are_ready() -> None:
    held = live(Kind.PRODUCTION)
    plan = plan_of(held, seen(held, instance(2, READY), instance(2, STARTING, 1)))
    assert keys(plan) == []
    assert plan.next_look == NOW + timedelta(seconds=30)


def test_a_first_version_is_routed_once_it_serves() -> None:
    held = deployment()
    assert keys(plan_of(held, seen(held, instance(2, STARTING), routed_=False))) == []
    plan = plan_of(held, seen(held, instance(2, SERVING), routed_=False))
    assert keys(plan) == ["publish"]
    assert plan.verdict is Verdict.REACHED  # once it is done: see fold
    assert plan_of(held, seen(held, instance(2, SERVING))).verdict is Verdict.REACHED


def test_the_old_stop_accepting_then_the_route_moves_then_the_change_is_concluded() -> None:
    busy = live()
    assert keys(plan_of(busy, seen(busy, instance(1, SERVING), instance(2, STARTING)))) == []
    handing_over = seen(busy, instance(1, SERVING), instance(2, SERVING))
    over = plan_of(busy, handing_over)
    assert keys(over) == ["drain:dep-1.1.0", "publish"]
    assert over.due[-1].step == Publish(SHARED, revision=2)
    assert over.verdict is Verdict.REACHED  # once it is done
    assert over.serving == 1  # who leaves is not counted any more
    moving = seen(busy, instance(1, DRAINING), instance(2, SERVING))
    (publish,) = plan_of(busy, moving).due
    assert publish.step == Publish(SHARED, revision=2)
    moved = replace(moving, route=routed(goal(busy).route, SHARED, 2))
    assert keys(plan_of(busy, moved)) == []
    assert plan_of(busy, moved).verdict is Verdict.REACHED


def test_nobody_leaves_in_the_turn_that_lets_others_in() -> None:
    busy = live()
    plan = plan_of(busy, seen(busy, instance(1, SERVING), instance(2, READY)))
    assert keys(plan) == ["prove:dep-1.2.0", "admit:dep-1.2.0"]  # first it is seen that it serves
    assert plan.verdict is Verdict.WORKING


def test_at_ports_the_route_says_who_leaves_before_that_is_seen() -> None:
    busy = live()
    old = [instance(1, SERVING, 0, address="tcp:1"), instance(1, STARTING, 1, address="tcp:2")]
    before = [Endpoint("tcp:1"), Endpoint("tcp:3")]
    plan = plan_of(busy, at_ports(seen(busy, *old, instance(2, SERVING, address="tcp:3")), *before))
    assert keys(plan) == ["drain:dep-1.1.0", "drain:dep-1.1.1", "publish"]
    leaving = [Endpoint("tcp:1", draining=True), Endpoint("tcp:2", draining=True)]
    assert plan.due[-1].step == Publish((*leaving, Endpoint("tcp:3")), revision=2)


def at_ports(observed: Observed, *endpoints: Endpoint) -> Observed:
    """The same, where each instance takes requests at a port of its own."""
    return replace(observed, view=replace(observed.view, endpoints=endpoints))


@pytest.mark.parametrize(
    ("old", "active", "later", "expected"),
    [
        (instance(1, DRAINING), {}, 0, []),
        (instance(1, DRAINING), {}, 15, ["stop:dep-1.1.0"]),
        (instance(1, DRAINING, address="tcp:1"), {"tcp:1": 3}, 0, []),
        (instance(1, DRAINING, address="tcp:1"), {"tcp:1": 0}, 0, ["stop:dep-1.1.0"]),
        (instance(1, DRAINING, address="tcp:1"), {"tcp:1": 3}, 15, ["stop:dep-1.1.0"]),
        (instance(1, ENDED), {}, 0, ["stop:dep-1.1.0"]),
        (instance(1, READY), {}, 0, ["drain:dep-1.1.0"]),  # a canary may have requests
        (instance(1, STARTING), {}, 0, ["stop:dep-1.1.0"]),
    ],
)
def test_an_old_instance_leaves(
    old: Instance, active: dict[str, int], later: int, expected: list[str]
) -> None:
    held = mark_live(live(), NOW)
    observed = replace(seen(held, old, instance(2, SERVING)), active=active)
    plan = plan_of(held, observed, NOW + timedelta(seconds=later))
    assert keys(plan) == expected
    assert expected or plan.next_look is not None


@pytest.mark.parametrize(
    ("new", "later", "code"),
    [(instance(2, ENDED), 0, "start_failed"), (instance(2, STARTING), 30, "start_timeout")],
)
def test_a_version_that_does_not_come_up_is_given_up(new: Instance, later: int, code: str) -> None:
    observed = seen(live(), instance(1, SERVING), new)
    plan = plan_of(live(), observed, NOW + timedelta(seconds=later))
    assert keys(plan) == [f"give-up:{code}"]


def test_after_a_failure_the_old_one_stays_and_the_new_one_goes() -> None:
    held = mark_failed(live(), failed("x", "y", "z"), NOW)
    plan = plan_of(held, seen(held, instance(1, SERVING), instance(2, ENDED)))
    assert keys(plan) == ["stop:dep-1.2.0"]
    assert plan.verdict is Verdict.REACHED


def test_a_first_version_that_failed_is_cleared_and_answers_503() -> None:
    held = mark_failed(deployment(), failed("x", "y", "z"), NOW)
    plan = plan_of(held, seen(held, instance(2, ENDED), routed_=False))
    assert keys(plan) == ["stop:dep-1.2.0", "publish"]


def test_what_cannot_be_cleared_after_a_failure_is_tried_again_in_its_time() -> None:
    held = mark_failed(deployment(), failed("x", "y", "z"), NOW)
    until = NOW + timedelta(seconds=5)
    held = replace(held, status=replace(held.status, attempts=1, retry_at=until))
    observed = seen(held, instance(2, ENDED), routed_=False)
    plan = plan_of(held, observed)
    assert (keys(plan), plan.next_look) == ([], until)
    assert keys(plan_of(held, observed, until)) == ["stop:dep-1.2.0", "publish"]


def test_a_crashed_instance_is_cleared_counted_and_started_again() -> None:
    held = mark_live(deployment(), NOW)
    plan = plan_of(held, seen(held, instance(2, ENDED)))
    assert keys(plan) == ["stop:dep-1.2.0"]
    assert keys(plan_of(held, seen(held))) == ["start:2.0"]
    until = NOW + timedelta(seconds=5)
    waiting = replace(held, status=replace(held.status, restart_at=until, resting=1))
    plan = plan_of(waiting, seen(held))
    assert keys(plan) == []
    assert plan.next_look == NOW + timedelta(seconds=5)


def test_one_of_the_live_version_that_never_comes_up_is_cleared_like_a_crash() -> None:
    held = mark_live(deployment(), NOW)
    plan = plan_of(held, seen(held, instance(2, STARTING)), NOW + timedelta(seconds=30))
    assert [due.step for due in plan.due] == [
        Stop("dep-1.2.0", "it was not ready within 30 s"),
    ]


def test_callers_are_told_when_a_service_keeps_crashing() -> None:
    held = mark_live(deployment(), NOW)
    until = NOW + timedelta(seconds=5)
    status = replace(held.status, crashes=3, restart_at=until, resting=1)
    plan = plan_of(replace(held, status=status), seen(held))
    assert [due.step.describe() for due in plan.due] == [
        "answer 503 meanwhile",
        "answer 503 to whoever waits: This service keeps crashing; see its logs.",
    ]


def test_what_is_as_wanted_needs_nothing() -> None:
    held = mark_live(deployment(), NOW)
    assert plan_of(held, seen(held, instance(2, SERVING))).empty


def test_removal_takes_the_url_first_and_the_data_last() -> None:
    held = mark_live(deployment(), NOW)
    assert keys(removal(held, seen(held, instance(2, SERVING)))) == [
        "withdraw",
        "stop:dep-1.2.0",
    ]
    plan = removal(held, Observed(database=True))
    assert keys(plan) == ["forget", "drop:blog"]
    assert plan.verdict is Verdict.REMOVED


def test_removal_takes_a_url_that_the_gateway_never_confirmed() -> None:
    held = mark_live(deployment(), NOW)
    observed = Observed(database=True, route=None, routed=True)
    assert keys(removal(held, observed))[0] == "withdraw"
