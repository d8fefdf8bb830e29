"""How often the API may be asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codestore.api.rates import BURST, GUESSES, Buckets, Rates
from tests.api.stage import Stage, token_of

RATE = 10.0
ROOM, GUESSED = int(RATE * BURST), int(RATE * BURST * GUESSES)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_bucket_holds_a_burst_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(RATE, now=clock)
    assert [buckets.take("a") for _ in range(ROOM)] == [0] * ROOM
    assert buckets.take("a") == pytest.approx(0.1)
    assert buckets.take("a") == pytest.approx(0.1)  # who is refused does not wait for longer
    assert buckets.take("b") == 0
    clock.time += 0.1
    assert buckets.take("a") == 0
    assert buckets.take("a") == pytest.approx(0.1)
    clock.time += 1e6
    assert [buckets.take("a") for _ in range(ROOM + 1)] == [0] * ROOM + [pytest.approx(0.1)]


def test_a_rate_below_one_lets_one_in() -> None:
    clock = Clock()
    buckets = Buckets(0.1, now=clock)
    assert buckets.take("a") == 0
    assert buckets.take("a") == pytest.approx(10)


def test_however_many_come_only_so_many_are_remembered() -> None:
    buckets = Buckets(RATE, kept=3, now=Clock())
    for key in "abcabd":
        buckets.take(key)
    assert [key for key in "abcd" if key in buckets] == ["a", "b", "d"]


@asynccontextmanager
async def asking(stage: Stage, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(stage.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://platform", headers=headers
    ) as web:
        yield web


@pytest.fixture
def slow(stage: Stage) -> Stage:
    """The same stage, where a token is good for little, and time stands still."""
    stage.app = Rates(stage.app, RATE, Clock())  # type: ignore[assignment]
    return stage


async def statuses(web: httpx.AsyncClient, count: int, path: str = "/api/services") -> list[int]:
    return [(await web.get(path)).status_code for _ in range(count)]


async def test_a_token_that_asks_too_often_is_told_when_to_come_back(slow: Stage) -> None:
    async with slow.client("ada") as ada, slow.client("bob") as bob:
        assert await statuses(ada, ROOM) == [200] * ROOM
        assert await statuses(ada, 2) == [429, 429]
        refused = await ada.get("/api/services")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["code"] == "too_many_requests"
        assert refused.json()["status"] == 429
        assert (await bob.get("/api/services")).status_code == 200


async def test_guessing_tokens_is_slow_from_one_address_and_in_nobodys_way(slow: Stage) -> None:
    async with slow.client("ada") as ada:
        ada.headers["x-forwarded-for"] = "192.0.2.1"
        assert await statuses(ada, 1) == [200]
        async with asking(slow, **{"x-forwarded-for": "192.0.2.1"}) as guesser:
            for number in range(GUESSED + 2):
                guesser.headers["authorization"] = f"Bearer guess-{number}"
                last = (await guesser.get("/api/services")).status_code
            assert last == 429
            # Not even the right one would be tried now, but one that was good before stays good.
            guesser.headers["authorization"] = f"Bearer {token_of('bob')}"
            assert await statuses(guesser, 1) == [429]
            guesser.headers["x-forwarded-for"] = "192.0.2.2"
            assert await statuses(guesser, 1) == [200]
        assert await statuses(ada, 1) == [200]


async def test_a_claimed_address_before_the_gateways_own_is_no_new_bucket(slow: Stage) -> None:
    async with asking(slow) as web:
        for number in range(GUESSED + 2):
            web.headers["x-forwarded-for"] = f"203.0.113.{number}, 192.0.2.1"
            last = (await web.get("/docs")).status_code
        assert last == 429


async def test_a_network_of_the_new_kind_is_one_address(slow: Stage) -> None:
    async with asking(slow) as web:
        for number in range(GUESSED + 2):
            web.headers["x-forwarded-for"] = f"2001:db8:1:2::{number:x}"
            last = (await web.get("/docs")).status_code
        assert last == 429
        web.headers["x-forwarded-for"] = "2001:db8:1:3::1"
        assert await statuses(web, 1, "/docs") == [200]


async def test_a_token_that_is_good_no_more_is_counted_as_a_guess() -> None:
    told = [200] + [401] * ROOM

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=told.pop(0))(scope, receive, send)

    transport = httpx.ASGITransport(Rates(app, RATE, Clock()))
    headers = {"authorization": "Bearer t"}
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as web:
        assert await statuses(web, GUESSED + 3) == [200] + [401] * GUESSED + [429] * 2
