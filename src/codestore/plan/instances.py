"""Words about the instances of a deployment, as the planners use them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from codestore.domain.instances import Instance, InstanceState, View
from codestore.plan.desired import Wanted

TAKING = (InstanceState.SERVING, InstanceState.FROZEN)
COMING = (InstanceState.STARTING, InstanceState.READY)


def of_revision(view: View, revision: int) -> tuple[list[Instance], list[Instance]]:
    """Return the instances of a revision, and all others."""
    own = [i for i in view.instances if i.revision == revision]
    return own, [i for i in view.instances if i.revision != revision]


def serving(instances: Iterable[Instance]) -> int:
    """Return how many take requests of users."""
    return sum(i.state is InstanceState.SERVING for i in instances)


def staying(instances: Iterable[Instance]) -> list[Instance]:
    """Return those that count as present: one that ended does until that has been noted."""
    return [i for i in instances if i.state is not InstanceState.DRAINING]


def is_late(instance: Instance, wanted: Wanted, now: datetime) -> bool:
    """Whether it should have been ready by now."""
    late = now - instance.since >= timedelta(seconds=wanted.start_timeout)
    return instance.state is InstanceState.STARTING and late


def starting_looks(instances: Iterable[Instance], wanted: Wanted) -> list[datetime]:
    """Return when those that are starting will be late."""
    timeout = timedelta(seconds=wanted.start_timeout)
    return [i.since + timeout for i in instances if i.state is InstanceState.STARTING]
