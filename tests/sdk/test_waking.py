"""The first answer after a wake tells what the wake took, and no other does."""

import re
import signal
import time
from pathlib import Path

import httpx
import pytest
from house import House, Instance, client
from websockets.sync.client import unix_connect

from codestore_sdk.responses import Responses
from codestore_sdk.waking import MEMORY, Wake

SERVE = ("asgi", "service:app")


def wake(answer: httpx.Response) -> float | None:
    """The milliseconds that the answer tells."""
    told = answer.headers.get("server-timing")
    if told is None:
        return None
    found = re.fullmatch(r"wake;dur=(\d+\.\d)", told)
    assert found, told
    return float(found[1])


def freeze(instance: Instance) -> None:
    instance.process.send_signal(signal.SIGSTOP)


def thaw(instance: Instance) -> None:
    instance.process.send_signal(signal.SIGCONT)


def test_the_first_answer_tells_how_long_its_request_waited(house: House, plain: Path) -> None:
    began = time.time()
    instance = house.ready(plain, *SERVE, WOKEN_AT=str(began - 2))
    with client(instance.private) as private:
        first, second = private.get("/"), private.get("/")
    waited = wake(first)
    assert waited is not None
    assert 2000 <= waited <= 2000 + (time.time() - began) * 1000
    assert wake(second) is None


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-inf", "1e999"])
def test_what_is_not_a_time_is_ignored_and_taken_away(text: str) -> None:
    environ = {"WOKEN_AT": text, "OTHER": "stays"}
    assert not Wake(environ).pending
    assert environ == {"OTHER": "stays"}


def test_a_clock_that_was_set_back_makes_no_wait_below_zero() -> None:
    assert Wake({"WOKEN_AT": str(time.time() + 60)}).take() == [(b"server-timing", b"wake;dur=0.0")]


def test_a_request_on_an_open_connection_that_met_it_frozen_tells(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, *SERVE)
    with client(instance.private, connections=1) as private:
        assert wake(private.get("/")) is None
        for _ in range(20):
            freeze(instance)
            request = private.build_request("GET", "/")
            waited = wake(_thawing_when_sent(instance, private, request))
            assert waited is not None and waited < MEMORY * 1000
            assert wake(private.get("/")) is None


def _thawing_when_sent(
    instance: Instance, visitor: httpx.Client, request: httpx.Request
) -> httpx.Response:
    def thaw_now(name: str, _info: object) -> None:
        if name == "http11.receive_response_headers.started":
            thaw(instance)

    request.extensions["trace"] = thaw_now
    return visitor.send(request)


def test_a_mark_that_nobody_called_for_lapses(
    house: House, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    before = signal.getsignal(signal.SIGCONT)
    found = Wake({})
    found.notice_thaws()
    try:
        signal.raise_signal(signal.SIGCONT)
        now += MEMORY + 0.01
        assert (found.pending, found.take(), found.pending) == (True, [], False)
        signal.raise_signal(signal.SIGCONT)
        now += 0.25
        assert found.take() == [(b"server-timing", b"wake;dur=250.0")]
    finally:
        signal.signal(signal.SIGCONT, before)


def test_a_websocket_takes_the_mark_away(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE, WOKEN_AT=str(time.time()))
    with unix_connect(str(instance.private), "ws://service/") as connection:
        connection.send("hello")
        assert connection.recv() == "hello"
    with client(instance.private) as private:
        assert wake(private.get("/")) is None


async def test_the_applications_own_timing_stays_beside_it() -> None:
    sent = []

    async def app(_scope: object, _receive: object, send: object) -> None:
        headers = [(b"server-timing", b"db;dur=1.0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: object) -> None:
        sent.append(message)

    responses = Responses(app, Wake({"WOKEN_AT": str(time.time() + 60)}))
    await responses({"type": "lifespan"}, None, send)
    await responses({"type": "http"}, None, send)
    await responses({"type": "http"}, None, send)
    own = (b"server-timing", b"db;dur=1.0")
    assert [message["headers"] for message in sent[1:]] == [
        [own, (b"server-timing", b"wake;dur=0.0")],
        [own],
    ]
