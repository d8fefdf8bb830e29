"""What is promised of a canary when the first of its instances is let in."""

from collections.abc import Collection
from datetime import datetime

from codestore.domain.deployments import Deployment
from codestore.domain.instances import Instance, InstanceState

SERVING, FROZEN = InstanceState.SERVING, InstanceState.FROZEN
LOOP = 3  # crashes in a row after which nobody waits for the old ones, if all of them wait


def let_in(
    held: Deployment,
    asked: Instance,
    instances: Collection[Instance],
    count: int,
    share: tuple[int, datetime] | None,
    now: datetime,
) -> None:
    """Its last share was held, and not paused; or there is nobody who is to be waited for.

    ``count`` instances of what is live are wanted; ``share`` is the last one, since when.
    """
    canary, status = held.spec.canary, held.status
    begun = any(i.state is SERVING and i.revision == asked.revision for i in instances)
    if canary is None or status.live is None or begun:
        return
    assert not held.spec.dials.paused, "a canary that was paused is let in"
    old = [i for i in instances if i.revision != asked.revision]
    if not any(i.state is SERVING for i in old):
        asleep = status.standby is not None or any(i.state is FROZEN for i in old)
        looping = status.crashes >= LOOP and status.resting >= count
        assert asleep or looping, "a canary does not wait for the old ones"
        return
    last = max((percent for percent in canary.steps if percent < 100), default=0)
    percent, since = share or (0, now)
    assert percent == last, "a step of a canary was left out"
    assert not last or (now - since).total_seconds() >= canary.hold, "it is let in too early"
