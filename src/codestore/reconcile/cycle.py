"""One turn of the loop, on one screen: observe, plan, execute, fold, record."""

from dataclasses import dataclass, replace
from datetime import datetime

from codestore.domain.canary import Trial
from codestore.domain.conditions import ConditionType, find
from codestore.domain.deployments import Deployment, as_live
from codestore.domain.dials import turned, undisturbed
from codestore.domain.environments import Kind
from codestore.domain.events import Event, EventKind, event_of
from codestore.domain.instances import InstanceState, View
from codestore.domain.versions import Version
from codestore.plan.desired import Wanted, desired
from codestore.plan.fold import fold
from codestore.plan.model import Observed, Plan, Verdict
from codestore.plan.outcomes import Failed, Outcome
from codestore.plan.planning import plan_for
from codestore.ports import Records
from codestore.reconcile.burying import bury
from codestore.reconcile.doors import Doors
from codestore.reconcile.executor import execute
from codestore.reconcile.resolving import resolve_secrets
from codestore.reconcile.subject import Subject, subject_of

_OF_THE_WISH = (
    *(EventKind.LIVE, EventKind.FAILED, EventKind.RETURNING, EventKind.CANARY),
    EventKind.STANDBY,
)
"""What is told of a wish goes with it: nothing of that is kept when people asked anew meanwhile."""
IDLE_PRECISION = 0.1  # how late the end of a request may be noticed, as a share of the idle time


@dataclass(frozen=True, slots=True)
class Turn:
    """When to look at the deployment again: ``at`` a time, at once, or (``None``) when told to."""

    again: bool = False
    at: datetime | None = None


async def cycle(id_: str, doors: Doors) -> Turn:
    """Take one turn for one deployment."""
    subject = await _subject(id_, doors)
    if subject is None:
        await _sweep(id_, doors)
        return Turn()
    plan, wanted = await consider(subject, doors)
    outcomes, untold = await execute(plan.due, subject, wanted, doors)
    return await record(subject, plan, outcomes, untold, doors)


async def _subject(id_: str, doors: Doors) -> Subject | None:
    """Read what the turn is about; which secrets it gets is said first, if it is not yet."""
    async with doors.store.begin() as records:
        deployment = await records.get(Deployment, id_)
        if deployment is None:
            return None
        if not deployment.unresolved:
            return await subject_of(records, doors, deployment)
    return await resolve_secrets(deployment, doors)


async def _sweep(id_: str, doors: Doors) -> None:
    """A caller may have started an instance of what was being removed: nobody wants it."""
    if (await doors.driver.observe(id_)).instances:
        await doors.driver.remove(id_)


async def consider(subject: Subject, doors: Doors) -> tuple[Plan, Wanted]:
    """Observe and plan; changes nothing."""
    wanted = goal(subject)
    observed = await observe(subject, wanted, doors)
    return plan_for(subject.deployment, wanted, observed, doors.clock.now()), wanted


def goal(subject: Subject) -> Wanted:
    """Return what the deployment should be, and what it should be until then."""
    guests = subject.guests.keys, subject.guests.callers
    wanted = desired(subject.deployment, subject.version.seal, *guests)
    if subject.live is None:
        return wanted
    before = desired(as_live(subject.deployment), subject.live.seal, *guests)
    return replace(wanted, before=before)


async def observe(subject: Subject, wanted: Wanted, doors: Doors) -> Observed:
    """Ask every door what is there now."""
    deployment = subject.deployment
    view = await doors.driver.observe(deployment.id)
    active = await doors.traffic.active(deployment.hash) if _counts(view) else {}
    return Observed(
        view=view,
        database=await doors.databases.observe(deployment.database),
        logins=await _logins(deployment, wanted, doors),
        artifact=await doors.builder.prepared(subject.version.seal) is not None,
        route=doors.gateway.published(deployment.hash),
        routed=doors.gateway.holds(deployment.hash),
        active=active,
        idle_since=_idle_since(deployment, wanted, doors),
        canary=await _canary(deployment, doors),
    )


async def record(
    subject: Subject, plan: Plan, outcomes: list[Outcome], untold: list[Event], doors: Doors
) -> Turn:
    """Write down what the turn changed, in one transaction, unless people asked anew meanwhile."""
    now = doors.clock.now()
    after, news = fold(subject.deployment, plan, outcomes, now)
    broken = any(isinstance(outcome, Failed) for outcome in outcomes)
    if plan.verdict is Verdict.REMOVED and not broken:
        await bury(after, untold, doors)
        return Turn()
    async with doors.store.begin() as records:
        current = await records.get(Deployment, after.id)
        if current is None:
            return Turn()
        asked_anew = current.spec.generation != subject.deployment.spec.generation
        if asked_anew:  # the new wish stands; what was learned of the world is kept
            after = _merged(current, after)
            news = [each for each in news if each[0] not in _OF_THE_WISH]
        else:
            after = _with_turned(subject.deployment, current, after)
        if after != current:
            await records.put(after)
        await _publish_version(records, subject.version, after, now)
        told = [event_of(after, kind, text, now, fault) for kind, text, fault in news]
        await records.emit(*untold, *told)
    if subject.deployment.status.standby is not None and after.status.standby is None:
        doors.traffic.touch(after.hash)  # what was read before it slept says nothing of today
    for _, text, _ in news:
        await doors.logs.note(after.id, text)
    if broken or asked_anew:
        retry = after.status.retry_at
        return Turn(again=True) if retry is None else Turn(at=retry)
    concluded = subject.deployment.busy and not after.busy
    changed = concluded or after.spec != subject.deployment.spec
    return Turn(again=bool(plan.due) or changed, at=plan.next_look)


def _with_turned(before: Deployment, current: Deployment, after: Deployment) -> Deployment:
    """Keep what others wrote during the turn that is no change: dials, and the budget."""
    dials = turned(before.spec.dials, after.spec.dials, current.spec.dials)
    if not after.busy:  # nothing is under way any more that could be paused or aborted
        dials = undisturbed(dials)
    budget = find(current.status.conditions, ConditionType.WITHIN_BUDGET)
    conditions = after.status.conditions
    if budget is not None:
        conditions = (*(c for c in conditions if c.type is not budget.type), budget)
    return replace(
        after,
        spec=replace(after.spec, dials=dials),
        status=replace(after.status, conditions=conditions),
    )


def _merged(current: Deployment, after: Deployment) -> Deployment:
    """Keep the newer wish, with the knowledge of this turn but for the verdict on the old wish."""
    status = replace(
        current.status,
        migrated=after.status.migrated,
        applied=after.status.applied,
        crashes=after.status.crashes,
        crashed_at=after.status.crashed_at,
        crash=after.status.crash,
        restart_at=after.status.restart_at,
        resting=after.status.resting,
        serving=after.status.serving,
        wakes=after.status.wakes,
        woken_at=after.status.woken_at,
    )
    return replace(current, status=status)


async def _publish_version(
    records: Records, version: Version, after: Deployment, now: datetime
) -> None:
    """The version that serves on demo is public from then on."""
    live = after.status.live
    if after.kind is not Kind.DEMO or live is None or version.published_at is not None:
        return
    if live.digest == version.digest and live.number == version.number:
        await records.put(replace(version, published_at=now))


async def _logins(deployment: Deployment, wanted: Wanted, doors: Doors) -> frozenset[int]:
    """Ask by which passwords the database is entered, where it is and is wanted."""
    if wanted.database is None or deployment.spec.removed:
        return frozenset({wanted.login})
    return await doors.databases.logins(deployment.database)


def _idle_since(deployment: Deployment, wanted: Wanted, doors: Doors) -> datetime | None:
    """Ask about traffic where it matters: of what is awake and may sleep."""
    if wanted.standby is None or deployment.status.live is None or deployment.spec.removed:
        return None
    if deployment.status.standby is not None:
        return None
    return doors.traffic.idle_since(deployment.hash, wanted.standby * IDLE_PRECISION)


async def _canary(deployment: Deployment, doors: Doors) -> Trial | None:
    """Ask what became of the requests of a canary, while there is one."""
    if deployment.spec.canary is None or not deployment.busy:
        return None
    route = doors.gateway.published(deployment.hash)
    if route is None or route.split is None or route.split.revision != deployment.spec.revision:
        return None
    return await doors.traffic.split(deployment.hash, route.split.revision)


def _counts(view: View) -> bool:
    """Whether the plan will want to know how many requests an endpoint still has."""
    return any(i.state is InstanceState.DRAINING and i.address is not None for i in view.instances)
