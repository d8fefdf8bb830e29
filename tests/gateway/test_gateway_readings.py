"""What is told of a deployment as its clusters come and go, and as Envoy and we begin anew."""

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest

from codestore.domain.canary import Tally, Trial
from codestore.domain.faults import Fault, FaultKind
from codestore.domain.routing import Endpoint, Limits, Split
from codestore.gateway.traffic import EnvoyTraffic
from tests.gateway.loading import grown, load
from tests.gateway.looking import at_rest, counted

A, B = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
async def counting(stage):
    """Counting begins with the first look."""
    await stage.gateway.traffic.reading([])


async def test_a_split_is_counted_for_itself_and_with_its_deployment(stage, moody, make_route):
    old = await stage.service("old")
    route = make_route("a", old.address)
    await stage.gateway.publish(route)
    for _ in range(4):
        await stage.client.get(f"/{A}/200")
    split = Split(100, 2, (Endpoint(moody.address),))
    await stage.gateway.publish(dataclasses.replace(route, split=split))
    for path in ("200", "404", "500"):
        await stage.client.get(f"/{A}/{path}")
    found = await stage.gateway.traffic.split(A, 2)
    assert dataclasses.replace(found, run="") == Trial(requests=3, failures=1)
    found = await counted(stage)
    assert (found.requests, found.failures) == (7, 1)
    assert found.answers == {"2xx": 5, "4xx": 1, "5xx": 1}


async def test_counters_never_fall_when_a_route_changes(stage, moody, make_route):
    route = make_route("a", moody.address, promised=True)
    await stage.gateway.publish(route)
    changes = [
        route,
        dataclasses.replace(route, revision=1),
        dataclasses.replace(route, split=Split(100, 2, (Endpoint(moody.address),))),
        dataclasses.replace(route, revision=2),
        dataclasses.replace(route, limits=Limits(max_requests=7)),
        dataclasses.replace(route, unavailable="stopped"),
        dataclasses.replace(route, endpoints=(Endpoint(moody.address), Endpoint("unix:/x"))),
        dataclasses.replace(route, unavailable="stopped", promised=False),
        route,
    ]
    requests = failures = 0
    for change in changes:
        await stage.gateway.publish(change)
        for path in ("200", "404", "500"):
            status = (await stage.client.get(f"/{A}/{path}")).status_code
            if change.unavailable is None or change.promised:
                requests, failures = requests + 1, failures + (status >= 500)
        found = await counted(stage)
        assert (found.requests, found.failures) == (requests, failures)
        assert sum(found.answers.values()) == requests
    assert requests == 24


async def test_there_is_a_last_look_before_a_cluster_goes_or_its_like_comes(
    stage, moody, make_route
):
    route = make_route("a", moody.address)
    await counted(stage)
    for change in (
        route,
        dataclasses.replace(route, unavailable="stopped"),
        route,  # the same again, which counts under the same name
        dataclasses.replace(route, split=Split(100, 2, (Endpoint(moody.address),))),
        dataclasses.replace(route, revision=2),
    ):
        await stage.gateway.publish(change)
        for path in ("200", "404", "500"):
            await stage.client.get(f"/{A}/{path}")
    found = await counted(stage)
    assert (found.requests, found.failures) == (12, 4)
    assert found.answers == {"2xx": 4, "4xx": 4, "5xx": 4}


async def test_looks_that_overlap_are_taken_in_one_after_the_other():
    class SlowAdmin:
        """Counts each look as a request; the first of several takes longest."""

        def __init__(self):
            self.looks, self.pause = 0, 0.05

        def run(self):
            return "run"

        async def figures(self, hashes=None, kept=""):
            self.looks += 1
            figures, self.pause = {f"{A}-01234567": {"completed": self.looks}}, self.pause / 2
            await asyncio.sleep(self.pause)
            return figures

    traffic = EnvoyTraffic(SlowAdmin(), lambda: datetime.now(UTC))
    await traffic.reading([A])
    readings = await asyncio.gather(*(traffic.reading([A]) for _ in range(4)))
    assert [each.counters[A].requests for each in readings] == [1, 2, 3, 4]


async def test_counters_never_fall_under_load_either(stage, make_route):
    service = await stage.service("a")
    route = make_route("a", service.address)
    await stage.gateway.publish(route)
    last = await counted(stage)
    async with load(stage, f"/{A}/x") as seen:
        for revision in range(1, 16):
            split = Split(50, revision + 1, (Endpoint(service.address),))
            for change in (
                dataclasses.replace(route, revision=revision),
                dataclasses.replace(route, revision=revision, split=split),
            ):
                await stage.gateway.publish(change)
                await grown(seen, 40)
                found, *_ = await asyncio.gather(*(counted(stage) for _ in range(5)))
                assert found.requests >= last.requests
                assert all(found.answers[each] >= last.answers[each] for each in last.answers)
                last = found
    await at_rest(stage)
    # Envoy does not read all its counters at one moment: of a cluster that went after a look, one
    # may have been a little ahead of the other.
    final = await counted(stage)
    assert abs(final.requests - final.answers["2xx"]) <= 2 * 30
    # What happens between the last look at a cluster and its end is known to nobody.
    assert 0 <= len(seen) - (await counted(stage)).requests < len(seen) / 5


async def test_many_deployments_are_read_at_once(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    await stage.client.get(f"/{A}/x")
    hashes = [f"{number:032x}" for number in range(3_000)]  # too many to name
    reading = await stage.gateway.traffic.reading([*hashes, A])
    assert len(reading.counters) == 3_001
    assert reading.counters[A].requests == 1
    assert reading.counters[hashes[0]].requests == 0


async def test_an_epoch_ends_with_envoy_and_the_next_counts_from_its_start(
    stage, moody, make_route
):
    await stage.gateway.publish(make_route("a", moody.address))
    first = await stage.gateway.traffic.reading([A])
    await stage.client.get(f"/{A}/500")
    again = await stage.gateway.traffic.reading([A])
    assert (again.epoch, again.counters[A].failures) == (first.epoch, 1)
    stage.kill_envoy()
    await stage.start_envoy()
    for _ in range(2):
        await stage.client.get(f"/{A}/404")
    anew = await stage.gateway.traffic.reading([A])
    assert anew.epoch != first.epoch
    assert (anew.counters[A].requests, anew.counters[A].failures) == (2, 0)


async def test_an_epoch_ends_with_the_control_process_and_nothing_is_counted_twice(
    stage, moody, make_route
):
    routes = [make_route("a", moody.address, revision=1), make_route("b", moody.address)]
    for route in routes:
        await stage.gateway.publish(route)
        await stage.gateway.traffic.reading([A, B])
        await stage.client.get(f"/{route.hash}/500")
    first = await stage.gateway.traffic.reading([A, B])
    assert [first.counters[each].failures for each in (A, B)] == [1, 1]
    await stage.gateway.stop()
    await stage.new_gateway().start()
    await stage.gateway.restore(routes)
    await stage.gateway.settled()
    anew = await stage.gateway.traffic.reading([A])
    assert anew.epoch != first.epoch
    await stage.gateway.publish(dataclasses.replace(routes[0], revision=2))
    for path in ("404", "500", "500"):
        await stage.client.get(f"/{A}/{path}")
    await stage.client.get(f"/{B}/404")
    found = (await stage.gateway.traffic.reading([A, B])).counters
    assert (found[A].requests, found[A].failures) == (3, 2)
    assert (found[B].requests, found[B].failures) == (1, 0)


async def test_an_envoy_that_does_not_answer_is_unavailable(stage):
    traffic = stage.gateway.traffic
    stage.kill_envoy()
    for question in (
        lambda: traffic.active(A),
        lambda: traffic.loads([A]),
        lambda: traffic.split(A, 1),
        lambda: traffic.reading([A]),
    ):
        with pytest.raises(Fault) as fault:
            await question()
        assert fault.value.letter.kind is FaultKind.UNAVAILABLE
    stage.settings.admin_socket.unlink(missing_ok=True)
    with pytest.raises(Fault) as fault:
        await traffic.reading([A])
    assert fault.value.letter.kind is FaultKind.UNAVAILABLE


async def test_by_source_it_goes_on_when_the_control_process_is_another(stage, moody, make_route):
    route = make_route("a", moody.address, revision=1)
    await stage.gateway.publish(route)
    await stage.gateway.traffic.reading([A])
    await stage.client.get(f"/{A}/500")
    first = await stage.gateway.traffic.reading([A])
    await stage.gateway.publish(dataclasses.replace(route, revision=2))
    await stage.client.get(f"/{A}/404")
    second = await stage.gateway.traffic.reading([A])
    (name,) = first.counters[A].sources
    both = second.counters[A].sources
    assert both[name] == Tally(1, 1)  # what has gone is told still
    await stage.gateway.stop()
    await stage.new_gateway().start()
    await stage.client.get(f"/{A}/500")  # nobody looks meanwhile
    await stage.gateway.restore([dataclasses.replace(route, revision=2)])
    await stage.gateway.settled()
    third = await stage.gateway.traffic.reading([A])
    assert third.run == first.run
    (other,) = both.keys() - {name}
    assert third.counters[A].sources == {other: Tally(2, 1)}
