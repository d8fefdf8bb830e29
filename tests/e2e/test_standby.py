"""Nothing runs until it is asked for, and the first caller hardly notices."""

import asyncio
import concurrent.futures
import hashlib
import os
import signal
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from tests.e2e.services import api, until
from tests.e2e.sleeper import PATIENCE, Sleeper
from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("standby")]


@pytest.fixture(scope="module")
def own() -> Iterator[Platform]:
    """A platform whose processes may be stopped and killed."""
    made = Platform(hurried=True)
    try:
        made.up()
        yield made
    finally:
        made.close()


def test_it_is_frozen_then_stopped_and_wakes_from_both(platform: Platform) -> None:
    sleeper = Sleeper(platform, "rests", standby=2, stop=6)
    first = sleeper.call()
    assert "server-timing" not in first.headers
    frozen = sleeper.asleep("frozen")
    told = sleeper.info()
    assert (told["state"], told["standby"]["depth"]) == ("standby", "frozen")
    woken = sleeper.call()
    assert woken.json()["name"] == first.json()["name"]
    assert woken.headers["server-timing"].startswith("wake;dur=")
    again = sleeper.call()
    assert "server-timing" not in again.headers
    assert "it was frozen" in sleeper.happened("woken", frozen)["message"]

    stopped = sleeper.asleep("stopped", frozen)
    assert sleeper.processes() == []
    told = sleeper.info()
    assert (told["state"], told["instances"], told["standby"]["depth"]) == ("standby", 0, "stopped")
    assert "no process is left" in told["reason"] and told["since"]
    started = sleeper.call()
    assert started.json()["name"] != first.json()["name"]
    assert started.headers["server-timing"].startswith("wake;dur=")
    assert "it was stopped" in sleeper.happened("woken", stopped)["message"]
    told = sleeper.info()
    assert {depth: held["count"] for depth, held in told["wakes"].items()} == {
        "frozen": 1,
        "stopped": 1,
    }
    assert told["state"] == "ready"


def test_who_may_not_call_wakes_nobody(platform: Platform) -> None:
    sleeper = Sleeper(platform, "guarded")
    stopped = sleeper.asleep("stopped")
    base = f"http://127.0.0.1:{platform.port}"
    assert sleeper.call(headers={}).status_code == 401
    assert sleeper.call(headers={KEY: "wrong"}).status_code == 403
    assert httpx.get(f"{base}/{'0' * 32}/x", verify=False).status_code == 404
    assert httpx.get(f"{base}/nothing/here", verify=False).status_code == 404
    assert sleeper.info()["state"] == "standby"
    assert sleeper.call().status_code == 200  # the first thing that happens after all of that
    following = sleeper.happened("woken", stopped)
    with api(platform) as web:
        query = {"service": "guarded", "environment": "private", "after": stopped}
        events = web.get("/api/events", params=query).json()["items"]
    mine = [event["sequence"] for event in events if event["environment"] == "private"]
    assert mine[0] == following["sequence"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_method_wakes_it_with_its_whole_body(platform: Platform, method: str) -> None:
    sleeper = Sleeper(platform, f"any-{method.lower()}")
    sleeper.asleep("stopped")
    body = os.urandom(3 * 1024 * 1024)
    told = sleeper.call(method=method, content=body).json()
    assert (told["method"], told["sha256"]) == (method, hashlib.sha256(body).hexdigest())


def test_a_kept_connection_and_http_2_wake_it(platform: Platform) -> None:
    sleeper = Sleeper(platform, "kept")
    with httpx.Client(headers=sleeper.headers, timeout=PATIENCE, verify=False) as web:
        web.get(sleeper.place["url"])
        after = sleeper.asleep("stopped")
        assert web.get(sleeper.place["url"]).status_code == 200
        after = sleeper.asleep("frozen", after)
        assert web.get(sleeper.place["url"]).status_code == 200
    sleeper.asleep("stopped", after)
    with httpx.Client(
        headers=sleeper.headers, timeout=PATIENCE, http1=False, http2=True, verify=False
    ) as web:
        answer = web.post(sleeper.place["url"], content=b"x" * 100_000)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


async def test_a_websocket_wakes_it_and_keeps_it_awake(platform: Platform) -> None:
    sleeper = await asyncio.to_thread(Sleeper, platform, "talks")
    stopped = await asyncio.to_thread(sleeper.asleep, "stopped")
    url = sleeper.place["url"].replace("http:", "ws:")
    async with connect(f"{url}/socket", additional_headers=sleeper.headers) as web:
        await web.send("hello")
        assert await web.recv() == "hello"
        woken = await asyncio.to_thread(sleeper.happened, "woken", stopped)
        await asyncio.to_thread(sleeper.undisturbed, woken["sequence"], 3)
        await web.send("still there")
        assert await web.recv() == "still there"
    await asyncio.to_thread(sleeper.asleep, "frozen", stopped)


def test_a_stream_keeps_it_awake(platform: Platform) -> None:
    sleeper = Sleeper(platform, "streams")
    frozen = sleeper.asleep("frozen")
    url = f"{sleeper.place['url']}/events"
    with httpx.stream(
        "GET", url, headers=sleeper.headers, timeout=PATIENCE, verify=False
    ) as stream:
        chunks = stream.iter_bytes()  # held, or it would be closed with the stream
        assert next(chunks) == b"begun"
        woken = sleeper.happened("woken", frozen)
        sleeper.undisturbed(woken["sequence"], 3)  # three times its idle time
    sleeper.asleep("frozen", woken["sequence"])


async def test_two_hundred_callers_are_one_wake(platform: Platform) -> None:
    sleeper = await asyncio.to_thread(Sleeper, platform, "crowd")
    stopped = await asyncio.to_thread(sleeper.asleep, "stopped")
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        headers=sleeper.headers, timeout=PATIENCE, limits=limits, verify=False
    ) as web:
        bodies = [str(number).encode() for number in range(200)]
        calls = (web.post(sleeper.place["url"], content=body) for body in bodies)
        answers = await asyncio.gather(*calls)
    digests = [answer.json()["sha256"] for answer in answers]
    assert digests == [hashlib.sha256(body).hexdigest() for body in bodies]
    assert len({answer.json()["name"] for answer in answers}) == 1
    await asyncio.to_thread(sleeper.happened, "woken", stopped)
    told = await asyncio.to_thread(sleeper.info)
    assert told["wakes"]["stopped"]["count"] == 1


@pytest.mark.parametrize("depth", ["frozen", "stopped"])
async def test_a_command_is_woken_as_well(platform: Platform, depth: str) -> None:
    """It listens on a port of its own; until it does, callers wait at the platform's socket."""
    stop = 60 if depth == "frozen" else 1
    sleeper = await asyncio.to_thread(Sleeper, platform, f"node-{depth}", 1, stop, True)
    asleep = await asyncio.to_thread(sleeper.asleep, depth)
    async with httpx.AsyncClient(headers=sleeper.headers, timeout=PATIENCE, verify=False) as web:
        bodies = [os.urandom(100_000) for _ in range(50)]
        calls = (web.post(sleeper.place["url"], content=body) for body in bodies)
        answers = await asyncio.gather(*calls)
        digests = [answer.json()["sha256"] for answer in answers]
        assert digests == [hashlib.sha256(body).hexdigest() for body in bodies]
        assert len({answer.json()["name"] for answer in answers}) == 1
        told = [answer.headers["server-timing"] for answer in answers if _timed(answer)]
        assert len(told) == 1 and told[0].startswith("wake;dur=")
        woken = await asyncio.to_thread(sleeper.happened, "woken", asleep, f"it was {depth}")
        again = await web.get(sleeper.place["url"])
        assert "server-timing" not in again.headers
    await asyncio.to_thread(sleeper.asleep, depth, woken["sequence"])
    sleeper.marker.touch()
    if depth == "stopped":
        answer = await asyncio.to_thread(sleeper.call)
        assert (answer.status_code, answer.json()["code"]) in (
            (503, "wake_failed"),
            (503, "unavailable"),
        )


def test_a_wake_that_fails_tells_everybody_why_and_can_be_mended(platform: Platform) -> None:
    sleeper = Sleeper(platform, "broken")
    stopped = sleeper.asleep("stopped")
    sleeper.marker.touch()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: sleeper.call(), range(20)))
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert answer.headers["content-type"] == "application/problem+json"
    reasons = {answer.json()["detail"] for answer in answers}
    assert "The service did not start: exit code 1." in reasons
    failed = sleeper.happened("wake_failed", stopped)
    assert failed["problem"]["code"] == "wake_failed"
    logs = platform.run("logs", "-s", "broken", "-e", "private", "-n", "200").stdout
    assert "what it needs is not there" in logs and "The service did not start" in logs
    sleeper.marker.unlink()
    # Its back-off is over; and it sleeps again soon.
    until(lambda: sleeper.call().status_code == 200 and sleeper.info()["state"] == "ready")


def test_a_service_that_always_crashes_is_not_started_over_and_over(platform: Platform) -> None:
    sleeper = Sleeper(platform, "storm")
    stopped = sleeper.asleep("stopped")
    sleeper.marker.touch()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        answer = sleeper.call()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    query = {"service": "storm", "environment": "private", "after": stopped, "limit": 500}
    with api(platform) as web:
        events = web.get("/api/events", params=query).json()["items"]
    starts = [event for event in events if event["kind"] == "instance_ended"]
    assert 1 <= len(starts) <= 6  # at once, then after 0.5 s, 1 s, 2 s, …


async def test_the_queue_is_bounded_and_the_rest_is_refused_at_once(own: Platform) -> None:
    """A start that takes its time: a thousand may wait, the others hear so at once."""
    sleeper = await asyncio.to_thread(Sleeper, own, "queue")
    await asyncio.to_thread(sleeper.asleep, "stopped")
    pid = own.status()["processes"]["keeper"]
    place = httpx.URL(sleeper.place["url"])
    head = f"GET {place.path} HTTP/1.1\r\nhost: x\r\n{KEY}: {sleeper.place['key']}\r\n\r\n".encode()

    async def call() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
        writer.write(head)
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    os.kill(pid, signal.SIGSTOP)  # who would wake it is held up
    try:
        calls = [asyncio.create_task(call()) for _ in range(1200)]
        async with asyncio.timeout(PATIENCE):
            early = set[asyncio.Task[int]]()
            while len(early) < 199:
                done, _ = await asyncio.wait(
                    set(calls) - early, return_when=asyncio.FIRST_COMPLETED
                )
                early |= done
            assert {call.result() for call in early} == {503}
    finally:
        os.kill(pid, signal.SIGCONT)
    statuses = await asyncio.gather(*calls)
    assert 1000 <= statuses.count(200) <= 1001
    assert statuses.count(503) == 1200 - statuses.count(200)


def test_a_sleeping_service_takes_a_new_version(platform: Platform) -> None:
    sleeper = Sleeper(platform, "renewed")
    stopped = sleeper.asleep("stopped")
    (sleeper.small.folder / "app/more.py").write_text("")
    sleeper.small.push()
    assert sleeper.info()["state"] == "ready"
    sleeper.asleep("stopped", stopped)
    assert sleeper.call().status_code == 200
    assert sleeper.info()["version"] == "0.0.2"


def test_it_wakes_while_the_control_process_is_held_up(own: Platform) -> None:
    sleeper = Sleeper(own, "alone")
    sleeper.asleep("stopped")
    control = own.status()["processes"]["control"]
    os.kill(control, signal.SIGSTOP)
    try:
        assert sleeper.call(timeout=5).status_code == 200
    finally:
        os.kill(control, signal.SIGCONT)
    sleeper.happened("woken")
    until(lambda: sleeper.call().status_code == 200 and sleeper.info()["state"] == "ready")


def test_a_restart_wakes_nobody(own: Platform) -> None:
    sleeper = Sleeper(own, "through", stop=1)
    sleeper.asleep("stopped")
    own.run("down", timeout=60)
    own.up()
    keeper = psutil.Process(own.status()["processes"]["keeper"])
    running = [child for child in keeper.children(recursive=True) if _belongs(child, sleeper)]
    assert running == []
    assert sleeper.info()["state"] == "standby"
    assert sleeper.call().status_code == 200
    sleeper.asleep("stopped", sleeper.happened("woken")["sequence"])
    keeper = psutil.Process(own.status()["processes"]["keeper"])
    keeper.kill()
    psutil.wait_procs([keeper], timeout=PATIENCE)
    own.up()
    assert sleeper.info()["state"] == "standby"
    assert sleeper.call().status_code == 200


def test_a_frozen_command_wakes_after_the_control_process_was_killed(own: Platform) -> None:
    sleeper = Sleeper(own, "orphan", stop=60, command=True)
    frozen = sleeper.asleep("frozen")
    os.kill(own.status()["processes"]["control"], signal.SIGKILL)
    until(lambda: sleeper.info()["state"] == "standby")
    assert sleeper.call(timeout=5).status_code == 200
    sleeper.happened("woken", frozen)


@pytest.mark.parametrize("command", [False, True])
def test_a_push_that_fails_leaves_a_frozen_service_as_it_was(
    platform: Platform, command: bool
) -> None:
    sleeper = Sleeper(platform, f"keeps-{command}".lower(), stop=60, command=command)
    frozen = sleeper.asleep("frozen")
    broken = {"server__py": "raise SystemExit(5)"}
    rest = (sleeper.small.folder / "codestore.yaml").read_text().partition("\n")[2]
    sleeper.small.write(app="raise SystemExit(5)", rest=rest, **broken)
    sleeper.small.push_refused()
    assert sleeper.call(timeout=5).status_code == 200
    assert sleeper.info()["version"] == "0.0.1"
    sleeper.asleep("frozen", frozen)


def test_whoever_waits_for_a_service_that_dies_at_every_request_hears_so(
    platform: Platform,
) -> None:
    sleeper = Sleeper(platform, "deadly")
    sleeper.asleep("stopped")
    url = f"{sleeper.place['url']}/die"
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: sleeper.call(url=url, timeout=20), range(12)))
    assert {answer.status_code for answer in answers} == {503}
    assert all(answer.headers["retry-after"] for answer in answers)


def _timed(answer: httpx.Response) -> bool:
    return "server-timing" in answer.headers


def _belongs(process: psutil.Process, sleeper: Sleeper) -> bool:
    try:
        return str(sleeper.place["id"]) in process.cwd()
    except psutil.Error:
        return False
