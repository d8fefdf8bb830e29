"""A deployment whose second version is to be let in as a canary, and what is seen of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from codestore.domain.canary import Canary, Progress, Trial
from codestore.domain.deployments import Deployment, Spec, as_live
from codestore.domain.environments import Kind
from codestore.domain.instances import Instance, InstanceState, View
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.marking import mark_live
from codestore.domain.overrides import Override
from codestore.domain.routing import Endpoint, Split
from codestore.domain.versions import Seal
from codestore.plan.desired import Wanted, desired, routed
from codestore.plan.model import Observed, Plan
from codestore.plan.planning import plan_for
from codestore.plan.steps import Publish

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
