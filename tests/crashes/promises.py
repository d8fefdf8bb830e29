"""What is promised of each effect, at the moment it is done: in which order, and upon what.

Said anew here, on purpose: what the planner thinks is not asked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.instances import Instance, InstanceState, Workload
from codestore.domain.overrides import Override
from codestore.domain.routing import Route, Split
from codestore.domain.secrets import DataKey
from codestore.domain.versions import Version
from tests.crashes import sealing
from tests.crashes.ledger import Ledger
from tests.crashes.opening import is_as_written
from tests.crashes.rules import Kinds
from tests.crashes.sharing import let_in
from tests.support.fakes import World

SPANS = {
    Kind.PRIVATE: (1, 1),
    Kind.DEMO: (1, 1),
    Kind.DEVELOPMENT: (1, 2),
    Kind.STAGING: (1, 2),
    Kind.PRODUCTION: (2, 8),
}
DRAINS = {Kind.PRODUCTION: 30.0}  # seconds; elsewhere 10
IDLE = 120.0  # seconds without a call, at least, before anything sleeps
STARTING, READY, SERVING, FROZEN, DRAINING, ENDED = InstanceState
TAKING, UP = (SERVING, FROZEN), (READY, SERVING)
RUNNING = (STARTING, READY, *TAKING, DRAINING)


def span(deployment: Deployment, version: Version) -> tuple[int, int]:
    """Return the least and the greatest number of instances of a version."""
    low, high = SPANS[deployment.kind]
    said = version.seal.manifest.overrides.get(deployment.kind, Override())
    return max(1, said.min_instances or low), said.max_instances or high


def wanted_count(deployment: Deployment, version: Version) -> int:
    """Return how many instances of a version are wanted."""
    low, high = span(deployment, version)
    scale = deployment.spec.dials.scale
    return low if scale is None else min(max(scale, low), high)


@dataclass
class Promises:
    """Checks each effect before it is done.

    ``turn`` is the deployment as it was when the turn began. What people or the world do in the
    middle of a turn is met by the next one: then the ledger is ``disturbed``, and less is promised.
    ``owed`` are those whose keys somebody would have to wait for behind a gate, ``logins`` what is
    given to a revision of a deployment.
    """

    world: World
    ledger: Ledger
    turn: Deployment | None = None
    proved: set[tuple[str, datetime]] = field(default_factory=set)
    shares: dict[tuple[str, int], tuple[int, datetime]] = field(default_factory=dict)
    led: set[tuple[str, datetime]] = field(default_factory=set)
    called: dict[str, datetime] = field(default_factory=dict)
    ran: tuple[str, str] = ("", "")
    owed: set[str] = field(default_factory=set)
    logins: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def calm(self) -> bool:
        """Whether the turn is alone in the world."""
        return self.turn is not None and not self.ledger.disturbed

    def start(self, workload: Workload, ordinal: int) -> None:
        self._runnable(workload)
        held = self._known(workload.deployment)
        if not self.calm or held is None:
            return
        own = [i for i in self._of(held.id) if i.revision == workload.revision]
        up = [i for i in own if i.state not in (DRAINING, ENDED)]
        version = self._version(held, workload.revision)
        assert f"{held.id}.{workload.revision}.{ordinal}" not in {i.name for i in own}
        well = [i for i in up if i.failing is None]
        assert len(well) < span(held, version)[1], "more than its policy allows"
        count, sick = wanted_count(held, version), len(well) < len(up)
        assert len(well) < count and len(up) <= 2 * count, "more than are wanted"
        coming = sum(i.state in (STARTING, READY) for i in well)
        missing = max(0, count - (len(up) - coming))
        live, resting = held.status.live, 0
        if live is not None and live.revision == workload.revision:
            resting = self._resting(held)
        assert coming < missing + sick - resting, "the sick one by one, who crashes in its time"

    def arm(self, workload: Workload, queue: int) -> None:
        self._runnable(workload)
        held = self._known(workload.deployment)
        if held is not None and (self.calm or self.turn is None):
            live = held.status.live
            assert live is not None and live.revision == workload.revision
            own = [i for i in self._of(held.id) if i.revision == workload.revision]
            assert not own, "a caller is to start what is there"

    def prove(self, deployment: str, instance: str, health: object) -> None:
        held, driver = self._instance(deployment, instance), self.world.driver
        if held is not None and driver.digests[instance] not in driver.unhealthy:
            self.proved.add((held.name, held.since))

    def admit(self, deployment: str, instance: str) -> None:
        held, asked = self._known(deployment), self._instance(deployment, instance)
        if held is None or asked is None or asked.state is not READY:
            return
        if held.status.standby is None:
            assert (asked.name, asked.since) in self.proved, "it has not proved itself"
        live = held.status.live
        if self.calm and (live is None or live.revision != asked.revision):
            count = 0 if live is None else wanted_count(held, self._version(held, live.revision))
            share = self.shares.get((deployment, asked.revision))
            let_in(held, asked, self._of(deployment), count, share, self.world.clock.now())
            own = [i for i in self._of(deployment) if i.revision == asked.revision]
            up = [i for i in own if i.state in UP]
            version = self._version(held, asked.revision)
            assert len(up) >= wanted_count(held, version), "admitted before all are there"
            for each in up:
                assert each.state is SERVING or (each.name, each.since) in self.proved

    def drain(self, deployment: str, instance: str) -> None:
        held, leaving = self._known(deployment), self._instance(deployment, instance)
        if held is None or leaving is None or not self.calm:
            return
        self._not_asked(held, leaving)
        if leaving.state is not SERVING or held.spec.removed or held.status.standby is not None:
            return
        left = self._serving(deployment, but=instance)
        # Until the version that is wished for serves, it is the one before that has to be there.
        arrived = any(
            i.state is SERVING and i.revision == held.spec.revision for i in self._of(deployment)
        )
        version = self._version(held, held.spec.revision if arrived else leaving.revision)
        assert left >= span(held, version)[0], "too few are left"
        if leaving.failing is not None and leaving.revision == held.spec.revision:
            assert left >= wanted_count(held, version), "nobody serves in its place"

    def stop(self, deployment: str, instance: str) -> None:
        held, ending = self._known(deployment), self._instance(deployment, instance)
        if held is None or ending is None or held.spec.removed or not self.turn:
            return
        if self.ledger.deployments[held.id].spec.removed:
            return
        free = held.status.live is None or ending.state is not SERVING
        assert free, "it takes requests, and was not asked to leave"
        if self.calm:
            self._not_asked(held, ending)
        asked = (ending.name, ending.since) in self.led and ending.state is READY
        assert not asked, "requests were led to it, and it was not asked to leave"
        if ending.state is DRAINING and ending.address is None:
            drained = (self.world.clock.now() - ending.since).total_seconds()
            assert drained >= DRAINS.get(held.kind, 10.0), "it may finish what it has"

    def remove(self, deployment: str) -> None:
        held = self.ledger.deployments.get(deployment)
        assert held is None or held.spec.removed, "it is not to be removed"

    def withdraw(self, hash_: str) -> None:
        held = [each for each in self.ledger.deployments.values() if each.hash == hash_]
        assert all(each.spec.removed for each in held), "it is not to be removed"

    def open_login(self, name: str, password: object, login: int, limits: object) -> None:
        """There are two logins, by turns: one that is to be another one's is nobody's."""
        taken = {each for each in self._used(name) if each % 2 == login % 2}
        assert taken <= {login}, "somebody is shut out of the database"

    def close_logins(self, name: str, but: int) -> None:
        """Where it sleeps, what is left of a change that failed ends in the same turn."""
        asleep = self.turn is not None and self.turn.status.standby is not None
        if self.calm:
            used = self._used(name, TAKING if asleep else RUNNING)
            assert used <= {but}, "somebody is shut out of the database"

    def _used(self, name: str, states: Collection[InstanceState] = RUNNING) -> set[int]:
        """Return the logins of those that run."""
        held = [each for each in self.ledger.deployments.values() if each.database == name]
        running = [i for each in held for i in self._of(each.id) if i.state in states]
        return {self.logins.get((each.id, i.revision), 0) for each in held for i in running}

    def drop(self, name: str) -> None:
        held = [each for each in self.ledger.deployments.values() if each.database == name]
        assert all(each.spec.removed for each in held), "its data is wanted"
        assert not any(self.world.driver.instances.get(each.id) for each in held), "it is used"

    def finish(self, used: Collection[str]) -> None:
        """A master key goes when nothing that is written is wrapped by it any more."""
        written = {n.master for n in self.ledger.nouns.values() if isinstance(n, DataKey)}
        kept = {*used, self.world.doors.keyring.newest}
        assert written <= kept, "a master key goes before what it wraps"

    def run(self, workload: Workload, name: str, timeout: float) -> None:
        self._provided(workload)
        digest, held = workload.artifact.digest, self._known(workload.deployment)
        if held is None:
            return
        assert digest not in held.status.migrated, "a migration is run again"
        files = {*self.ledger.built(held.service, digest).seal.migrations}
        for earlier in held.status.migrated:
            files -= {*self.ledger.built(held.service, earlier).seal.migrations}
        assert files, "an old tool is asked about what later versions have done"
        if digest not in self.world.driver.unmigratable:
            self.ran = (held.id, digest)

    def publish(self, route: Route) -> None:
        held = self._known(route.deployment)
        if held is not None and held.id not in self.owed:
            written = is_as_written(self.ledger, held, route, self.world.clock.at)
            assert written, "other keys than are written"
        self.owed.discard(route.deployment)
        if held is None or not self.calm:
            self._go_on_from(route)
            return
        assert not held.spec.removed
        driver, instances = self.world.driver, self._of(held.id)
        addresses = {i.address for i in instances if i.address} | {f"fake:{held.id}"}
        if held.id in driver.held:
            addresses.add(f"fake:{held.id}.held")
        assert {each.address for each in route.endpoints} <= addresses, "it leads nowhere"
        live = held.status.live
        before = self.world.gateway.routes.get(route.hash)
        if route.unavailable is not None and before is not None and before.endpoints:
            served = self._serving(held.id, but="") and held.status.standby is None
            assert not served or live is None, "who could be answered is turned away"
        if route.split is not None:
            self._split(held, route.split)
        elif live is not None and route.revision != live.revision:
            own = [i for i in instances if i.revision == route.revision and i.state is SERVING]
            version = self._version(held, route.revision)
            assert len(own) >= wanted_count(held, version), "the route moves too early"
            old = [i for i in instances if i.revision != route.revision and i.state is SERVING]
            assert not old, "the old ones accept still"

    def restore(self, routes: Sequence[Route]) -> None:
        """What the proxy followed while nobody was there is what it is to follow."""
        fresh = {route.hash: route for route in routes}
        for hash_, old in self.world.gateway.routes.items():
            held = next((d for d in self.ledger.deployments.values() if d.hash == hash_), None)
            if held is None or held.spec.removed or held.status.live is None:
                continue
            assert is_as_written(self.ledger, held, fresh[hash_], self.world.clock.at)
            assert fresh[hash_].keys or old.access == "public"
            self._still_split(held, old, fresh[hash_])
        for held in self.ledger.deployments.values():
            sleeps = held.status.standby is not None and held.status.standby.waking_since is None
            waits = held.status.retry_at is not None or held.status.restart_at is not None
            idle = sleeps and not held.busy and not waits
            if idle and not held.spec.removed and not self._of(held.id):
                assert held.id in {*self.world.driver.armed, *self.world.driver.coming}
                assert fresh[held.hash].unavailable is None, "who calls a sleeper is turned away"

    def rest(self, blown: Collection[str]) -> None:
        """When nobody has anything to do before time passes, whatever is live serves.

        The turns of those that have ``blown`` up are tried again later.
        """
        world, now = self.world, self.world.clock.at
        if world.databases.away or world.gateway.away:
            return
        for held in self.ledger.deployments.values():
            status, instances = held.status, self._of(held.id)
            waits = status.retry_at is not None and status.retry_at > now
            if status.live is None or status.standby is not None or held.spec.removed or waits:
                continue
            if held.id in blown or any(i.state in (STARTING, FROZEN) for i in instances):
                continue
            count = wanted_count(held, self.ledger.version(held.service, status.live.number))
            least = count - self._resting(held)  # who crashes holds nobody else up
            assert self._serving(held.id, but="") >= least, "what is live is not looked after"

    def _still_split(self, held: Deployment, old: Route, new: Route) -> None:
        """A share that was told of is led on, and no other."""
        canary, progress, share = held.spec.canary, held.status.canary, old.split
        told_of = canary.steps[progress.step] if canary is not None and progress else None
        assert new.split is None or new.split.percent == told_of, "a share that nobody told of"
        if new.split is not None and told_of is not None and progress is not None:
            # What a process that died had done and not told of is undone with that: a later pause
            # finds the share that people know.
            self.shares[held.id, new.split.revision] = (told_of, progress.since)
        if share is not None and progress and held.spec.revision == share.revision:
            # Who came later, when all were lost, may not have proved itself: it has to, again.
            own = [i for i in self._of(held.id) if i.since <= progress.since]
            ready = {i.private for i in own if i.state is READY}
            there = {each.address for each in share.endpoints} <= ready
            led = new.split is not None or new.unavailable is not None
            assert led or not there or told_of is None or not held.busy, "its share is lost"

    def freeze(self, deployment: str, instance: str, queue: int) -> None:
        held, asked = self._known(deployment), self._instance(deployment, instance)
        if held is None or asked is None or not self.calm:
            return
        assert not held.busy and held.status.standby is None
        if deployment in self.called:
            idle = (self.world.clock.now() - self.called[deployment]).total_seconds()
            assert idle >= IDLE, "somebody called it a moment ago"
        route = self.world.gateway.routes[held.hash]
        where = f"fake:{deployment}.held" if asked.address else f"fake:{deployment}"
        assert [each.address for each in route.endpoints] == [where], "nobody can wait there"

    def told(self, before: Deployment, after: Deployment, kinds: Kinds) -> None:
        """Success is told when the new version alone serves, and requests are led to it.

        A wake is counted once, if at all: of several at a time the last one is seen.
        """
        wakes = after.status.wakes
        counted = wakes.frozen.count + wakes.stopped.count
        assert counted <= self.world.driver.wakes[after.id], "a wake was counted twice"
        id_, digest = self.ran
        assert id_ != after.id or digest in after.status.migrated, "a migration is not written down"
        self.ran = ("", "")
        if before.status.generation == after.status.generation or not self.calm:
            return
        was, live = before.status.live, after.status.live
        if live is None or (was is not None and was.revision == live.revision):
            return
        version, driver = self._version(after, live.revision), self.world.driver
        bad = driver.broken | driver.unhealthy | self.world.builder.unbuildable
        assert live.digest not in bad, "a bad version is live"
        assert after.id not in driver.armed, "callers start an instance of their own"
        serving = [i for i in self._of(after.id) if i.state is SERVING]
        assert {i.revision for i in serving} == {live.revision}, "not the new version alone"
        assert len(serving) >= wanted_count(after, version), "too few serve"
        route = self.world.gateway.routes[after.hash]
        assert (route.revision, route.unavailable, route.split) == (live.revision, None, None)
        assert version.seal.migrations == () or self._migrated(after, version), "not migrated"

    def _split(self, held: Deployment, split: Split) -> None:
        canary = held.spec.canary
        assert canary is not None and split.revision == held.spec.revision
        assert split.percent in canary.steps and split.percent < 100
        old = [i for i in self._of(held.id) if i.revision != split.revision]
        by_address = {i.private: i for i in self._of(held.id)}
        for endpoint in split.endpoints:
            asked = by_address.get(endpoint.address)
            assert asked is not None and asked.state is READY, "it leads nowhere"
            assert (asked.name, asked.since) in self.proved, "it has not proved itself"
            self.led.add((asked.name, asked.since))
        now, key = self.world.clock.now(), (held.id, split.revision)
        percent, since = self.shares.get(key, (0, now))
        if split.percent < percent:  # nobody has confirmed the larger one, and it was paused then
            reached = held.status.canary
            assert reached is not None and held.spec.dials.paused, "a canary goes back"
            assert split.percent == canary.steps[reached.step], "a canary goes back"
            self.shares[key] = (split.percent, reached.since)
        if split.percent > percent:
            held_on = (now - since).total_seconds()
            assert not percent or held_on >= canary.hold, "a canary moves on too early"
            assert not held.spec.dials.paused, "it was paused"
            assert any(i.state is SERVING for i in old), "a share, and nobody serves the rest"
            self.shares[key] = (split.percent, now)

    def _go_on_from(self, route: Route) -> None:
        """Nothing is promised of this share, which was decided before somebody came between."""
        if route.split is not None:
            key, now = (route.deployment, route.split.revision), self.world.clock.now()
            if self.shares.get(key, (0, now))[0] != route.split.percent:
                self.shares[key] = (route.split.percent, now)

    def _not_asked(self, held: Deployment, leaving: Instance) -> None:
        """Nobody is led to an instance of a canary that is told to leave."""
        route = self.world.gateway.routes.get(held.hash)
        if route is None or route.split is None or leaving.state is ENDED:
            return
        assert leaving.private not in {each.address for each in route.split.endpoints}

    def _runnable(self, workload: Workload) -> None:
        self._provided(workload)
        held = self._known(workload.deployment)
        if held is not None:
            version = self.ledger.built(held.service, workload.artifact.digest)
            assert not version.seal.manifest.migrate or self._migrated(held, version)
            wanted = self._version(held, workload.revision)
            assert wanted == version or not self.calm, "another version's code"
            sealing.given(self.ledger, held, workload)

    def _provided(self, workload: Workload) -> None:
        held = self._known(workload.deployment)
        assert workload.artifact.digest in self.world.builder.ready, "it is not prepared"
        if held is not None:
            assert held.database in self.world.databases.held, "it has no database"
            login = int(workload.environment["DATABASE_URL"].reveal().rpartition("/")[2])
            assert login in self.world.databases.open[held.database], "it is not let in"
            self.logins[held.id, workload.revision] = login

    def _migrated(self, held: Deployment, version: Version) -> bool:
        driver = self.world.driver
        ran = {digest for id_, digest in driver.migrations if id_ == held.id} - driver.unmigratable
        applied = set(version.seal.migrations) <= set(held.status.applied)
        return version.digest in ran or applied

    def _known(self, id_: str) -> Deployment | None:
        """Return the deployment as the turn knows it, unless it is gone."""
        held = self.ledger.deployments.get(id_)
        return self.turn if self.turn is not None and self.turn.id == id_ and held else held

    def _version(self, held: Deployment, revision: int) -> Version:
        live = held.status.live
        number = held.spec.number
        if live is not None and live.revision == revision:
            number = live.number
        return self.ledger.version(held.service, number)

    def _of(self, deployment: str) -> list[Instance]:
        return list(self.world.driver.instances.get(deployment, {}).values())

    def _instance(self, deployment: str, name: str) -> Instance | None:
        return self.world.driver.instances.get(deployment, {}).get(name)

    def _resting(self, held: Deployment) -> int:
        """Return how many crashed, were started again, crashed again, and have to wait."""
        until = held.status.restart_at
        return held.status.resting if until is not None and until > self.world.clock.at else 0

    def _serving(self, deployment: str, *, but: str) -> int:
        return sum(i.state is SERVING and i.name != but for i in self._of(deployment))
