"""An instance proves itself, accepts, withdraws, drains and leaves, and loses no request."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from house import PATIENCE, House, client
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import unix_connect as asyncio_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect

SERVE = ("asgi", "service:app")


def waits(path: Path) -> bool:
    """Whether a request on this socket stays unanswered in the queue."""
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(0.2)
        visitor.connect(str(path))
        visitor.sendall(b"GET / HTTP/1.1\r\nhost: service\r\n\r\n")
        try:
            return not visitor.recv(1)
        except TimeoutError:
            return True


def test_a_ready_instance_answers_on_its_private_socket_only(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE)
    with client(instance.private) as private:
        assert private.get("/").json()["pid"] == instance.process.pid
    assert waits(house.shared)


def test_it_accepts_from_the_shared_socket_when_asked(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE)
    instance.accept()
    with client(house.shared) as shared:
        assert shared.get("/").json()["pid"] == instance.process.pid


def test_a_request_made_before_it_accepts_is_answered_once_it_does(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, *SERVE)
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(PATIENCE)
        visitor.connect(str(house.shared))
        visitor.sendall(b"GET / HTTP/1.1\r\nhost: service\r\n\r\n")
        instance.accept()
        assert visitor.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_withdrawn_it_keeps_its_connections_and_can_come_back(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE)
    instance.accept()
    with client(house.shared, connections=1) as shared:
        shared.get("/")
        instance.withdraw()
        assert shared.get("/").status_code == 200
        assert "connection" not in shared.get("/").headers
    assert waits(house.shared)
    instance.accept()
    with client(house.shared) as shared:
        assert shared.get("/").status_code == 200


def test_signals_during_the_start_are_remembered(house: House, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "import os, signal\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "async def app(scope, receive, send): raise RuntimeError\n"
    )
    house.start(tmp_path, *SERVE).expect("READY=1\nSTATUS=accepting")


def test_told_so_at_its_start_it_accepts_without_being_asked(house: House, plain: Path) -> None:
    instance = house.start(plain, *SERVE, CODESTORE_ACCEPT="1")
    instance.expect("READY=1\nSTATUS=accepting")
    with client(house.shared) as shared:
        assert shared.get("/").json()["pid"] == instance.process.pid
    instance.withdraw()
    assert waits(house.shared)


def test_draining_it_answers_an_open_connection_once_more_and_closes(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, *SERVE)
    instance.accept()
    with client(house.shared, connections=1) as shared:
        shared.get("/")
        instance.drain()
        answer = shared.get("/")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert instance.left() == 0
    assert instance.output() == "started\nstopped\n"


def test_draining_it_finishes_what_is_in_flight(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE)

    def body() -> Iterator[bytes]:
        yield b"first"
        instance.read_until("reading\n")
        instance.drain()
        yield b"last"

    with client(instance.private) as private:
        answer = private.post("/read", content=body())
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert instance.left() == 0


def test_draining_it_closes_an_idle_connection_only_when_the_time_is_over(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="1")
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(instance.private))
        visitor.sendall(b"GET / HTTP/1.1\r\nhost: service\r\n\r\n")
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += visitor.recv(1000)
        began = time.monotonic()
        instance.drain()
        visitor.settimeout(PATIENCE)
        assert visitor.recv(1) == b""
        assert time.monotonic() - began >= 0.9
    assert instance.left() == 0


def test_at_the_end_a_websocket_is_closed_as_service_restart(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="3")
    with unix_connect(str(instance.private), "ws://service/") as connection:
        connection.send("hello")
        assert connection.recv() == "hello"
        instance.drain()
        connection.send("still here")
        assert connection.recv() == "still here"
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert instance.left() == 0
    assert instance.output() == "started\nsocket ended: 1012\nstopped\n"


def test_at_the_end_a_stream_is_ended(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="0.2")
    with client(instance.private) as private, private.stream("GET", "/ticks") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "tick"
        instance.drain()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert instance.left() == 0
    assert instance.output() == "started\nstream ended: http.disconnect\nstopped\n"


def test_at_the_end_a_stream_of_events_is_whole_for_its_client(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="0.2")
    with client(instance.private) as private, private.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "tick"
        instance.drain()
        assert set(lines) == {"tick"}
    assert instance.left() == 0
    told = instance.output()  # the application may have been sending just then
    assert told.replace("stream ended: http.disconnect\n", "") == "started\nstopped\n"


def test_at_the_end_one_who_goes_on_sending_events_is_told_that_nobody_listens(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="0.2")
    with client(instance.private) as private, private.stream("GET", "/stubborn") as stream:
        instance.drain()
        assert b"".join(stream.iter_bytes()).endswith(b"data: x\n\n")
    assert instance.left() == 0
    assert instance.output() == "started\nstopped\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_twice_it_leaves_at_once(house: House, plain: Path, number: signal.Signals) -> None:
    instance = house.ready(plain, *SERVE)
    with unix_connect(str(instance.private), "ws://service/"):
        instance.drain()
        instance.process.send_signal(number)
        assert instance.left() == 128 + number


async def test_at_the_end_a_busy_websocket_hears_the_code_though_it_goes_on_sending(
    house: House, plain: Path
) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="1")
    talking = asyncio.Barrier(9)

    async def chat() -> int | None:
        async with asyncio_connect(str(instance.private), "ws://service/") as connection:
            await connection.send("hello")
            await talking.wait()
            hearing = asyncio.create_task(_hear(connection))
            with contextlib.suppress(ConnectionClosed):
                while not hearing.done():
                    await connection.send("x" * 50)
                    await asyncio.sleep(0)
            return await hearing

    chats = [asyncio.create_task(chat()) for _ in range(8)]
    await talking.wait()
    instance.drain()
    assert await asyncio.gather(*chats) == [1012] * 8
    assert instance.left() == 0


async def _hear(connection: ClientConnection) -> int | None:
    try:
        while True:
            await connection.recv()
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code
