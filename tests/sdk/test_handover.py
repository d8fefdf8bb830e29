"""Instances that share a socket take over from one another, and no request notices."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from house import House, client

SERVE = ("asgi", "service:app")


def test_a_sibling_goes_on_accepting_after_one_has_left(house: House, plain: Path) -> None:
    leaver, stayer = (house.ready(plain, *SERVE) for _ in range(2))
    for instance in (leaver, stayer):
        instance.accept()
    leaver.drain()
    assert leaver.left() == 0
    with client(house.shared) as shared:
        assert shared.get("/").json()["pid"] == stayer.process.pid


def test_a_connection_accepted_in_the_moment_of_draining_is_served(
    house: House, plain: Path
) -> None:
    leaver, stayer = (house.ready(plain, *SERVE, CODESTORE_DRAIN="1") for _ in range(2))
    leaver.accept()
    # Held still, it wakes to find both the visitors and the signal.
    leaver.process.send_signal(signal.SIGSTOP)
    with ExitStack() as stack:
        visitors = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(20)]
        for visitor in visitors:
            visitor.settimeout(5)
            visitor.connect(str(house.shared))
            visitor.sendall(b"GET / HTTP/1.1\r\nhost: service\r\n\r\n")
        leaver.process.send_signal(signal.SIGTERM)
        leaver.process.send_signal(signal.SIGCONT)
        assert leaver.left() == 0
        stayer.accept()
        answers = {visitor.recv(12) for visitor in visitors}
    assert answers == {b"HTTP/1.1 200"}


def test_under_load_a_handover_between_instances_fails_no_request(
    house: House, plain: Path
) -> None:
    old = house.ready(plain, *SERVE)
    old.accept()
    done = threading.Event()

    def visit() -> list[tuple[int, int]]:
        answers = []
        with client(house.shared, connections=1) as shared:
            while not done.is_set():
                answer = shared.post("/", content=b"x" * 1000)
                answers.append((answer.status_code, answer.json()["pid"]))
        return answers

    handed_over = {old.process.pid}
    with ThreadPoolExecutor() as visitors:
        visits = [visitors.submit(visit) for _ in range(6)]
        try:
            for _ in range(3):
                new = house.ready(plain, *SERVE)
                new.accept()
                old.withdraw()
                old.drain()
                assert old.left() == 0
                handed_over.add(new.process.pid)
                old = new
        finally:
            done.set()
        answers = [answer for visited in visits for answer in visited.result()]
    assert {status for status, _ in answers} == {200}
    assert len(answers) > 100
    assert {pid for _, pid in answers} <= handed_over
