"""What must hold when a history is over and all is quiet."""

from collections import Counter
from datetime import timedelta
from typing import Any

from codestore.domain.conditions import ConditionType, Truth, find
from codestore.domain.deployments import Deployment, State
from codestore.domain.environments import Environment
from codestore.domain.events import Event, EventKind
from codestore.domain.instances import InstanceState
from codestore.domain.keys import Client, Key
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet
from codestore.domain.services import Project, Service
from codestore.domain.versions import Version
from codestore.plan.model import Verdict
from codestore.reconcile.cycle import consider
from codestore.reconcile.subject import read_subject
from tests.crashes import sealing
from tests.crashes.acts import Acts
from tests.crashes.promises import wanted_count
from tests.crashes.stage import Stage
from tests.support.fakes import GRACE

VERDICTS = (EventKind.LIVE, EventKind.FAILED)
LOOKING = timedelta(seconds=1)  # more than all these checks take
SLEEPERS = ("private", "demo", "development")


async def check(stage: Stage, acts: Acts, known: dict[str, int]) -> None:
    """Check everything. ``known`` are the generations that the history began with."""
    await _end_keys(stage, acts)
    events = await stage.store.told()
    _told_once(stage, events, known)
    _nothing_lost(stage, acts, events)
    _explained(stage, acts, events)
    for _ in range(2):
        for deployment in list(stage.ledger.deployments.values()):
            await _settled(stage, deployment)
    await _whole(stage)
    sealing.spread(stage.ledger)
    acts.holders.check()
    await _sealed(stage)
    stage.world.clock.at += GRACE
    await stage.tidy()
    _nothing_left(stage)


async def _end_keys(stage: Stage, acts: Acts) -> None:
    """End the keys whose time is over; what would end while we look has ended before."""
    clock, nouns = stage.world.clock, stage.ledger.nouns.values()
    ends = [noun.expires_at for noun in nouns if isinstance(noun, Key)]
    soon = [at for at in ends if at is not None and at <= clock.at + LOOKING]
    clock.at = max([clock.at, *soon])
    await acts.holders.end_keys()


async def _sealed(stage: Stage) -> None:
    """Everything opens under a key that is there, and no set is left of what is gone."""
    keyring, store = stage.world.doors.keyring, stage.store
    keys = {key.id: key for key in await store.all(DataKey)}
    secrets, sets = await store.all(SealedSecret), await store.all(SecretSet)
    sealed: list[SealedSecret | SecretSet] = [*secrets, *sets]
    for each in sealed:
        keyring.open(keys[each.data_key], each.place, each.sealed)
        assert stage.ledger.nouns[each.id] == each, "the store forgot"
    owners = {each.id for each in await store.all(Project)}
    owners |= {each.id for each in await store.all(Service)}
    for secret in secrets:
        named = {secret.scope.project, secret.scope.service} - {None}
        assert named <= owners, "a secret of what is gone"
    ids = set(stage.ledger.deployments)
    assert {each.deployment for each in sets} <= ids, "a set of what is gone"


def _told_once(stage: Stage, events: list[Event], known: dict[str, int]) -> None:
    """Each generation was told to be live or to have failed, once; each end was told, once."""
    told = Counter((e.deployment, e.generation) for e in events if e.kind in VERDICTS)
    for deployment in stage.ledger.deployments.values():
        first, last = known.get(deployment.id, 0) + 1, deployment.spec.generation
        assert not deployment.busy and not deployment.spec.removed, "it is never concluded"
        for generation in range(first, last + 1):
            times = told.pop((deployment.id, generation), 0)
            assert times == 1, f"generation {generation} of {deployment.id} was told {times} times"
    assert all(times == 1 for times in told.values())
    left = {id_ for id_, _ in told} - stage.ledger.removed
    assert not left, f"told of {left}, which never were"
    for kind in (EventKind.ASKED, EventKind.RETURNING):
        begun = Counter((e.deployment, e.generation) for e in events if e.kind is kind)
        once = all(times == 1 for times in begun.values())
        assert once or kind is EventKind.ASKED  # an abort is asked of the same generation
    ends = Counter(e.deployment for e in events if e.kind is EventKind.REMOVED)
    assert ends == dict.fromkeys(stage.ledger.removed, 1), "the end of one was not told once"


def _nothing_lost(stage: Stage, acts: Acts, events: list[Event]) -> None:
    """What was acknowledged was done, or is told to have failed, or was overtaken by a removal."""
    deployments, gone = stage.ledger.deployments, stage.ledger.removed
    for promise in acts.acknowledged:
        held = deployments.get(promise.deployment)
        if promise.removed:
            assert held is None and promise.deployment in gone, f"not done: {promise}"
        elif held is None:
            assert promise.deployment in gone, f"lost: {promise}"
        else:
            assert held.status.generation >= promise.generation, f"not concluded: {promise}"
    kinds = {(e.deployment, e.generation, e.kind) for e in events}
    for (id_, generation), kind in acts.expected.items():
        if id_ in deployments:
            assert (id_, generation, kind) in kinds, f"{kind} of {id_} {generation} never came"


def _explained(stage: Stage, acts: Acts, events: list[Event]) -> None:
    """A change fails for a reason that is there: a kill is none."""
    world = stage.world
    for event in events:
        if event.kind is not EventKind.FAILED:
            continue
        assert event.letter is not None and event.letter.detail
        code, driver = event.letter.code, world.driver
        reason = {
            "start_failed": acts.ended,
            "instance_gone": acts.ended,
            "start_timeout": driver.broken,
            "unhealthy": driver.unhealthy,
            "migration_failed": driver.unmigratable,
            "build_failed": world.builder.unbuildable,
            "canary_failed": world.traffic.canaries,
            "aborted": {"somebody"},
            "secret_missing": acts.needy,
            "away": acts.outages,
            "gateway_unavailable": acts.outages,
        }.get(code)
        assert reason, f"{event.deployment} failed for no reason: {event.letter}"


async def _settled(stage: Stage, deployment: Deployment) -> None:
    world, driver = stage.world, stage.world.driver
    async with stage.store.begin() as records:
        subject = await read_subject(records, world.doors, deployment.id)
    assert subject is not None
    plan, _ = await consider(subject, world.doors)
    assert plan.empty and plan.returning is None, f"not settled: {plan}"
    assert not driver.waiting[deployment.id], "somebody waits"
    view = await driver.observe(deployment.id)
    route = world.gateway.routes[deployment.hash]
    assert route == world.gateway.confirmed[deployment.hash] and route.split is None
    live, status = deployment.status.live, deployment.status
    if live is not None:
        logins = world.databases.open[deployment.database]
        assert logins == {deployment.spec.login} == {live.login}, "a login too many, or too few"
    if deployment.state is State.FAILED:
        assert live is None and not view.instances and route.unavailable is not None
        return
    assert live is not None and deployment.spec.revision == live.revision
    assert (deployment.spec.number, deployment.spec.digest) == (live.number, live.digest)
    assert route.revision == live.revision and live.digest in world.builder.ready
    waits = (status.attempts, status.retry_at, status.restart_at)
    assert waits == (0, None, None) or status.standby is not None
    if deployment.state is State.STANDBY:
        assert deployment.kind.value in SLEEPERS and not view.instances
        assert view.armed == live.revision, "no caller wakes it"
        at = (view.held,) if view.held is not None else view.endpoints
        assert (route.endpoints, route.unavailable) == (at, None)
        return
    assert deployment.state is State.READY, f"{deployment.state}: {status.conditions}"
    assert plan.verdict is Verdict.REACHED and status.crashes == 0
    available = find(status.conditions, ConditionType.AVAILABLE)
    assert available is not None and available.truth is Truth.TRUE
    version = stage.ledger.version(deployment.service, live.number)
    assert {i.revision for i in view.instances} == {live.revision}
    assert {i.state for i in view.instances} == {InstanceState.SERVING}
    assert len(view.instances) == wanted_count(deployment, version), "not as many as wanted"
    assert (route.endpoints, route.unavailable) == (view.endpoints, None)
    assert view.armed is None


async def _whole(stage: Stage) -> None:
    """The records are whole: what belongs together is there together, or gone together."""
    store = stage.store
    deployments = await store.all(Deployment)
    services = {each.id: each for each in await store.all(Service)}
    assert {d.id: d for d in deployments} == stage.ledger.deployments, "the store forgot"
    assert {each.service for each in deployments} == set(services), "a service without a place"
    owned: tuple[type[Any], ...] = (Version, Environment, Key, Client)
    for kind in owned:
        for noun in await store.all(kind):
            owner = getattr(noun, "scope", None) or getattr(noun, "project", None)
            owner = owner or getattr(noun, "service", None)
            assert owner in services or owner in stage.ledger.nouns
            assert stage.ledger.nouns[noun.id] == noun, "the store forgot"
    for deployment in deployments:
        live = deployment.status.live
        keys = await store.all(Key, scope=deployment.project or deployment.service)
        lasting = [key.client for key in keys if key.expires_at is None]
        clients = await store.all(Client, project=deployment.project or "")
        assert sorted(lasting) == sorted(["", *(each.id for each in clients)]), "a key is lost"
        if deployment.kind.value == "demo" and live is not None:
            (version,) = await store.all(Version, service=deployment.service, number=live.number)
            assert version.published_at is not None, "it is public, and not told to be"


def _nothing_left(stage: Stage) -> None:
    """Nothing is left of what is gone, and nothing is lost of what is there."""
    world, driver = stage.world, stage.world.driver
    held = stage.ledger.deployments
    ids = set(held)
    running = {name for found in driver.instances.values() for name in found}
    assert {id_ for id_, found in driver.instances.items() if found} <= ids, "an instance"
    assert set(driver.armed) <= ids and driver.held <= ids, "a place where callers wait"
    assert {socket for socket in driver.sockets if "." in socket} <= running, "a private socket"
    assert {socket.partition(".")[0] for socket in driver.sockets} <= ids, "a socket"
    assert set(driver.lines) <= ids, "a folder of logs"
    assert world.databases.held == {each.database for each in held.values()} - _never(stage)
    assert world.databases.half <= _never(stage), "half a database"
    assert set(world.gateway.routes) == {each.hash for each in held.values()}, "a route"
    digests = {noun.digest for noun in stage.ledger.nouns.values() if isinstance(noun, Version)}
    assert world.builder.sealed == digests, "a bundle"
    live = {each.status.live.digest for each in held.values() if each.status.live is not None}
    assert live <= world.builder.ready <= digests, "an artifact"


def _never(stage: Stage) -> set[str]:
    """Return the databases of what failed before it had one.

    It may have half of one: that is finished with the next version, or goes with the deployment.
    """
    held = stage.ledger.deployments.values()
    failed = {each.database for each in held if each.status.live is None}
    return failed - stage.world.databases.held
