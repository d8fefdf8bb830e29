"""What a session tells an Envoy, tried on one that is played: whatever the order of changes and
refusals, it ends up with what is wanted."""

import asyncio

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from codestore.gateway.session import Session
from codestore.gateway.snapshot import Kind, Resource, Snapshot, delta

NAMES = st.sampled_from([f"n{number}" for number in range(6)])
VERSIONS = st.sampled_from(["1", "2", "poison"])
WANTED = st.dictionaries(NAMES, VERSIONS)


def resource(kind, name, version):
    return Resource(kind, name, version, version.encode())


def snapshot(number, versions, moving=frozenset()):
    """A cluster and a scope for each name, and endpoints for those that move."""
    made = []
    for name, version in versions.items():
        made += [resource(kind, name, version) for kind in (Kind.CLUSTER, Kind.SCOPE)]
        if name in moving:
            made.append(resource(Kind.ENDPOINTS, name, version))
    return Snapshot.of(number, made)


class PlayedEnvoy:
    """Holds what it is told, refuses a message with poison in it, asks for endpoints by name, and
    accepts clusters only when their endpoints are there, as Envoy does."""

    def __init__(self, moving=frozenset(), held=None):
        self.held = held or {kind: {} for kind in Kind}
        self.moving = moving
        self.sent = []
        self.settled = asyncio.Event()
        self.session = Session(self.told, self.settled.set)
        self.waiting = {}

    def start(self):
        for kind in Kind:
            names = [n for n in self.held[Kind.CLUSTER] if n in self.moving]
            self.say(kind, names if kind is Kind.ENDPOINTS else [], first=True)

    def say(self, kind, ask=(), first=False, nonce="", error=""):
        request = DeltaDiscoveryRequest(type_url=kind, response_nonce=nonce)
        request.resource_names_subscribe.extend(ask)
        if first:
            request.initial_resource_versions.update(self.held[kind])
        if error:
            request.error_detail.message = error
        self.session.hear(request)

    async def told(self, response):
        kind = Kind(response.type_url)
        self.sent.append(
            (kind, [r.name for r in response.resources], [*response.removed_resources])
        )
        await asyncio.sleep(0)
        if any(r.version == "poison" for r in response.resources):
            self.say(kind, nonce=response.nonce, error="poison")
            return
        for r in response.resources:
            self.held[kind][r.name] = r.version
        for name in response.removed_resources:
            del self.held[kind][name]
            if kind is Kind.CLUSTER:
                self.held[Kind.ENDPOINTS].pop(name, None)
        if kind is Kind.CLUSTER:
            missing = {r.name for r in response.resources} & self.moving
            self.waiting[response.nonce] = missing
            if missing:
                self.say(Kind.ENDPOINTS, sorted(missing))
        else:
            self.say(kind, nonce=response.nonce)
        if kind is Kind.ENDPOINTS:
            for missing in self.waiting.values():
                missing -= {r.name for r in response.resources}
        for nonce in [nonce for nonce, missing in self.waiting.items() if not missing]:
            del self.waiting[nonce]
            self.say(Kind.CLUSTER, nonce=nonce)

    async def follow(self, *snapshots):
        rounds = asyncio.create_task(self.session.run())
        try:
            async with asyncio.timeout(5):
                for each in snapshots:
                    self.session.show(each)
                    await asyncio.sleep(0)
                while self.session.reached < snapshots[-1].number:
                    self.settled.clear()
                    await self.settled.wait()
        finally:
            rounds.cancel()


@given(held=WANTED, wanted=WANTED)
def test_applying_a_delta_gives_what_is_wanted(held, wanted):
    resources = {name: resource(Kind.SCOPE, name, version) for name, version in wanted.items()}
    change = delta(resources, held)
    after = {**held, **{r.name: r.version for r in change.upserts}}
    for name in change.removed:
        del after[name]
    assert after == wanted
    assert delta(resources, after) == delta({}, {})


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(WANTED, min_size=1, max_size=6))
async def test_a_client_that_follows_ends_with_the_same_set(steps):
    envoy = PlayedEnvoy()
    envoy.start()
    await envoy.follow(*(snapshot(number, step) for number, step in enumerate(steps)))
    wanted = {name: version for name, version in steps[-1].items() if version != "poison"}
    for kind in (Kind.CLUSTER, Kind.SCOPE):
        held = {n: v for n, v in envoy.held[kind].items() if steps[-1].get(n) != "poison"}
        assert held == wanted
        assert set(envoy.held[kind]) <= set(steps[-1])
    poisoned = {name for name, version in steps[-1].items() if version == "poison"}
    assert set(envoy.session.refused) == {
        (kind, name) for kind in (Kind.CLUSTER, Kind.SCOPE) for name in poisoned
    }


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.dictionaries(NAMES, st.sampled_from("12")), min_size=1, max_size=6))
async def test_so_does_one_whose_endpoints_move(steps):
    moving = frozenset({"n0", "n1", "n2"})
    envoy = PlayedEnvoy(moving)
    envoy.start()
    await envoy.follow(*(snapshot(number, step, moving) for number, step in enumerate(steps)))
    assert envoy.held[Kind.CLUSTER] == envoy.held[Kind.SCOPE] == steps[-1]
    assert envoy.held[Kind.ENDPOINTS] == {n: v for n, v in steps[-1].items() if n in moving}


async def test_one_that_returns_is_told_only_what_has_changed():
    moving = frozenset({"tcp"})
    before = {kind: {"same": "1", "old": "1", "gone": "1"} for kind in (Kind.CLUSTER, Kind.SCOPE)}
    before[Kind.CLUSTER]["tcp"] = before[Kind.SCOPE]["tcp"] = "1"
    envoy = PlayedEnvoy(moving, {**before, Kind.ENDPOINTS: {"tcp": "1"}})
    envoy.start()
    await envoy.follow(snapshot(0, {"same": "1", "old": "2", "new": "1", "tcp": "1"}, moving))
    assert [told for told in envoy.sent if told[1] or told[2]] == [
        (Kind.CLUSTER, ["old", "new"], []),
        (Kind.SCOPE, ["old", "new"], []),
        (Kind.SCOPE, [], ["gone"]),
        (Kind.CLUSTER, [], ["gone"]),
    ]


async def test_a_route_is_sent_after_its_cluster_and_removed_before_it():
    envoy = PlayedEnvoy()
    envoy.start()
    await envoy.follow(snapshot(0, {"a": "1"}))
    envoy.sent.clear()
    await envoy.follow(snapshot(1, {"b": "1"}))
    assert envoy.sent == [
        (Kind.CLUSTER, ["b"], []),
        (Kind.SCOPE, ["b"], []),
        (Kind.SCOPE, [], ["a"]),
        (Kind.CLUSTER, [], ["a"]),
    ]


async def test_what_is_refused_is_isolated_and_not_offered_again():
    envoy = PlayedEnvoy()
    envoy.start()
    versions = {f"n{number}": "1" for number in range(16)} | {"n7": "poison"}
    await envoy.follow(snapshot(0, versions))
    assert set(envoy.held[Kind.CLUSTER]) == set(versions) - {"n7"}
    assert envoy.session.refused[Kind.SCOPE, "n7"] == ("poison", "poison")
    envoy.sent.clear()
    await envoy.follow(snapshot(1, {**versions, "n1": "2"}))
    assert [told[1] for told in envoy.sent] == [["n1"], ["n1"]]


async def test_until_something_is_wanted_nothing_is_said():
    envoy = PlayedEnvoy(held={kind: {"a": "1"} for kind in Kind})
    envoy.start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await envoy.session.run()
    assert envoy.sent == []
