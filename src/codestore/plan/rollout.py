"""The planner: from one deployment and what is observed of it to the steps that are due.

A rollout grows from the front: prepare, database, migrations, new instances; each new instance
proves itself in private and is admitted; then the old ones stop accepting, and the route moves on,
so that whoever hears of success meets the new version only. Every plan is made afresh from what
is observed, so a crash between any two steps needs no memory of its own.
"""

from datetime import datetime, timedelta

from codestore.domain.deployments import Deployment, Live
from codestore.domain.faults import FaultKind, Letter
from codestore.domain.instances import Instance, InstanceState
from codestore.domain.routing import Endpoint
from codestore.plan.desired import Wanted, awake_at, routed
from codestore.plan.model import Observed, Plan, Planned, Verdict
from codestore.plan.standby_steps import Disarm, Refuse, Thaw
from codestore.plan.steps import (
    Admit,
    CreateDatabase,
    Drain,
    DropDatabase,
    Forget,
    GiveUp,
    Migrate,
    Prepare,
    Prove,
    Publish,
    Start,
    Stop,
    Withdraw,
)

DRAIN_GRACE = timedelta(seconds=5)  # after its drain time-out an instance may still say goodbye
IDLE_POLL = timedelta(milliseconds=200)  # how often a proxy is asked whether an endpoint is idle
_TAKING = (InstanceState.SERVING, InstanceState.FROZEN)
COMING = (InstanceState.STARTING, InstanceState.READY)
CRASHES_BEFORE_503 = 3  # a first restart is quick enough to let callers wait for it


def rollout(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Plan a deployment that is to run."""
    status = deployment.status
    rolling = status.live is None or status.live.revision != wanted.revision
    if rolling and status.failure is not None and not deployment.busy:
        return _stay_failed(wanted, observed)
    if status.retry_at is not None and status.retry_at > now:
        return _wait_for_retry(deployment, wanted, observed)
    new = [i for i in observed.view.instances if i.revision == wanted.revision]
    old = [i for i in observed.view.instances if i.revision != wanted.revision]
    lost = _lost(new, wanted, now) if rolling else None
    if lost is not None:
        return Plan((Planned(lost, "the new version did not come up"),))
    due = _grow(wanted, observed, new, rolling=rolling)
    due += _settle(new, wanted, observed, rolling=rolling)
    if not rolling:
        due += _clear(new, wanted, now)
    serving = sum(i.state is InstanceState.SERVING for i in new)
    arrived = serving >= wanted.count
    handing_over = leaving(old, status.live) if arrived else []
    routing = [] if handing_over else _route(deployment, wanted, observed, arrived=arrived)
    due += handing_over + routing
    reached = arrived and not handing_over and not routing
    looks = _starting_looks(new, wanted)
    if reached and not deployment.busy:  # people hear of success before the old ones are gone
        cleanup, cleanup_looks = retiring(old, wanted, observed, now)
        due += cleanup
        looks += cleanup_looks
    return Plan(
        due=tuple(due),
        verdict=Verdict.REACHED if reached else Verdict.WORKING,
        next_look=min(looks, default=None),
        serving=_accepting(observed),
        wanted=wanted.count,
    )


def removal(deployment: Deployment, observed: Observed) -> Plan:
    """Plan the end of a deployment: URL first, then instances, then data."""
    due: list[Planned] = []
    if observed.route is not None:
        due.append(Planned(Withdraw(deployment.hash), "it is to be removed"))
    if observed.view.armed is not None:
        due.append(Planned(Disarm(), "it is to be removed"))
    running = observed.view.instances
    due += [Planned(Stop(i.name), "it is to be removed") for i in running]
    if running:
        return Plan(tuple(due))
    due.append(Planned(Forget(deployment.id), "nothing runs any more"))
    due.append(Planned(DropDatabase(deployment.database), "its data goes with it"))
    return Plan(tuple(due), Verdict.REMOVED)


def _grow(
    wanted: Wanted, observed: Observed, new: list[Instance], *, rolling: bool
) -> list[Planned]:
    """Start what is missing, with everything it needs before it."""
    present = {i.ordinal for i in new}
    missing = [n for n in range(wanted.count) if n not in present]
    if not missing:
        return []
    why = "a new version is wanted" if rolling else "an instance is missing"
    due: list[Planned] = []
    if rolling or not observed.artifact:
        due.append(Planned(Prepare(wanted.digest), why))
    if wanted.database is not None and not observed.database:
        due.append(Planned(CreateDatabase(wanted.database), "it has none yet"))
    if wanted.migrate and rolling:
        due.append(
            Planned(
                Migrate(wanted.digest, wanted.migrations), "this version has not migrated it yet"
            )
        )
    due += [Planned(Start(wanted.revision, ordinal), why) for ordinal in missing]
    return due


def _settle(
    new: list[Instance], wanted: Wanted, observed: Observed, *, rolling: bool
) -> list[Planned]:
    """Bring instances that are ready into service.

    In a rollout nobody is admitted before all have proved themselves: a bad version never gets
    a request, not even from its luckiest instance.
    """
    ready = [i for i in new if i.state is InstanceState.READY]
    up = len(ready) + sum(i.state is InstanceState.SERVING for i in new)
    if rolling and up < wanted.count:
        return []
    due = [Planned(Thaw(i.name), "it is wanted") for i in new if i.state is InstanceState.FROZEN]
    due += [Planned(Prove(i.name), "it says that it is ready") for i in ready]
    if observed.view.armed is not None and up:  # no caller is to start another one of its own
        due.append(Planned(Disarm(), "an instance is there"))
    due += [Planned(Admit(i.name), "it works") for i in ready]
    return due


def _clear(new: list[Instance], wanted: Wanted, now: datetime) -> list[Planned]:
    """Clear instances of the live version that ended by themselves, or never came up."""
    late = f"it was not ready within {wanted.start_timeout:g} s"
    endings = [
        (i.name, late if _is_late(i, wanted, now) else i.ending)
        for i in new
        if i.state is InstanceState.ENDED or _is_late(i, wanted, now)
    ]
    return [Planned(Stop(name, ending), "it does not run") for name, ending in endings]


def _is_late(instance: Instance, wanted: Wanted, now: datetime) -> bool:
    late = now - instance.since >= timedelta(seconds=wanted.start_timeout)
    return instance.state is InstanceState.STARTING and late


def _lost(new: list[Instance], wanted: Wanted, now: datetime) -> GiveUp | None:
    """Say why the new revision cannot become live, if that is so."""
    for instance in new:
        if instance.state is InstanceState.ENDED:
            detail = f"{instance.name} ended before it was ready: {instance.ending}."
            return GiveUp(_no_start("start_failed", detail), instance.name)
        if _is_late(instance, wanted, now):
            detail = f"{instance.name} was not ready within {wanted.start_timeout:g} s."
            return GiveUp(_no_start("start_timeout", detail), instance.name)
    return None


def _no_start(code: str, detail: str) -> Letter:
    hint = "Mend it and push again; cs logs shows all that it printed."
    return Letter(FaultKind.FAILED, code, "The new version does not start", detail, hint)


def _route(
    deployment: Deployment, wanted: Wanted, observed: Observed, *, arrived: bool
) -> list[Planned]:
    """Publish where requests go. A first version is published only once it serves."""
    if deployment.status.live is None and not arrived:
        return []
    unavailable = None
    endpoints = awake_at(observed.view)
    if not endpoints:
        unavailable = "No instance of this service is running."
    elif not _accepting(observed) and deployment.status.crashes >= CRASHES_BEFORE_503:
        unavailable = "This service keeps crashing; see its logs."
    live = deployment.status.live
    revision = wanted.revision if arrived or live is None else live.revision
    due = publishing(wanted, observed, endpoints, revision, unavailable)
    if due and unavailable is not None:  # those who came before wait in vain as well
        due.append(Planned(Refuse(_no_service(unavailable)), "nobody answers them"))
    return due


def _no_service(reason: str) -> Letter:
    hint = "Try again in a moment; its owner finds the reason in cs logs and cs events."
    return Letter(FaultKind.UNAVAILABLE, "unavailable", "Service Unavailable", reason, hint)


def publishing(
    wanted: Wanted,
    observed: Observed,
    endpoints: tuple[Endpoint, ...],
    revision: int,
    unavailable: str | None = None,
) -> list[Planned]:
    """Publish where requests go, unless that is so already."""
    route = routed(wanted.route, endpoints, revision, unavailable)
    if route == observed.route:
        return []
    why = "requests are to reach it" if unavailable is None else unavailable
    return [Planned(Publish(route.endpoints, revision, unavailable), why)]


def leaving(old: list[Instance], live: Live | None = None) -> list[Planned]:
    """Let instances of other revisions finish what they have, and what of ``live`` just wakes."""
    why = "another version is to serve"
    return [
        Planned(Drain(i.name), why)
        for i in old
        if i.state in _TAKING
        or (live is not None and i.revision == live.revision and i.state in COMING)
    ]


def retiring(
    old: list[Instance], wanted: Wanted, observed: Observed, now: datetime
) -> tuple[list[Planned], list[datetime]]:
    """End instances of other revisions that have finished; return when to look again, too."""
    due: list[Planned] = []
    looks: list[datetime] = []
    for instance in old:
        if instance.state is InstanceState.DRAINING:
            until = instance.since + timedelta(seconds=wanted.drain) + DRAIN_GRACE
            if now >= until:
                due.append(Planned(Stop(instance.name), "its drain time is over"))
            elif instance.address is None:
                looks.append(until)
            elif observed.active.get(instance.address, 0) == 0:
                due.append(Planned(Stop(instance.name), "it has no requests left"))
            else:
                looks.append(min(until, now + IDLE_POLL))
        else:
            due.append(Planned(Stop(instance.name), "it is not wanted any more"))
    return due, looks


def _wait_for_retry(deployment: Deployment, wanted: Wanted, observed: Observed) -> Plan:
    """Back off; meanwhile callers are told if nobody can answer them."""
    due = _route(deployment, wanted, observed, arrived=False)
    return Plan(
        tuple(due),
        next_look=deployment.status.retry_at,
        serving=_accepting(observed),
        wanted=wanted.count,
    )


def _stay_failed(wanted: Wanted, observed: Observed) -> Plan:
    """No version ever served here and the last one failed: clear its remains, answer 503."""
    due = [Planned(Stop(i.name), "its version failed") for i in observed.view.instances]
    reason = "The version deployed here failed; see its logs."
    due += publishing(wanted, observed, (), wanted.revision, reason)
    return Plan(tuple(due), wanted=wanted.count)


def _starting_looks(new: list[Instance], wanted: Wanted) -> list[datetime]:
    timeout = timedelta(seconds=wanted.start_timeout)
    return [i.since + timeout for i in new if i.state is InstanceState.STARTING]


def _accepting(observed: Observed) -> int:
    return sum(i.state is InstanceState.SERVING for i in observed.view.instances)
