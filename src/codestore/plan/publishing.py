"""Where requests go, or why they cannot be answered."""

from codestore.domain.deployments import Deployment
from codestore.domain.faults import FaultKind, Letter
from codestore.domain.marking import CRASH_LOOP
from codestore.domain.routing import Endpoint, Split
from codestore.plan.desired import Wanted, awake_at, routed
from codestore.plan.instances import serving
from codestore.plan.model import Observed, Planned
from codestore.plan.standby_steps import Refuse
from codestore.plan.steps import Publish


def routing(
    deployment: Deployment,
    wanted: Wanted,
    observed: Observed,
    *,
    arrived: bool,
    split: Split | None = None,
) -> list[Planned]:
    """Publish where requests go. A first version is published only once it serves."""
    live = deployment.status.live
    if live is None and not arrived:
        return []
    unavailable = None
    endpoints = awake_at(observed.view)
    if not endpoints:
        unavailable = "No instance of this service is running."
    elif not serving(observed.view.instances) and deployment.status.crashes >= CRASH_LOOP:
        unavailable = "This service keeps crashing; see its logs."
    revision = wanted.revision if arrived or live is None else live.revision
    due = publishing(wanted, observed, endpoints, revision, unavailable, split)
    if due and unavailable is not None:  # those who came before wait in vain as well
        due.append(Planned(Refuse(_no_service(unavailable)), "nobody answers them"))
    return due


def publishing(
    wanted: Wanted,
    observed: Observed,
    endpoints: tuple[Endpoint, ...],
    revision: int,
    unavailable: str | None = None,
    split: Split | None = None,
) -> list[Planned]:
    """Publish where requests go, unless that is so already."""
    route = routed(wanted.route, endpoints, revision, unavailable, split)
    if route == observed.route:
        return []
    why = "requests are to reach it" if unavailable is None else unavailable
    return [Planned(Publish(route.endpoints, revision, unavailable, route.split), why)]


def _no_service(reason: str) -> Letter:
    hint = "Try again in a moment; its owner finds the reason in cs logs and cs events."
    return Letter(FaultKind.UNAVAILABLE, "unavailable", "Service Unavailable", reason, hint)
