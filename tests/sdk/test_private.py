"""What reaches an instance at its private socket is work like any other: nothing of it is lost.

While an instance is ready and not yet admitted, users may be led there.
"""

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from house import PATIENCE, House, Instance, client
from test_life import SERVE, waits
from websockets.sync.client import unix_connect

REQUEST = b"GET / HTTP/1.1\r\nhost: service\r\n\r\n"
EITHER = pytest.mark.parametrize("place", ["private", "shared"])


def at(place: str, house: House, instance: Instance) -> Path:
    """Where to ask; as on the way from ready to serving."""
    if place == "private":
        return instance.private
    instance.accept()
    return house.shared


@EITHER
def test_both_sockets_answer_alike(house: House, plain: Path, place: str) -> None:
    instance = house.ready(plain, *SERVE)
    path = at(place, house, instance)
    forwarded = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    with client(path, connections=1) as web:
        answer = web.get("/", headers=forwarded)
        assert answer.json()["scheme"] == "https"
        assert answer.json()["client"][0] == "192.0.2.7"
        assert "connection" not in answer.headers
        assert web.post("/", content=b"x" * 1_000_000).status_code == 200
        with web.stream("GET", "/ticks") as stream:
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(3)] == ["tick"] * 3
    with unix_connect(str(path), "ws://service/") as connection:
        connection.send("hello")
        assert connection.recv() == "hello"


@EITHER
def test_told_to_leave_it_finishes_and_closes_what_is_open(
    house: House, plain: Path, place: str
) -> None:
    instance = house.ready(plain, *SERVE)
    path = at(place, house, instance)

    def body() -> Iterator[bytes]:
        yield b"first"
        instance.read_until("reading\n")
        instance.drain()
        assert waits(path)  # whoever comes now is not let in
        assert instance.process.poll() is None
        yield b"last"

    with client(path, connections=1) as idle, client(path, connections=1) as busy:
        idle.get("/")
        late = busy.post("/", content=body())
        once_more = idle.get("/")
    for answer in (late, once_more):
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert instance.left() == 0
    assert instance.output().endswith("stopped\n")


def test_a_stream_and_a_websocket_keep_it_until_they_end(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="60")
    with unix_connect(str(instance.private), "ws://service/") as connection:
        with client(instance.private) as web, web.stream("GET", "/ticks") as stream:
            lines = stream.iter_lines()
            next(lines)
            instance.drain()
            assert next(lines) == "tick"
        connection.send("still here")
        assert connection.recv() == "still here"
        assert instance.process.poll() is None
    assert instance.left() == 0


def test_who_waits_at_the_private_socket_when_it_is_told_to_leave_is_served(
    house: House, plain: Path
) -> None:
    """Nobody else would: at the shared socket, a sibling accepts or the next instance."""
    instance = house.ready(plain, *SERVE, CODESTORE_DRAIN="5")
    instance.process.send_signal(signal.SIGSTOP)
    with ExitStack() as stack:
        visitors = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(100)]
        for visitor in visitors:
            visitor.settimeout(PATIENCE)
            visitor.connect(str(instance.private))
            visitor.sendall(REQUEST)
        instance.process.send_signal(signal.SIGTERM)
        instance.process.send_signal(signal.SIGCONT)
        answers = {visitor.recv(12) for visitor in visitors}
    assert answers == {b"HTTP/1.1 200"}
    assert instance.left() == 0


def test_no_request_is_lost_on_the_way_from_private_to_serving(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE)
    done = threading.Event()

    def visit(keep: bool) -> list[int]:
        answers = []
        while not done.is_set():
            with client(instance.private, connections=1) as web:
                for _ in range(20 if keep else 1):
                    answers.append(web.post("/", content=b"x" * 1000).status_code)
        return answers

    with ThreadPoolExecutor() as visitors:
        visits = [visitors.submit(visit, keep) for keep in (True, True, False, False)]
        try:
            with unix_connect(str(instance.private), "ws://service/") as connection:
                for turn in range(10):
                    instance.accept()
                    with client(house.shared) as shared:
                        assert shared.get("/").json()["pid"] == instance.process.pid
                    instance.withdraw()
                    connection.send(str(turn))
                    assert connection.recv() == str(turn)
            instance.accept()
        finally:
            done.set()
        answers = [status for visited in visits for status in visited.result()]
    assert set(answers) == {200}
    assert len(answers) > 20
