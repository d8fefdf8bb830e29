"""Standby: when a deployment falls asleep, how deep, and what its wake needs.

A deployment without requests is frozen first: its processes keep their memory and do nothing.
After longer idleness, or when the host is short of memory, none is left. In both depths callers
wait at a socket, and whoever holds it wakes the deployment by itself: no plan is in the way of a
request. What is planned here is the way down, and what has to be done about wakes that failed.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from codestore.domain.deployments import Deployment, State
from codestore.domain.faults import Letter, unavailable
from codestore.domain.instances import Instance, InstanceState, View
from codestore.domain.marking import still_to_come
from codestore.domain.standby import Depth, Standby
from codestore.plan.desired import Wanted, asleep_at
from codestore.plan.instances import COMING
from codestore.plan.leaving import leaving, locking, retiring
from codestore.plan.model import Observed, Plan, Planned, Verdict
from codestore.plan.publishing import publishing
from codestore.plan.standby_steps import Arm, Disarm, Freeze, Hold, Refuse, StopFrozen, Thaw
from codestore.plan.steps import Admit, Prepare, Stop

_WELL = ("exit code 0", "killed by SIGTERM")  # it was being stopped, and nobody could note it
_HINT = "Try again in a moment; its owner finds the reason in cs logs and cs events."


def bedtime(
    deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime
) -> datetime | None:
    """Return when it is to be frozen if no request comes; ``None`` if it does not sleep."""
    if wanted.standby is None or deployment.busy or deployment.status.live is None:
        return None
    just_woken = deployment.status.standby is not None
    since = None if just_woken else observed.idle_since
    return (since or now) + timedelta(seconds=wanted.standby)


def falling_asleep(wanted: Wanted, observed: Observed) -> Plan:
    """Plan the way from awake to frozen. Nobody came for long; somebody may come any moment.

    Requests are led to a socket where they can wait before the instance that they would reach
    otherwise is frozen. The first instance comes last: its socket's first caller thaws it.
    """
    serving = [i for i in observed.view.instances if i.state is InstanceState.SERVING]
    serving.sort(key=lambda each: each.ordinal, reverse=True)
    why = f"no request for {wanted.standby:g} s"
    due: list[Planned] = []
    if wanted.port:
        first = serving[-1]
        if observed.view.held is None:
            return _awake(wanted, observed, [Planned(Hold(first.name), why)])
        due += publishing(wanted, observed, (observed.view.held,), wanted.revision)
    due += [Planned(Freeze(each.name), why) for each in serving]
    return _awake(wanted, observed, due)


def asleep(
    deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime
) -> Plan | None:
    """Plan a deployment that sleeps or is being woken; ``None`` when it is not (any more)."""
    status = deployment.status
    own = [i for i in observed.view.instances if i.revision == wanted.revision]
    by_state = {state: [i for i in own if i.state is state] for state in InstanceState}
    frozen = by_state[InstanceState.FROZEN]
    rolling = status.live is None or status.live.revision != wanted.revision
    if deployment.busy or rolling or by_state[InstanceState.SERVING]:
        return None
    if status.standby is None and not frozen:
        return None
    if wanted.standby is None:  # it sleeps no more
        thawing = [Planned(Thaw(i.name), "it does not sleep any more") for i in frozen]
        return Plan(tuple(thawing), wanted=wanted.minimum) if thawing else None
    standby = status.standby or _begun(frozen, observed)
    coming = [i for i in own if i.state in COMING]
    if coming:
        plan = _waking(coming, standby, wanted, observed, now)
    elif by_state[InstanceState.ENDED]:
        plan = _ended(by_state[InstanceState.ENDED], standby, wanted, observed)
    elif frozen:
        plan = _frozen(frozen, standby, wanted, observed, now)
    elif own:  # it is leaving
        plan = _still((), standby)
    else:
        plan = _stopped(deployment, standby, wanted, observed, now)
    return _with_strangers(plan, wanted, observed, now)


def may_be_armed(deployment: Deployment, view: View) -> bool:
    """Whether it sleeps as it should, and only the place is missing at which callers wait."""
    status = deployment.status
    stopped = status.standby is not None and status.standby.waking_since is None
    waits = status.retry_at is not None or status.restart_at is not None
    settled = not deployment.busy and not deployment.spec.removed and not waits
    current = status.live is not None and status.live.revision == deployment.spec.revision
    return stopped and settled and current and not view.instances and view.armed is None


def at_rest(deployment: Deployment, view: View) -> bool:
    """Whether it sleeps without a process, and nothing is left to do for it."""
    if deployment.state is not State.STANDBY:
        return False
    armed = view.armed == deployment.spec.revision
    standby = deployment.status.standby
    stopped = standby is not None and standby.depth is Depth.STOPPED
    return armed and stopped and may_be_armed(deployment, replace(view, armed=None))


def _begun(frozen: list[Instance], observed: Observed) -> Standby:
    since = min(i.since for i in frozen)
    return Standby(Depth.FROZEN, observed.idle_since or since, since)


def _frozen(
    frozen: list[Instance], standby: Standby, wanted: Wanted, observed: Observed, now: datetime
) -> Plan:
    """Leave it frozen until it has been idle for long, or memory is short."""
    stop_at = standby.idle_since + timedelta(seconds=wanted.stop)
    if now < stop_at and not observed.view.pressed:
        at = asleep_at(observed.view)
        return _still(publishing(wanted, observed, at, wanted.revision), standby, stop_at)
    why = "memory is short" if now < stop_at else f"no request for {wanted.stop:g} s"
    return _still([Planned(StopFrozen(i.name), why) for i in frozen], standby)


def _stopped(
    deployment: Deployment, standby: Standby, wanted: Wanted, observed: Observed, now: datetime
) -> Plan:
    """Nothing runs: see that the first caller starts an instance, unless that just failed."""
    since = standby.since if standby.depth is Depth.STOPPED else now
    standby = Standby(Depth.STOPPED, standby.idle_since, since)
    restart_at = still_to_come(deployment.status.restart_at, now)
    if restart_at is not None:
        due = _without_service("It could not be woken; the next try follows.", wanted, observed)
        if observed.view.armed is not None:
            due.append(Planned(Disarm(), "the last try failed a moment ago"))
        return Plan(tuple(due), next_look=restart_at, wanted=wanted.minimum, standby=standby)
    due = []
    if observed.view.armed != wanted.revision:
        why = "nothing runs, and callers may come"
        if not observed.artifact:
            due.append(Planned(Prepare(wanted.digest), why))
        due.append(Planned(Arm(wanted.revision), why))
    else:
        due += publishing(wanted, observed, asleep_at(observed.view), wanted.revision)
    return _still(due, standby)


def _waking(
    coming: list[Instance], standby: Standby, wanted: Wanted, observed: Observed, now: datetime
) -> Plan:
    """Wait for the instance that a caller started, but not for ever."""
    since = standby.waking_since or min(i.since for i in coming)
    standby = Standby(standby.depth, standby.idle_since, standby.since, since)
    late = since + timedelta(seconds=wanted.start_timeout)
    full = since + timedelta(seconds=wanted.queue_timeout)
    if now >= late:
        ending = f"it was not ready within {wanted.start_timeout:g} s"
        return _failed([(i, ending) for i in coming], standby, wanted, observed)
    due = [
        Planned(Admit(i.name), "callers wait for it")
        for i in coming
        if i.state is InstanceState.READY
    ]
    if now >= full and not due:
        detail = f"It was not awake within {wanted.queue_timeout:g} s, and is still starting."
        due = _turning_away(_letter("waking", detail), wanted, observed)
    return _still(due, standby, late if now >= full else min(late, full))


def _ended(ended: list[Instance], standby: Standby, wanted: Wanted, observed: Observed) -> Plan:
    """An instance ended that should have woken, or that was frozen. Whoever waits is told.

    Behind a frozen one nobody need be turned away: the next turn lets callers start another.
    """
    if standby.depth is Depth.FROZEN:
        why = "it ended while it was frozen"
        due = [
            Planned(Stop(i.name, None if i.ending in _WELL else i.ending, i.started), why)
            for i in ended
        ]
        return _still(due, standby)
    return _failed([(i, str(i.ending)) for i in ended], standby, wanted, observed)


def _failed(
    failed: list[tuple[Instance, str]], standby: Standby, wanted: Wanted, observed: Observed
) -> Plan:
    detail = f"The service did not start: {failed[0][1]}."
    # First they are told: what it takes to end an instance may take longer than they wait.
    due = _turning_away(_letter("wake_failed", detail), wanted, observed)
    due = due or [
        Planned(Stop(i.name, ending, i.started), "it did not wake") for i, ending in failed
    ]
    standby = Standby(Depth.STOPPED, standby.idle_since, standby.since)
    return Plan(tuple(due), wanted=wanted.minimum, standby=standby)


def _turning_away(letter: Letter, wanted: Wanted, observed: Observed) -> list[Planned]:
    """Answer those who come first, then those who wait: so nobody is left behind in between."""
    route = observed.route
    if route is not None and route.unavailable is not None:
        return []
    due = _without_service(letter.detail, wanted, observed)
    return [*due, Planned(Refuse(letter), "they have waited in vain")]


def _without_service(reason: str, wanted: Wanted, observed: Observed) -> list[Planned]:
    return publishing(wanted, observed, (), wanted.revision, reason)


def _letter(code: str, detail: str) -> Letter:
    return unavailable(code, "It cannot be woken", detail, _HINT).letter


def _still(
    due: "list[Planned] | tuple[Planned, ...]", standby: Standby, next_look: datetime | None = None
) -> Plan:
    """Nobody serves, and that is as it should be."""
    return Plan(tuple(due), Verdict.REACHED, next_look, standby=standby)


def _awake(wanted: Wanted, observed: Observed, due: list[Planned]) -> Plan:
    serving = sum(i.state is InstanceState.SERVING for i in observed.view.instances)
    return Plan(tuple(due), Verdict.REACHED, serving=serving, wanted=wanted.minimum)


def _with_strangers(plan: Plan, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Let what is left of other revisions go, too, and close the database to their passwords.

    That comes first: what rests without a process is not looked at again.
    """
    others = [i for i in observed.view.instances if i.revision != wanted.revision]
    serving = [i for i in others if i.state is InstanceState.SERVING]
    due, looks = retiring([i for i in others if i not in serving], wanted, observed, now)
    ends = {each.step.instance for each in due if isinstance(each.step, Stop)}
    stay = [i for i in others if i.name not in ends]
    closing = [] if stay else locking(list(observed.view.instances), wanted, observed)
    due += leaving(serving)
    looks += [plan.next_look] if plan.next_look is not None else []
    return Plan(
        (*closing, *plan.due, *due),
        plan.verdict,
        min(looks, default=None),
        wanted=plan.wanted,
        standby=plan.standby,
    )
