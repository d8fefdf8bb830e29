"""Fewer instances: those that are not wanted stop accepting, finish what they have, and end."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from codestore.domain.deployments import Live
from codestore.domain.instances import Instance, InstanceState
from codestore.domain.routing import Endpoint
from codestore.plan.desired import Wanted
from codestore.plan.instances import COMING, TAKING, serving, staying
from codestore.plan.model import Observed, Planned
from codestore.plan.steps import CloseLogins, Drain, Stop

DRAIN_GRACE = timedelta(seconds=5)  # after its drain time-out an instance may still say goodbye
IDLE_POLL = timedelta(milliseconds=200)  # how often a proxy is asked whether an endpoint is idle


def leaving(old: list[Instance], live: Live | None = None) -> list[Planned]:
    """Let instances of other revisions finish what they have, and what of ``live`` just wakes."""
    why = "another version is to serve"
    return [
        Planned(Drain(i.name), why)
        for i in old
        if i.state in TAKING
        or (live is not None and i.revision == live.revision and i.state in COMING)
    ]


def when_told(instances: Iterable[Instance], due: Iterable[Planned]) -> tuple[Instance, ...]:
    """Return the instances as they will be when those have been told to leave that are to be."""
    names = {each.step.instance for each in due if isinstance(each.step, Drain)}
    return tuple(
        replace(i, state=InstanceState.DRAINING) if i.name in names else i for i in instances
    )


def with_leavers(observed: Observed, due: Iterable[Planned]) -> Observed:
    """Return what will be observed when those have been told to leave that are to be told.

    What comes after it in the same plan needs no look at it: who leaves does nothing but finish.
    """
    instances = when_told(observed.view.instances, due)
    own = {i.address for i in instances}
    endpoints = [each for each in observed.view.endpoints if each.address not in own]
    endpoints += [
        Endpoint(i.address, draining=i.state is InstanceState.DRAINING)
        for i in instances
        if i.address and i.state in (InstanceState.SERVING, InstanceState.DRAINING)
    ]
    view = replace(observed.view, instances=instances, endpoints=tuple(endpoints))
    return replace(observed, view=view)


def shrinking(own: list[Instance], wanted: Wanted) -> list[Planned]:
    """Let go of what is more than wanted: first those that serve nobody, then the youngest.

    Sick ones go as far as others serve in their place.
    """
    here = staying(own)
    well = [i for i in here if i.failing is None]
    sick = sorted((i for i in here if i.failing is not None), key=lambda i: -i.ordinal)
    well.sort(key=lambda i: (i.state is InstanceState.SERVING, -i.ordinal))
    extra = well[: max(0, len(well) - wanted.count)]
    replaced = sick[: max(0, serving(here) - serving(extra) - wanted.count)]
    due = [
        Planned(Drain(i.name) if i.state in TAKING else Stop(i.name), "fewer are wanted")
        for i in extra
        if i.state is not InstanceState.ENDED
    ]
    return due + [
        Planned(Drain(i.name, i.failing, i.started), "another serves in its place")
        for i in replaced
    ]


def retiring(
    old: list[Instance], wanted: Wanted, observed: Observed, now: datetime
) -> tuple[list[Planned], list[datetime]]:
    """End instances of other revisions that have finished; return when to look again, too."""
    due: list[Planned] = []
    looks: list[datetime] = []
    for instance in old:
        if instance.state is InstanceState.READY:  # a canary may have requests
            due.append(Planned(Drain(instance.name), "it is not wanted any more"))
        elif instance.state is InstanceState.DRAINING:
            step, look = finishing(instance, wanted, observed, now)
            due += step
            looks += look
        else:
            due.append(Planned(Stop(instance.name), "it is not wanted any more"))
    return due, looks


def finishing(
    instance: Instance, wanted: Wanted, observed: Observed, now: datetime
) -> tuple[list[Planned], list[datetime]]:
    """End one that drains as soon as it has nothing left, or its time is over."""
    until = instance.since + timedelta(seconds=wanted.drain) + DRAIN_GRACE
    if now >= until:
        return [Planned(Stop(instance.name), "its drain time is over")], []
    if instance.address is None:
        return [], [until]
    if observed.active.get(instance.address, 0) == 0:
        return [Planned(Stop(instance.name), "it has no requests left")], []
    return [], [min(until, now + IDLE_POLL)]


def locking(own: list[Instance], wanted: Wanted, observed: Observed) -> list[Planned]:
    """Close the database to older passwords when nobody is left who has one."""
    if wanted.database is None or not observed.database or not observed.logins - {wanted.login}:
        return []
    if len(own) < len(observed.view.instances):
        return []
    step = CloseLogins(wanted.database, wanted.login)
    return [Planned(step, "nobody has an older password any more")]
