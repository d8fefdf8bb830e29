"""Bodies, streams and sockets pass through the platform's port as they come."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.platform import EXAMPLES, KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
MEGABYTE = 2**20
PAUSE = 0.01  # seconds: four callers without one would meet the limit of an environment


@pytest.fixture(scope="module")
def orders(platform: Platform) -> dict[str, Any]:
    """The FastAPI example on private."""
    made = platform.cs("service:create", "orders", "--dir", str(EXAMPLES / "orders"))
    deployment: dict[str, Any] = made["environments"]["private"]
    return deployment


def client(deployment: dict[str, Any]) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=deployment["url"], headers={KEY: deployment["key"] or ""}, timeout=30, verify=False
    )


async def test_an_ordinary_application_keeps_its_data(orders: dict[str, Any]) -> None:
    line = {"product": "tea", "quantity": 2, "price": "3.50"}
    async with client(orders) as web:
        created = await web.post("/orders", json={"customer": "Ada", "lines": [line]})
        assert created.status_code == 201, created.text
        found = await web.get(f"/orders/{created.json()['id']}")
        assert found.json()["total"] == "7.00"
        missing = await web.get("/orders/999999")
        assert missing.status_code == 404
        assert missing.json() == {"detail": missing.json()["detail"]}  # the service's own words


async def test_a_large_body_comes_back_whole_while_it_is_sent(orders: dict[str, Any]) -> None:
    body = bytes(range(256)) * (5 * MEGABYTE // 256)
    async with client(orders) as web:
        answer = await web.post("/echo", content=body)
    assert answer.content == body


async def test_a_body_is_answered_before_its_end_is_sent(orders: dict[str, Any]) -> None:
    """Nobody on the way waits for the whole of it."""
    reader, writer = await asyncio.open_connection(*place(orders))
    path = "/" + orders["url"].rsplit("/", 1)[1] + "/echo"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\n{KEY}: {orders['key']}\r\ncontent-length: 10\r\n\r\n"
    )
    writer.write(head.encode() + b"first")
    async with asyncio.timeout(10):
        seen = await reader.readuntil(b"first")
        assert b"200 OK" in seen
        writer.write(b"secnd")
        assert await reader.readuntil(b"secnd")
    writer.close()


async def test_events_arrive_one_by_one(orders: dict[str, Any]) -> None:
    arrivals = []
    async with client(orders) as web, web.stream("GET", "/stream?n=3&seconds=0.5") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                arrivals.append(time.monotonic())
    assert len(arrivals) == 3
    assert arrivals[2] - arrivals[0] > 0.5


async def test_a_websocket_speaks_both_ways(orders: dict[str, Any]) -> None:
    url = orders["url"].replace("http:", "ws:") + "/ws"
    async with connect(url, additional_headers={KEY: orders["key"]}) as socket:
        for text in ("one", "two"):
            await socket.send(text)
            assert await socket.recv() == text


async def test_a_node_server_has_the_same_promises(platform: Platform) -> None:
    folder = platform.copy("inbox")
    made = platform.cs("service:create", "inbox", "--dir", str(folder))
    private = made["environments"]["private"]
    async with client(private) as web:
        async with web.stream("GET", "/events") as watching:
            lines = watching.aiter_lines()
            assert await anext(lines) == ": watching"
            assert (await web.post("/hooks/a", content=b"hello")).status_code == 202
            async for line in lines:
                if line.startswith("data:"):
                    assert '"body":"hello"' in line
                    break
        refused = await web.get("/health", headers={KEY: "wrong"})
        assert refused.status_code == 403
    await pushed_without_a_lost_request(platform, str(folder), private)


async def pushed_without_a_lost_request(
    platform: Platform, folder: str, deployment: dict[str, Any]
) -> None:
    done = asyncio.Event()

    async def call() -> set[int]:
        statuses: set[int] = set()
        async with client(deployment) as web:
            while not done.is_set():
                statuses.add((await web.get("/health")).status_code)
                await asyncio.sleep(PAUSE)
        return statuses

    callers = [asyncio.create_task(call()) for _ in range(4)]
    try:
        for _ in range(3):
            await asyncio.to_thread(platform.cs, "push", "--dir", folder)
    finally:
        done.set()
    for statuses in await asyncio.gather(*callers):
        assert statuses == {200}


async def test_what_is_not_there_is_told_as_a_problem(
    platform: Platform, orders: dict[str, Any]
) -> None:
    base = f"http://127.0.0.1:{platform.port}"
    async with httpx.AsyncClient(verify=False) as web:
        for path in ("/" + "0" * 32, "/" + "0" * 32 + "/graphql", "/nothing/here"):
            answer = await web.get(base + path)
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert answer.json()["status"] == 404


def place(deployment: dict[str, Any]) -> tuple[str, int]:
    url = httpx.URL(deployment["url"])
    return url.host, url.port or 80
