"""The planner: from one deployment and what is observed of it to the steps that are due.

A rollout grows from the front: prepare, database, migrations, new instances; each new instance
proves itself in private and is admitted; then the old ones stop accepting, and the route moves on,
so that whoever hears of success meets the new version only. A canary stands between the proof and
the admission. Every plan is made afresh from what is observed, so a crash between any two steps
needs no memory of its own.
"""

from datetime import datetime

from codestore.domain.canary import ALL
from codestore.domain.deployments import Deployment, Status
from codestore.domain.faults import FaultKind, Letter
from codestore.domain.instances import Instance, InstanceState
from codestore.domain.marking import CALM, still_to_come
from codestore.domain.secrets import MISSING
from codestore.plan import canary
from codestore.plan.desired import Wanted
from codestore.plan.growing import clearing, growing, lost, settling
from codestore.plan.instances import of_revision, serving, starting_looks
from codestore.plan.leaving import leaving, locking, retiring, shrinking, when_told, with_leavers
from codestore.plan.model import Observed, Plan, Planned, Verdict
from codestore.plan.publishing import publishing, routing
from codestore.plan.returning import returning
from codestore.plan.standby_steps import Disarm
from codestore.plan.steps import Admit, Drain, DropDatabase, Forget, GiveUp, Stop, Withdraw


def rollout(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Plan a deployment that is to run."""
    status = deployment.status
    rolling = status.live is None or status.live.revision != wanted.revision
    until = still_to_come(status.retry_at, now)
    if rolling and status.failure is not None and not deployment.busy:
        return _wait(until, wanted, observed) if until else _stay_failed(wanted, observed)
    if rolling:
        given_up = _given_up(deployment, wanted, observed, now)
        if given_up is not None:
            return Plan((Planned(given_up, "the new version is not to serve"),))
    if until is not None:
        return _wait(until, wanted, observed)
    if rolling:
        return _rolling(deployment, wanted, observed, now)
    return _settled(deployment, wanted, observed, now)


def removal(deployment: Deployment, observed: Observed) -> Plan:
    """Plan the end of a deployment: URL first, then instances, then data."""
    due: list[Planned] = []
    if observed.routed:
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


def _rolling(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Bring another revision up; what serves goes on being looked after until it arrives."""
    own, old = of_revision(observed.view, wanted.revision)
    percent = canary.share(deployment, wanted, observed, now)
    arrived = serving(own) >= wanted.count
    due, looks = ([], []) if arrived else _meanwhile(deployment, wanted, observed, now)
    if percent < ALL:
        more, more_looks = canary.advancing(deployment, wanted, observed, now, percent)
        return _plan(due + more, looks + more_looks, wanted, observed)
    due += growing(wanted, observed, own, rolling=True)
    due += settling(own, wanted, observed, rolling=True)
    due += leaving(old, deployment.status.live) if arrived else []
    split = None if arrived else canary.present(wanted, observed)
    coming = any(isinstance(each.step, Admit) for each in due)
    seen = with_leavers(observed, due)
    routes = [] if coming else routing(deployment, wanted, seen, arrived=arrived, split=split)
    looks += starting_looks(own, wanted)
    # With the route it has arrived: whoever records that the route was published tells of it.
    return _plan(due + routes, looks, wanted, observed, reached=arrived and not coming)


def _settled(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Keep the live revision running in the number that is wanted; let everything else go."""
    letter = returning(deployment, wanted, observed, now)
    if letter is not None:
        return Plan(serving=serving(observed.view.instances), returning=letter)
    own, old = of_revision(observed.view, wanted.revision)
    due, looks = _kept(deployment.status, own, wanted, observed, now)
    arrived = serving(own) >= wanted.minimum
    due += leaving(old, deployment.status.live) if arrived else []
    first = _moves(due)
    routes = [] if first else routing(deployment, wanted, observed, arrived=arrived)
    reached = arrived and not (first or routes)
    due += routes
    if reached and not deployment.busy:  # people hear of success before the old ones are gone
        draining = [i for i in own if i.state is InstanceState.DRAINING]
        cleanup, cleanup_looks = retiring([*old, *draining], wanted, observed, now)
        due += cleanup
        looks += cleanup_looks
        due += locking(own, wanted, observed)
    if deployment.status.crashes and deployment.status.crashed_at is not None:
        looks.append(deployment.status.crashed_at + CALM)
    return _plan(due, looks, wanted, observed, reached=reached)


def _kept(
    status: Status, own: list[Instance], wanted: Wanted, observed: Observed, now: datetime
) -> tuple[list[Planned], list[datetime]]:
    """Keep as many instances of what is live as are wanted; return when to look again, too.

    As many as crash again and again wait before they are started; nobody else waits for them.
    """
    going = shrinking(own, wanted)
    names = {each.step.instance for each in going if isinstance(each.step, Drain | Stop)}
    staying = [i for i in own if i.name not in names]
    until = still_to_come(status.restart_at, now)
    resting = status.resting if until is not None else 0
    due = growing(wanted, observed, own, rolling=False, resting=resting)
    due += settling(staying, wanted, observed, rolling=False)
    due += clearing(own, wanted, now)
    looks = starting_looks(staying, wanted)
    return due + going, looks if until is None else [*looks, until]


def _moves(due: list[Planned]) -> bool:
    """Whether somebody is let in or leaves: only then it is seen where requests are to go."""
    return any(isinstance(each.step, Admit | Drain) for each in due)


def _meanwhile(
    deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime
) -> tuple[list[Planned], list[datetime]]:
    """Look after what serves while another revision comes up, unless it sleeps."""
    before = wanted.before
    if before is None or deployment.status.standby is not None:
        return [], []
    own, _ = of_revision(observed.view, before.revision)
    if any(i.state is InstanceState.FROZEN for i in own):
        return [], []
    return _kept(deployment.status, own, before, observed, now)


def _given_up(
    deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime
) -> GiveUp | None:
    """Say why the wanted revision is not to become live, if that is so."""
    if wanted.missing:
        return GiveUp(_lacking(deployment, wanted), "")
    own, _ = of_revision(observed.view, wanted.revision)
    by = deployment.spec.dials.aborted_by
    if by is not None:
        detail = f"{by} aborted the change to {deployment.spec.number}."
        letter = Letter(FaultKind.FAILED, "aborted", "The change was aborted", detail)
        return GiveUp(letter, "")
    asked = deployment.status.canary is not None
    return lost(own, wanted, now, asked=asked) or canary.failing(deployment, wanted, observed)


def _lacking(deployment: Deployment, wanted: Wanted) -> Letter:
    """Say which secrets a change lacks, and how one is set where it would be found."""
    keys, number = ", ".join(wanted.missing), deployment.spec.number
    project = f"-p {deployment.project} " if deployment.project is not None else ""
    return Letter(
        FaultKind.FAILED,
        MISSING,
        "A secret is missing",
        f"{number} needs {keys}, and nobody has set that for it in {deployment.kind}.",
        f"cs secret:add {project}-e {deployment.kind} -s {deployment.service} "
        f"-k {wanted.missing[0]}, then try again.",
    )


def _wait(until: datetime, wanted: Wanted, observed: Observed) -> Plan:
    """Do nothing at all after a step that failed: whatever is due might be the very one."""
    return _plan([], [until], wanted, observed)


def _stay_failed(wanted: Wanted, observed: Observed) -> Plan:
    """No version ever served here and the last one failed: clear its remains, answer 503."""
    due = [Planned(Stop(i.name), "its version failed") for i in observed.view.instances]
    reason = "The version deployed here failed; see its logs."
    due += publishing(wanted, observed, (), wanted.revision, reason)
    return Plan(tuple(due), wanted=wanted.minimum)


def _plan(
    due: list[Planned],
    looks: list[datetime],
    wanted: Wanted,
    observed: Observed,
    *,
    reached: bool = False,
) -> Plan:
    instances = when_told(observed.view.instances, due)
    unwell = [
        f"{i.name}: {i.failing}"
        for i in instances
        if i.failing is not None and i.state is InstanceState.SERVING
    ]
    return Plan(
        due=tuple(due),
        verdict=Verdict.REACHED if reached else Verdict.WORKING,
        next_look=min(looks, default=None),
        serving=serving(instances),
        wanted=wanted.minimum,
        failing=unwell[0] if unwell else None,
        canary=observed.canary,
    )
