"""What is counted of each way a request can end. Envoy's counters were chosen by these cases."""

import asyncio
import dataclasses

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import unix_serve

from codestore.domain.routing import Endpoint, Limits, Split
from tests.gateway.conftest import Moody, answer
from tests.gateway.looking import at_rest, counted

A, B = "a" * 32, "b" * 32
PATIENCE = 20.0


@pytest.fixture(autouse=True)
async def counting(stage):
    """Counting begins with the first look."""
    await stage.gateway.traffic.reading([])


@pytest.mark.parametrize(
    ("path", "seen", "answers", "failures"),
    [
        ("200", 200, {"2xx": 1}, 0),
        ("302", 302, {"3xx": 1}, 0),
        ("404", 404, {"4xx": 1}, 0),
        ("429", 429, {"4xx": 1}, 0),
        ("500", 500, {"5xx": 1}, 1),
        ("503", 503, {"5xx": 1}, 1),
        ("cut", 503, {"5xx": 1}, 1),
        ("junk", 502, {"5xx": 1}, 1),
        ("silent", 504, {"5xx": 1}, 1),
    ],
)
async def test_an_answer_counts_once_by_its_class(
    stage, moody, make_route, path, seen, answers, failures
):
    limits = Limits(idle_timeout=0.1 if path == "silent" else 5)
    await stage.gateway.publish(make_route("a", moody.address, limits=limits))
    assert (await stage.client.get(f"/{A}/{path}")).status_code == seen
    found = await counted(stage)
    assert (found.requests, found.answers, found.failures) == (1, answers, failures)
    assert found.active == 0


async def test_each_of_many_that_wait_in_vain_is_counted(stage, moody, make_route):
    limits = Limits(idle_timeout=0.1)
    await stage.gateway.publish(make_route("a", moody.address, limits=limits))
    asked = [stage.client.get(f"/{A}/silent") for _ in range(60)]
    assert {response.status_code for response in await asyncio.gather(*asked)} == {504}
    assert (await counted(stage)).failures == 60


async def test_whoever_cannot_reach_anybody_counts_as_one_failure_however_often_it_is_tried(
    stage, make_route
):
    for number, address in enumerate([f"unix:{stage.folder}/nobody", "tcp://127.0.0.1:1"]):
        await stage.gateway.publish(make_route("a", address))
        assert (await stage.client.get(f"/{A}/x")).status_code == 503
        found = await counted(stage)
        assert (found.requests, found.failures) == (number + 1, number + 1)


async def test_a_second_try_that_succeeds_is_no_failure(stage, make_route):
    service = await stage.service("a", tcp=True)
    await stage.gateway.publish(make_route("a", service.address, "tcp://127.0.0.1:1"))
    seen = [(await stage.client.get(f"/{A}/x")).status_code for _ in range(40)]
    found = await counted(stage)
    # Whoever comes to the one that is not there three times in a row is not served.
    assert found.answers.get("2xx", 0) == seen.count(200) > 20
    assert (found.requests, found.failures) == (40, seen.count(503))


async def test_an_answer_that_breaks_off_was_an_answer(stage, moody, make_route):
    await stage.gateway.publish(make_route("a", moody.address))
    reader, writer = await stage.streams()
    writer.write(f"GET /{A}/half HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert (await reader.read()).endswith(b"half")
    writer.close()
    found = await counted(stage)
    assert (found.requests, found.failures, found.answers) == (1, 0, {"2xx": 1})


@pytest.mark.parametrize("sent", [b"GET", b"POST"], ids=["waiting", "still sending"])
async def test_a_client_that_leaves_is_no_failure_of_ours(stage, moody, make_route, sent):
    await stage.gateway.publish(make_route("a", moody.address))
    _, writer = await stage.streams()
    more = b"content-length: 10\r\n\r\nabc" if sent == b"POST" else b"\r\n"
    writer.write(sent + f" /{A}/silent HTTP/1.1\r\nhost: x\r\n".encode() + more)
    await moody.arrived.get()
    assert await stage.gateway.traffic.loads([A]) == {A: 1}
    writer.close()
    await at_rest(stage)
    found = await counted(stage)
    assert (found.requests, found.failures) == (0, 0)


async def test_a_client_that_stops_sending_is_told_so_and_is_no_failure_of_ours(
    stage, moody, make_route
):
    limits = Limits(idle_timeout=0.1)
    await stage.gateway.publish(make_route("a", moody.address, limits=limits))
    head, _ = await stage.raw(
        f"POST /{A}/silent HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc".encode()
    )
    assert head.split(" ")[1] == "408"
    assert (await counted(stage)).requests == 0


async def test_whoever_the_gateway_refuses_is_not_counted(stage, moody, make_route):
    limits = Limits(rate=0.5, max_body=10)
    await stage.gateway.publish(make_route("a", moody.address, keys=("k",), limits=limits))
    key = {"x-user-authorization": "k"}
    assert (await stage.client.get(f"/{A}/200")).status_code == 401
    too_large = await stage.client.post(f"/{A}/200", headers=key, content=b"x" * 11)
    assert too_large.status_code == 413
    found = [await stage.client.get(f"/{A}/200", headers=key) for _ in range(4)]
    assert [response.status_code for response in found] == [200, 200, 429, 429]
    told = await counted(stage)
    assert (told.requests, told.answers) == (2, {"2xx": 2})
    assert told.refused == {"too_many_requests": 2}
    assert len(told.sources) == 1


async def test_refusals_go_on_being_counted_when_limits_change_and_are_each_deployments_own(
    stage, moody, make_route
):
    def route(name, rate):
        return make_route(name, moody.address, limits=Limits(rate=rate))

    async def refused(name):
        return (await counted(stage, name * 32)).refused

    await stage.gateway.publish(route("a", 0.25))
    await stage.gateway.publish(route("b", 0.25))
    for _ in range(3):
        await stage.client.get(f"/{A}/200")
    await stage.client.get(f"/{B}/200")
    assert (await refused("a"), await refused("b")) == ({"too_many_requests": 2}, {})
    for rate in (0.2, None, 0.25):
        await stage.gateway.publish(route("a", rate))
        assert await refused("a") == {"too_many_requests": 2}
    for _ in range(2):
        await stage.client.get(f"/{A}/200")
    assert await refused("a") == {"too_many_requests": 3}


async def test_one_request_too_many_is_no_failure(stage, moody, make_route):
    await stage.gateway.publish(make_route("a", moody.address, limits=Limits(max_requests=1)))
    slow = asyncio.create_task(stage.client.get(f"/{A}/slow"))
    await moody.arrived.get()
    for _ in range(3):
        assert (await stage.client.get(f"/{A}/200")).status_code == 429
    found = await counted(stage)
    assert (found.requests, found.failures, found.answers, found.active) == (0, 0, {}, 1)
    assert found.refused == {"too_busy": 3}
    moody.go_on.set()
    await slow
    assert (await stage.client.get(f"/{A}/500")).status_code == 500
    found = await counted(stage)
    assert (found.requests, found.failures, found.answers) == (2, 1, {"2xx": 1, "5xx": 1})


async def test_a_websocket_counts_when_it_opens_and_is_under_way_until_it_closes(stage, make_route):
    async def quiet(socket):
        await socket.wait_closed()

    async with unix_serve(quiet, str(stage.folder / "ws")):
        await stage.gateway.publish(make_route("a", f"unix:{stage.folder}/ws"))
        async with connect(f"ws://127.0.0.1:{stage.settings.port}/{A}/x", proxy=None):
            assert (await counted(stage)).active == 1
            assert await stage.gateway.traffic.loads([A]) == {A: 1}
        await at_rest(stage)
        found = await counted(stage)
        assert (found.requests, found.failures, found.answers) == (1, 0, {"1xx": 1})


async def test_what_is_under_way_is_told_by_deployment_with_its_split(stage, moody, make_route):
    new = Moody()
    service = await stage.service("new", new)
    route = make_route("a", moody.address)
    await stage.gateway.publish(make_route("b", moody.address))
    await stage.gateway.publish(route)
    tasks = [asyncio.create_task(stage.client.get(f"/{A}/slow")) for _ in range(2)]
    for _ in tasks:
        await moody.arrived.get()
    split = Split(100, 2, (Endpoint(service.address),))
    await stage.gateway.publish(dataclasses.replace(route, split=split))
    tasks.append(asyncio.create_task(stage.client.get(f"/{A}/slow")))
    await new.arrived.get()
    assert await stage.gateway.traffic.loads([A, B]) == {A: 3}
    assert await stage.gateway.traffic.loads([B]) == {}
    assert await stage.gateway.traffic.loads([]) == {}
    assert await stage.gateway.traffic.active(A) == {moody.address: 2, service.address: 1}
    assert (await counted(stage)).active == 3
    for mood in (moody, new):
        mood.go_on.set()
    await asyncio.gather(*tasks)
    assert await stage.gateway.traffic.loads([A, B]) == {}


async def test_durations_are_told_in_seconds(stage, make_route):
    async def slow(request, reader, writer):
        await asyncio.sleep(0.06)
        writer.write(answer(b""))

    service = await stage.service("a", slow)
    await stage.gateway.publish(make_route("a", service.address))
    for _ in range(3):
        await stage.client.get(f"/{A}/x")
    async with asyncio.timeout(PATIENCE):
        while not (found := await counted(stage)).durations or not found.durations[-1][1]:
            await asyncio.sleep(0.1)  # Envoy adds them up every five seconds
    durations = dict(found.durations)
    assert durations[0.05] == 0
    assert durations[float("inf")] == 3
    assert [*durations] == sorted(durations)
    assert 0.18 <= found.total < 1.5


async def test_with_a_promise_nobody_there_is_a_failure_that_says_why(stage, make_route):
    why = 'The build failed: "x"\nis 100% wrong'
    for promised, expected in [(False, 0), (True, 2)]:
        await stage.gateway.publish(
            make_route("a", keys=("k",), unavailable=why, promised=promised)
        )
        for path in (f"/{A}", f"/{A}/x"):
            response = await stage.get(path, x_user_authorization="k")
            assert response.status_code == 503
            assert response.json()["detail"] == why
            assert response.json()["code"] == "unavailable"
            assert response.headers["retry-after"] == "1"
            assert (await stage.get(path)).status_code == 401
        found = await counted(stage)
        assert (found.requests, found.failures) == (expected, expected)


async def test_nobody_can_claim_to_be_led_nowhere(stage, make_route):
    await stage.gateway.publish(make_route("a"))
    response = await stage.get(f"/{A}/x", x_forwarded_prefix="nobody")
    assert response.json()["detail"] == "The service could not be reached."
