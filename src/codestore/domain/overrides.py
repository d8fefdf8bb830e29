"""What a manifest changes in the policy of an environment: within what the policy allows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codestore.domain.canary import ALL, Canary
from codestore.domain.document import Document
from codestore.domain.environments import MEBIBYTE, POLICIES, Kind, Policy, Resources
from codestore.domain.routing import Limits

LONGEST_REST = 86_400.0  # seconds
LONGEST_HOLD = 86_400.0  # seconds
_KEYS = ("standby", "stop", "instances", "concurrency", "limits", "canary")
_LIMITS = ("rate", "max_requests", "max_body", "idle_timeout", "memory", "cpu", "disk")
_MOST_RATE = 1_000_000
_MOST_REQUESTS = 16_384
_MOST_BODY = 2**40
_LEAST_MEMORY = 32 * MEBIBYTE
_MOST_MEMORY = 2**40
_LEAST_DISK = 64 * MEBIBYTE
_MOST_DISK = 2**50
_LEAST_CPU, _MOST_CPU = 0.1, 64.0


@dataclass(frozen=True, slots=True)
class Limited:
    """Limits that are lower than the policy's; ``None`` leaves one. Units as there."""

    rate: float | None = None
    max_requests: int | None = None
    max_body: int | None = None
    idle_timeout: float | None = None
    memory: int | None = None
    cpu: float | None = None
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """What a manifest changes in an environment's policy; ``None`` leaves it. Seconds."""

    standby: float | None = None
    stop: float | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    concurrency: int | None = None
    limits: Limited | None = None
    canary: Canary | None = None


def rest(policy: Policy, override: Override) -> tuple[float, float] | None:
    """Return after which idle times a deployment is frozen and stopped; ``None``: it never is."""
    standby = policy.standby if override.standby is None else override.standby
    if standby is None or not policy.may_sleep:
        return None
    # Who says only when it is frozen is to have something of that.
    stop = max(policy.stop, 2 * standby) if override.stop is None else override.stop
    return standby, max(standby, stop)


def span(policy: Policy, override: Override) -> tuple[int, int]:
    """Return the least and the greatest number of instances of what is awake."""
    low = policy.min_instances if override.min_instances is None else override.min_instances
    high = policy.max_instances if override.max_instances is None else override.max_instances
    return max(1, low), max(1, low, high)


def limits(policy: Policy, override: Override) -> Limits:
    """Return what the gateway enforces."""
    own, said = policy.limits, override.limits or Limited()
    return replace(
        own,
        rate=own.rate if said.rate is None else said.rate,
        max_requests=own.max_requests if said.max_requests is None else said.max_requests,
        max_body=own.max_body if said.max_body is None else said.max_body,
        idle_timeout=own.idle_timeout if said.idle_timeout is None else said.idle_timeout,
    )


def resources(policy: Policy, override: Override) -> Resources:
    """Return what an instance may use."""
    own, said = policy.resources, override.limits or Limited()
    return Resources(
        own.memory if said.memory is None else said.memory,
        own.cpu if said.cpu is None else said.cpu,
        own.disk if said.disk is None else said.disk,
    )


def read_overrides(node: Document) -> Mapping[Kind, Override]:
    """Check the section ``environments``; raise a Fault at the first mistake."""
    if node.missing:
        return {}
    node.mapping([kind.value for kind in Kind])
    return {
        kind: _override(node.child(kind), kind) for kind in Kind if not node.child(kind).missing
    }


def _override(node: Document, kind: Kind) -> Override:
    policy = POLICIES[kind]
    node.mapping(_KEYS)
    standby, stop = _rest(node, policy)
    low, high = _instances(node.child("instances"), policy)
    concurrency = node.child("concurrency")
    return Override(
        standby=standby,
        stop=stop,
        min_instances=low,
        max_instances=high,
        concurrency=None if concurrency.missing else concurrency.whole(1, 10_000),
        limits=_limits(node.child("limits"), policy),
        canary=_canary(node.child("canary"), policy),
    )


def _rest(node: Document, policy: Policy) -> tuple[float | None, float | None]:
    """Read after which idle times a deployment is frozen and stopped."""
    standby, stop = node.child("standby"), node.child("stop")
    for each in (standby, stop):
        if not each.missing and not policy.may_sleep:
            raise each.fault(f"{policy.kind} never sleeps", "Remove the line.")
    frozen = None if standby.missing else standby.duration(1, LONGEST_REST)
    stopped = None if stop.missing else stop.duration(1, LONGEST_REST)
    first = policy.standby if frozen is None else frozen
    if stopped is not None and first is None:
        raise stop.fault(f"{policy.kind} does not sleep", "Say after which time: standby: 5m.")
    if stopped is not None and first is not None and stopped < first:
        raise stop.fault("must not be less than standby", f"{first:g} s or more.")
    return frozen, stopped


def _instances(node: Document, policy: Policy) -> tuple[int | None, int | None]:
    if node.missing:
        return None, None
    node.mapping(["min", "max"])
    floor, ceiling = policy.min_instances, policy.max_instances
    first, last = node.child("min"), node.child("max")
    low = None if first.missing else first.whole(floor, ceiling)
    high = None if last.missing else last.whole(max(floor, 1), ceiling)
    if (low or floor) > (high or ceiling):
        raise node.fault("min is greater than max", f"{floor} to {ceiling}.")
    return low, high


def _limits(node: Document, policy: Policy) -> Limited | None:
    """Read limits: each may be lower than the policy's, none higher."""
    if node.missing:
        return None
    node.mapping(_LIMITS)
    own, may = policy.limits, policy.resources
    rate, requests = node.child("rate"), node.child("max_requests")
    body, idle = node.child("max_body"), node.child("idle_timeout")
    memory, cpu, disk = (node.child(name) for name in ("memory", "cpu", "disk"))
    most = {
        "rate": int(own.rate or _MOST_RATE),
        "max_requests": own.max_requests or _MOST_REQUESTS,
    }
    return Limited(
        rate=None if rate.missing else float(rate.whole(1, most["rate"])),
        max_requests=None if requests.missing else requests.whole(1, most["max_requests"]),
        max_body=None if body.missing else body.size(1, own.max_body or _MOST_BODY),
        idle_timeout=None if idle.missing else idle.duration(0.1, own.idle_timeout),
        memory=None if memory.missing else memory.size(_LEAST_MEMORY, may.memory or _MOST_MEMORY),
        cpu=None if cpu.missing else cpu.number(_LEAST_CPU, may.cpu or _MOST_CPU),
        disk=None if disk.missing else disk.size(_LEAST_DISK, may.disk or _MOST_DISK),
    )


def _canary(node: Document, policy: Policy) -> Canary | None:
    """Read how a version is let in. The last step is always all requests."""
    if node.missing:
        return None
    if policy.min_instances == 0:
        raise node.fault(f"{policy.kind} has one instance at most", "Remove the line.")
    node.mapping(["steps", "hold", "abort_on"])
    default = Canary()
    steps, hold = node.child("steps"), node.child("hold")
    errors = node.child("abort_on")
    rate = default.error_rate
    if not errors.missing:
        rate = errors.mapping(["error_rate"]).child("error_rate").percentage()
    return Canary(
        steps=default.steps if steps.missing else _steps(steps),
        hold=default.hold if hold.missing else hold.duration(1, LONGEST_HOLD),
        error_rate=rate,
    )


def _steps(node: Document) -> tuple[int, ...]:
    steps = node.wholes(1, ALL)
    if list(steps) != sorted(set(steps)):
        raise node.fault("must grow from step to step", "As in [5, 25, 100].")
    return steps if steps[-1] == ALL else (*steps, ALL)
