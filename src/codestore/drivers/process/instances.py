"""From what the keeper tells of a child to the instance that people are told of."""

from datetime import UTC, datetime

from codestore.domain.instances import Instance, InstanceState
from codestore.drivers.process.child import Child
from codestore.drivers.process.naming import SERVICE, Phase
from codestore.drivers.process.probing import TCP, UNIX

_STATES = {
    "ready": InstanceState.READY,
    "accepting": InstanceState.SERVING,
    "draining": InstanceState.DRAINING,
}
_PHASES = {
    Phase.STARTING: InstanceState.READY,
    Phase.SERVING: InstanceState.SERVING,
    Phase.DRAINING: InstanceState.DRAINING,
}


def instance_of(child: Child, socket: str | None, failing: str | None) -> Instance:
    """Return a child as an instance. ``socket`` is the path of its own, if it is held."""
    since = child.frozen_at or child.label.since or child.started_at
    return Instance(
        child.name,
        child.label.revision,
        child.label.ordinal,
        state_of(child),
        datetime.fromtimestamp(since, UTC),
        address=port_of(child) if child.port else None,
        ending=child.ending,
        private=where(child, socket),
        failing=failing,
        dismissed=child.stopping or child.label.phase is Phase.DRAINING,
        started=datetime.fromtimestamp(child.started_at, UTC),
    )


def state_of(child: Child) -> InstanceState:
    """Return where a child is in its life."""
    if child.ending is not None:
        return InstanceState.ENDED
    if child.frozen_at:
        return InstanceState.FROZEN
    if not child.port:
        return _STATES.get(child.status, InstanceState.STARTING)
    if not child.ready:
        return InstanceState.STARTING
    return InstanceState.DRAINING if child.stopping else _PHASES[child.label.phase]


def serves(child: Child) -> bool:
    """Whether this is an instance that users are led to, and that is to stay."""
    leaving = child.stopping or child.label.phase is Phase.DRAINING  # it may not have heard yet
    return child.label.kind == SERVICE and state_of(child) is InstanceState.SERVING and not leaving


def is_ready(child: Child) -> bool:
    """Whether this is an instance that is up and not admitted: a share may be led to it."""
    return child.label.kind == SERVICE and state_of(child) is InstanceState.READY


def port_of(child: Child) -> str:
    """Return the address of a child that listens on a port."""
    return f"{TCP}127.0.0.1:{child.port}"


def where(child: Child, socket: str | None) -> str | None:
    """Return where a child alone answers, as long as it is there."""
    if child.ending is not None:
        return None
    if child.port:
        return port_of(child)
    return f"{UNIX}{socket}" if socket else None
