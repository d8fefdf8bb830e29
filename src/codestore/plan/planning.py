"""One plan for one deployment: removed, asleep, awake, or just falling asleep."""

from dataclasses import replace
from datetime import datetime

from codestore.domain.deployments import Deployment
from codestore.domain.marking import still_to_come
from codestore.plan.desired import Wanted
from codestore.plan.model import Observed, Plan, Verdict
from codestore.plan.rollout import removal, rollout
from codestore.plan.standby import asleep, bedtime, falling_asleep


def plan_for(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Plan the way from what is observed to what is wanted."""
    if deployment.spec.removed:
        return _patient(removal(deployment, observed), deployment, now)
    plan = asleep(deployment, wanted, observed, now)
    if plan is None:
        plan = _awake(deployment, wanted, observed, now)
    else:
        plan = _patient(plan, deployment, now)
    return replace(plan, woke=observed.view.woke)


def _patient(plan: Plan, deployment: Deployment, now: datetime) -> Plan:
    """Do nothing yet if what was due failed a moment ago."""
    status = deployment.status
    until = still_to_come(status.retry_at, now)
    if not plan.due or not status.attempts or until is None:
        return plan
    return replace(plan, due=(), verdict=Verdict.WORKING, next_look=until)


def _awake(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    """Plan a deployment that runs; when all is done and nobody comes, it goes to sleep."""
    plan = rollout(deployment, wanted, observed, now)
    at = bedtime(deployment, wanted, observed, now)
    if at is None:
        return plan
    if now < at:
        looks = (at,) if plan.next_look is None else (at, plan.next_look)
        return replace(plan, next_look=min(looks))
    settled = plan.empty and plan.verdict is Verdict.REACHED
    return falling_asleep(wanted, observed) if settled else plan
