"""A canary: the new version gets a share of the requests, step by step, beside the old one.

Its instances are started and proved as in any rollout, but not admitted: the gateway leads their
share to where each answers in private. What serves goes on being looked after as if nothing else
were there. With the last step the rollout goes on as any other does.
"""

from datetime import datetime, timedelta
from math import ceil

from codestore.domain.canary import ALL, Canary, Trial, failed, forsaken, stalls
from codestore.domain.deployments import Deployment
from codestore.domain.faults import FaultKind, Letter
from codestore.domain.instances import Instance, InstanceState, View
from codestore.domain.marking import CRASH_LOOP
from codestore.domain.routing import Endpoint, Split
from codestore.plan.desired import Wanted
from codestore.plan.growing import growing, proving
from codestore.plan.instances import of_revision, serving, starting_looks
from codestore.plan.model import Observed, Planned
from codestore.plan.publishing import routing
from codestore.plan.steps import GiveUp, Publish

POLL = timedelta(seconds=1)  # how often it is asked what became of its requests


def share(deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime) -> int:
    """Return the percentage of requests that the wanted revision is to get now.

    While none of those before serves, it gets no more than it has: they are started again. Only
    where nobody is to be waited for it gets all.
    """
    canary, status = wanted.canary, deployment.status
    own, old = of_revision(observed.view, wanted.revision)
    if canary is None or status.live is None or serving(own):
        return ALL
    stays = deployment.spec.dials.paused
    if not serving(old):
        if not stays and _is_alone(deployment, wanted, old):
            return ALL
        stays = True
    if status.canary is None:
        return 0 if stays else canary.steps[0]
    over = now >= held_until(deployment, canary) and not _stalls(deployment, observed)
    step = status.canary.step + (over and not stays)
    return canary.steps[min(step, len(canary.steps) - 1)]


def _is_alone(deployment: Deployment, wanted: Wanted, old: list[Instance]) -> bool:
    """Whether what is live sleeps, or all its instances crash again and again."""
    before = wanted.before or wanted
    asleep = any(i.state is InstanceState.FROZEN for i in old)
    status = deployment.status
    crashes = status.crashes >= CRASH_LOOP and status.resting >= before.count
    return asleep or status.standby is not None or crashes


def held_until(deployment: Deployment, canary: Canary) -> datetime:
    """Return when the step that the canary has reached is over, unless it is paused."""
    progress = deployment.status.canary
    assert progress is not None
    return progress.since + timedelta(seconds=canary.hold)


def failing(deployment: Deployment, wanted: Wanted, observed: Observed) -> GiveUp | None:
    """Say why the canary is to be given up, if that is so."""
    canary, trial, number = wanted.canary, observed.canary, deployment.spec.number
    if canary is None:
        return None
    own, _ = of_revision(observed.view, wanted.revision)
    name = own[0].name if own else ""
    for sick in _asked(own, wanted, observed):
        if sick.failing is not None:
            detail = f"{sick.name}, which got requests as a canary, is not well: {sick.failing}."
            return _give_up("canary_sick", detail, sick.name)
    if trial is None:
        return None
    base = _base(deployment)
    if (bad := failed(canary, trial, base)) is not None:
        last = "" if bad is trial else "last "
        detail = (
            f"{bad.failures} of the {last}{bad.requests} requests that {number} got as a canary "
            f"failed; at most {canary.error_rate:.3%} of them may."
        )
        return _give_up("canary_failed", detail, name)
    if (bad := forsaken(canary, trial, base)) is not None:
        last = "" if bad is trial else "last "
        detail = (
            f"{bad.left} of the {last}{bad.requests + bad.left} callers that {number} got as a "
            "canary left without an answer."
        )
        return _give_up("canary_silent", detail, name)
    return None


def _give_up(code: str, detail: str, instance: str) -> GiveUp:
    hint = "Mend it and promote again; cs logs shows what it printed."
    return GiveUp(Letter(FaultKind.FAILED, code, "The canary failed", detail, hint), instance)


def _asked(own: list[Instance], wanted: Wanted, observed: Observed) -> list[Instance]:
    """Return those that requests are led to as a canary."""
    split = present(wanted, observed)
    led = {each.address for each in split.endpoints} if split is not None else set()
    return [i for i in answering(own) if i.private in led]


def _base(deployment: Deployment) -> Trial:
    progress = deployment.status.canary
    return progress.base if progress is not None else Trial()


def _stalls(deployment: Deployment, observed: Observed) -> bool:
    """Whether requests are not answered: it is not known yet whether they will be."""
    return observed.canary is not None and stalls(observed.canary, _base(deployment))


def advancing(
    deployment: Deployment, wanted: Wanted, observed: Observed, now: datetime, percent: int
) -> tuple[list[Planned], list[datetime]]:
    """Bring the canary to its share; return when to look again, too.

    Until all instances that the share needs are there, the share before stays. Before the first one
    they are made ready for it, and get nothing.
    """
    first = wanted.canary.steps[0] if wanted.canary is not None else ALL
    count = needed(wanted, percent or first)
    own, _ = of_revision(observed.view, wanted.revision)
    few = wanted.with_count(count)
    due = growing(few, observed, own, rolling=True)
    ready = answering(own)
    split = present(wanted, observed) if percent else None
    if percent and len(ready) >= count:
        split = _split(percent, wanted, ready)
    routes = routing(deployment, wanted, observed, arrived=False, split=split)
    if any(isinstance(each.step, Publish) and each.step.split is not None for each in routes):
        due += proving(ready, observed)  # only then: else they would be asked in each turn
    due += routes
    looks = starting_looks(own, wanted)
    if split is not None:
        looks.append(now + POLL)
    return due, looks


def needed(wanted: Wanted, percent: int) -> int:
    """Return how many instances a share needs."""
    return ceil(wanted.count * percent / ALL)


def answering(own: list[Instance]) -> list[Instance]:
    """Return those that can be asked in private, the oldest first."""
    ready = [i for i in own if i.state is InstanceState.READY and i.private is not None]
    return sorted(ready, key=lambda i: i.ordinal)


def remembered(deployment: Deployment, wanted: Wanted, view: View) -> Split | None:
    """Return the split as it must have been when nobody can tell any more.

    The oldest instances have it: those that a later step was to need may not have proved
    themselves yet.
    """
    canary, progress = wanted.canary, deployment.status.canary
    if canary is None or progress is None or not deployment.busy:
        return None
    percent = canary.steps[min(progress.step, len(canary.steps) - 1)]
    own, _ = of_revision(view, wanted.revision)
    ready = [i for i in answering(own) if i.since <= progress.since][: needed(wanted, percent)]
    return _split(percent, wanted, ready) if ready and percent < ALL else None


def _split(percent: int, wanted: Wanted, ready: list[Instance]) -> Split:
    return Split(percent, wanted.revision, tuple(Endpoint(str(i.private)) for i in ready))


def present(wanted: Wanted, observed: Observed) -> Split | None:
    """Return the split to the wanted revision as it is now."""
    split = observed.route.split if observed.route is not None else None
    return split if split is not None and split.revision == wanted.revision else None
