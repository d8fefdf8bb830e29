"""What a turn changes in what is known: deployment × plan × outcomes → deployment and events."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zlib import crc32

from codestore.domain.canary import Trial
from codestore.domain.conditions import ConditionType, find
from codestore.domain.deployments import Deployment, State
from codestore.domain.events import EventKind
from codestore.domain.faults import Fault, Letter
from codestore.domain.marking import (
    CALM,
    counted,
    in_a_row,
    mark_available,
    mark_awake,
    mark_calm,
    mark_canary,
    mark_crashed,
    mark_failed,
    mark_going_on,
    mark_live,
    mark_looked,
    mark_resting,
    mark_returning,
    mark_standby,
    mark_stuck,
    mark_wake_failed,
    ran_well,
    still_to_come,
    stuck_since,
)
from codestore.domain.routing import Split
from codestore.domain.standby import Depth
from codestore.plan.model import Plan, Verdict
from codestore.plan.outcomes import Done, Failed, Outcome
from codestore.plan.standby_steps import Refuse
from codestore.plan.steps import Drain, GiveUp, Migrate, Publish, Stop

FIRST_RETRY = 0.5
LONGEST_RETRY = 60.0
JITTER = 0.25
PATIENCE = timedelta(minutes=10)  # after that, what may pass has not passed

News = tuple[EventKind, str, Letter | None]


def fold(
    deployment: Deployment, plan: Plan, outcomes: Sequence[Outcome], now: datetime
) -> tuple[Deployment, list[News]]:
    """Return the deployment as it is known after a turn, and what there is to tell people."""
    after = deployment
    news: list[News] = []
    for outcome in outcomes:
        after, told = _learned(after, outcome, plan, now)
        news += told
    if any(isinstance(outcome, Failed) for outcome in outcomes):
        return after, [*news, *_outlasting(deployment, after)]
    if outcomes:
        after = mark_going_on(after)
    if plan.canary is not None:
        after = mark_looked(after, plan.canary, now)
    if plan.returning is not None:
        after = mark_returning(after, plan.returning, now)
        return after, [*news, (EventKind.RETURNING, after.spec.reason, plan.returning)]
    if after.status.crashes and ran_well(after, now):
        after = mark_calm(after)
    if plan.verdict is Verdict.REACHED:
        if after.busy:
            news.append((EventKind.LIVE, f"{after.spec.number} is live: {after.spec.reason}", None))
        after = mark_live(after, now)
    after, told = _rested(after, plan, now)
    news += told
    if after.status.live is not None and not after.spec.removed:
        after, told = _availability(deployment, after, plan, now)
        news += told
    return after, news


def _learned(
    deployment: Deployment, outcome: Outcome, plan: Plan, now: datetime
) -> tuple[Deployment, list[News]]:
    """Return what one step's outcome changes, and what there is to tell of it."""
    match outcome:
        case Failed():
            return _failed(deployment, outcome, now)
        case Done(step=Migrate() as step):
            return _migrated(deployment, step), []
        case Done(step=Stop(instance, str(ending), started)):
            after = _crashed(deployment, ending, started, now)
            return after, [(EventKind.INSTANCE_ENDED, f"{instance} ended: {ending}", None)]
        case Done(step=Drain(instance, str(failing), started)):
            after = _crashed(deployment, failing, started, now)
            return after, [(EventKind.INSTANCE_ENDED, f"{instance} is replaced: {failing}", None)]
        case Done(step=Publish(split=Split(percent=percent))):
            return _shared(deployment, percent, plan.canary or Trial(), now)
        case Done(step=Refuse(letter)) if deployment.status.standby is not None:
            news: list[News] = [(EventKind.WAKE_FAILED, letter.detail, letter)]
            return mark_wake_failed(deployment, letter, now), news
    return deployment, []


def retry_delay(attempts: int, of: str) -> timedelta:
    """Return how long to wait before try number ``attempts`` + 1: 0.5 s, doubled, up to 60 s.

    Up to a quarter less, depending on who (``of``) waits: what failed together does not come back
    together.
    """
    longest = min(FIRST_RETRY * 2 ** min(attempts, 10), LONGEST_RETRY)
    jitter = crc32(f"{of} {attempts}".encode()) / 2**32
    return timedelta(seconds=longest * (1 - JITTER * jitter))


def _migrated(deployment: Deployment, step: Migrate) -> Deployment:
    status = deployment.status
    fresh = (file for file in step.files if file not in status.applied)
    status = replace(
        status,
        migrated=(*status.migrated, step.digest),
        applied=(*status.applied, *fresh),
    )
    return replace(deployment, status=status)


def _shared(
    deployment: Deployment, percent: int, trial: Trial, now: datetime
) -> tuple[Deployment, list[News]]:
    """Note that a canary has its share; the same share again is nothing new."""
    canary = deployment.spec.canary
    if canary is None or percent not in canary.steps:
        return deployment, []
    after = mark_canary(deployment, canary.steps.index(percent), trial, now)
    if after == deployment:
        return deployment, []
    text = f"{percent} % of the requests go to {deployment.spec.number}"
    return after, [(EventKind.CANARY, text, None)]


def _crashed(
    deployment: Deployment, ending: str, started: datetime | None, now: datetime
) -> Deployment:
    """Count a crash: after the first it is restarted at once, later ones wait longer and longer.

    One that a caller was to start is not even the first time: the next caller would start it.
    """
    until = still_to_come(deployment.status.restart_at, now)
    beside = deployment.status.resting if until is not None else 0
    if not in_a_row(deployment, started, now):
        # What ended with others waits with them, unless it ran well for long until then.
        well = started is not None and now - started >= CALM
        if well or until is None:
            return deployment
        return mark_resting(deployment, beside + 1, until)
    after = mark_crashed(deployment, ending, now)
    standby, crashes = after.status.standby, after.status.crashes
    stopped = standby is not None and standby.depth is Depth.STOPPED
    waits = crashes - 1 if stopped else crashes - 2
    if waits < 0:
        return after
    return mark_resting(after, beside + 1, now + retry_delay(waits, deployment.id))


def _failed(
    deployment: Deployment, outcome: Failed, now: datetime
) -> tuple[Deployment, list[News]]:
    status = deployment.status
    overdue = status.canary is None and now - stuck_since(deployment, now) >= PATIENCE
    if deployment.busy and not deployment.spec.removed and (outcome.final or overdue):
        fault: Fault = outcome.fault
        back = status.live.number if status.live else None
        tail = f" {back} goes on serving." if back else ""
        after = mark_failed(deployment, fault, now)
        if after.spec.dials.hold is not None and deployment.spec.lifted is not None:
            tail += " It stays held."
        message = f"{deployment.spec.number} failed: {fault.letter.title}.{tail}"
        return after, [(EventKind.FAILED, message, fault.letter)]
    return mark_stuck(deployment, now + retry_delay(status.attempts, deployment.id), now), []


def _rested(deployment: Deployment, plan: Plan, now: datetime) -> tuple[Deployment, list[News]]:
    """Note how it sleeps, that it is awake again, and how long callers waited for that."""
    after = deployment
    news: list[News] = []
    before = deployment.status.standby
    if plan.standby is not None:
        after = mark_standby(deployment, plan.standby, now)
        if before is None or before.depth is not plan.standby.depth:
            idle = (now - plan.standby.idle_since).total_seconds()
            text = f"{plan.standby.depth}: no request for {idle:.0f} s"
            news.append((EventKind.STANDBY, text, None))
    elif before is not None and not deployment.busy and plan.verdict is Verdict.REACHED:
        after = mark_awake(deployment, now)
    woke = plan.woke
    if woke is not None:
        known = after.status.woken_at
        after = counted(after, woke.at, woke.depth, woke.seconds)
        if after.status.woken_at != known:
            text = f"a request woke it in {woke.seconds * 1000:.1f} ms; it was {woke.depth}"
            news.append((EventKind.WOKEN, text, None))
    return after, news


def _availability(
    began: Deployment, deployment: Deployment, plan: Plan, now: datetime
) -> tuple[Deployment, list[News]]:
    """Note how far it is available. ``began`` is how it was when the turn began."""
    before = deployment.state
    after = mark_available(deployment, plan.serving, plan.wanted, plan.failing, now)
    if before is State.READY and after.state is State.DEGRADED:
        return after, _degraded(after)
    if before is State.DEGRADED and after.state is State.READY:
        return after, [(EventKind.RECOVERED, "all instances accept requests again", None)]
    return after, _outlasting(began, after)


def _outlasting(before: Deployment, after: Deployment) -> list[News]:
    """Tell of what is wrong since a change that is over: as long as it went on, nobody was told."""
    told = find(after.status.conditions, ConditionType.AVAILABLE)
    since_then = told is not None and told.since >= before.spec.asked_at
    over = before.state is State.DEPLOYING and after.state is State.DEGRADED
    awake = after.status.standby is None
    return _degraded(after) if over and awake and since_then else []


def _degraded(deployment: Deployment) -> list[News]:
    told = find(deployment.status.conditions, ConditionType.AVAILABLE)
    return [(EventKind.DEGRADED, told.message if told is not None else "", None)]


def gave_up(step: GiveUp, lines: Sequence[str]) -> Fault:
    """Return the fault of a rollout that was given up, with the last lines it printed."""
    letter = step.letter
    return Fault(replace(letter, detail=with_lines(letter.detail, lines)))


def with_lines(detail: str, lines: Sequence[str]) -> str:
    """Append the last log lines to a fault's detail."""
    if not lines:
        return detail
    return "\n".join([detail, "Last lines:", *(f"  {line}" for line in lines)])
