"""What a turn changes in what is known: deployment × plan × outcomes → deployment and events."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from codestore.domain.deployments import (
    Deployment,
    State,
    mark_available,
    mark_failed,
    mark_live,
)
from codestore.domain.events import EventKind
from codestore.domain.faults import Fault, Letter
from codestore.plan.model import Plan, Verdict
from codestore.plan.outcomes import Done, Failed, Outcome
from codestore.plan.steps import GiveUp, Migrate, Stop

FIRST_RETRY = 0.5
LONGEST_RETRY = 60.0
PATIENCE = timedelta(minutes=10)  # after that, what may pass has not passed

News = tuple[EventKind, str, Letter | None]


def fold(
    deployment: Deployment, plan: Plan, outcomes: Sequence[Outcome], now: datetime
) -> tuple[Deployment, list[News]]:
    """Return the deployment as it is known after a turn, and what there is to tell people."""
    after = deployment
    news: list[News] = []
    for outcome in outcomes:
        match outcome:
            case Done(step=Migrate() as step):
                after = _migrated(after, step)
            case Done(step=Stop(ended=str(ending), instance=instance)):
                after = _crashed(after, now)
                news.append((EventKind.INSTANCE_ENDED, f"{instance} ended: {ending}", None))
            case Failed():
                after, told = _failed(after, outcome, now)
                news += told
            case Done():
                pass
    if any(isinstance(outcome, Failed) for outcome in outcomes):
        return after, news
    if plan.verdict is Verdict.REACHED:
        if after.busy:
            news.append((EventKind.LIVE, f"{after.spec.number} is live: {after.spec.reason}", None))
        after = mark_live(after, now)
    if after.status.live is not None and not after.spec.removed:
        after, told = _availability(after, plan, now)
        news += told
    return after, news


def retry_delay(attempts: int) -> timedelta:
    """Return how long to wait before try number ``attempts`` + 1: 0.5 s, doubled, up to 60 s."""
    return timedelta(seconds=min(FIRST_RETRY * 2 ** min(attempts, 10), LONGEST_RETRY))


def _migrated(deployment: Deployment, step: Migrate) -> Deployment:
    status = deployment.status
    fresh = (file for file in step.files if file not in status.applied)
    status = replace(
        status,
        migrated=(*status.migrated, step.digest),
        applied=(*status.applied, *fresh),
    )
    return replace(deployment, status=status)


def _crashed(deployment: Deployment, now: datetime) -> Deployment:
    """Count a crash: the first is restarted at once, later ones wait longer and longer."""
    status = deployment.status
    crashes = status.crashes + 1
    retry_at = None if crashes == 1 else now + retry_delay(crashes - 2)
    return replace(deployment, status=replace(status, crashes=crashes, retry_at=retry_at))


def _failed(
    deployment: Deployment, outcome: Failed, now: datetime
) -> tuple[Deployment, list[News]]:
    status = deployment.status
    overdue = deployment.busy and now - deployment.spec.asked_at >= PATIENCE
    if deployment.busy and not deployment.spec.removed and (outcome.final or overdue):
        fault: Fault = outcome.fault
        back = status.live.number if status.live else None
        tail = f" {back} goes on serving." if back else ""
        message = f"{deployment.spec.number} failed: {fault.letter.title}.{tail}"
        return mark_failed(deployment, fault, now), [(EventKind.FAILED, message, fault.letter)]
    attempts = status.attempts + 1
    status = replace(status, attempts=attempts, retry_at=now + retry_delay(attempts - 1))
    return replace(deployment, status=status), []


def _availability(
    deployment: Deployment, plan: Plan, now: datetime
) -> tuple[Deployment, list[News]]:
    before = deployment.state
    after = mark_available(deployment, plan.serving, plan.wanted, now)
    if before is State.READY and after.state is State.DEGRADED:
        text = f"{plan.serving} of {plan.wanted} instances accept requests"
        return after, [(EventKind.DEGRADED, text, None)]
    if before is State.DEGRADED and after.state is State.READY:
        return after, [(EventKind.RECOVERED, "all instances accept requests again", None)]
    return after, []


def gave_up(step: GiveUp, lines: Sequence[str]) -> Fault:
    """Return the fault of a rollout that was given up, with the last lines it printed."""
    letter = step.letter
    return Fault(replace(letter, detail=with_lines(letter.detail, lines)))


def with_lines(detail: str, lines: Sequence[str]) -> str:
    """Append the last log lines to a fault's detail."""
    if not lines:
        return detail
    return "\n".join([detail, "Last lines:", *(f"  {line}" for line in lines)])
