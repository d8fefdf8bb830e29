"""How many instances, within which limits, held where, how far let in: as it crosses HTTP."""

from collections.abc import Iterable

from codestore.domain.deployments import Deployment, Mark
from codestore.domain.dials import Hold
from codestore.domain.environments import Policy
from codestore.domain.overrides import Override, limits, resources, span
from codestore.plan.canary import held_until
from codestore.wire.dials import CanaryView, HoldView, LimitsView, MarkView, ScaleView


def scale_view(scale: int | None, policy: Policy, override: Override) -> ScaleView:
    """Show how many instances the load asks for; the least while nobody measured it."""
    low, high = span(policy, override)
    return ScaleView(low if scale is None else min(max(scale, low), high), low, high)


def limits_view(policy: Policy, override: Override) -> LimitsView:
    """Show what holds for requests, and for an instance."""
    routed, used = limits(policy, override), resources(policy, override)
    return LimitsView(
        rate=routed.rate,
        max_requests=routed.max_requests,
        max_body=routed.max_body,
        idle_timeout=routed.idle_timeout,
        memory=used.memory,
        cpu=used.cpu,
        disk=used.disk,
    )


def hold_view(hold: Hold | None) -> HoldView | None:
    """Show who holds an environment, if anybody does."""
    return None if hold is None else HoldView(hold.by, hold.at, hold.reason)


def marks_view(marks: Iterable[Mark]) -> list[MarkView]:
    """Show the versions that were left behind, the last one last."""
    return [MarkView(mark.number, mark.reason, mark.at, mark.by) for mark in marks]


def canary_view(deployment: Deployment) -> CanaryView | None:
    """Show how far a canary has come; where nothing serves yet there is none to be had."""
    spec, status = deployment.spec, deployment.status
    canary, reached = spec.canary, status.canary
    if canary is None or status.live is None or not deployment.busy or spec.removed:
        return None
    at = -1 if reached is None else reached.step
    steps = canary.steps
    stands = reached is None or spec.dials.paused
    return CanaryView(
        version=spec.number,
        steps=list(steps),
        hold=canary.hold,
        error_rate=canary.error_rate,
        percent=0 if reached is None else steps[at],
        since=None if reached is None else reached.since,
        next_percent=steps[at + 1] if at + 1 < len(steps) else None,
        next_at=None if stands else held_until(deployment, canary),
        paused=spec.dials.paused,
    )
