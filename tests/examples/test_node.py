"""The services in Node listen on $PORT, answer, and leave when asked to."""

import functools
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

REPOSITORY = Path(__file__).parents[2]
INBOX = REPOSITORY / "examples/inbox"
COMMAND = REPOSITORY / "src/codestore/cli/templates/command"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


class Service(httpx.Client):
    """A client of one service, which can also be told to leave: once, twice would kill it."""

    def __init__(self, port: int, leave: Callable[[], None]) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=5)
        self.leave = leave


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """Run the service; when done ask it to leave, with the client's connections still open."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(NODE), "server.js"],
        cwd=folder,
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on 127.0.0.1:{port}\n"
        with Service(port, functools.cache(process.terminate)) as service:
            yield service
            service.leave()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("folder", [INBOX, COMMAND], ids=lambda folder: folder.name)
def test_it_is_healthy_and_leaves_when_asked(folder: Path) -> None:
    with serving(folder) as service:
        assert service.get("/health").json() == {"status": "ok"}
        assert service.get("/nothing/here").status_code == 404


@pytest.mark.parametrize("folder", [INBOX, COMMAND], ids=lambda folder: folder.name)
def test_leaving_it_answers_an_open_connection_once_more(folder: Path) -> None:
    with serving(folder) as service:
        service.get("/health")
        service.leave()
        # On the one connection it has: a new one would be refused.
        while (answer := service.get("/health")).headers["connection"] != "close":
            assert answer.status_code == 200
        assert answer.status_code == 200


def test_the_template_says_hello() -> None:
    with serving(COMMAND) as service:
        assert service.get("/").json() == {"message": "Hello, World!"}


def test_the_inbox_keeps_hooks_and_streams_them() -> None:
    with serving(INBOX) as service, service.stream("GET", "/events") as events:
        lines = events.iter_lines()
        assert next(lines) == ": watching"
        sent = service.post("/hooks/shop", json={"paid": True})
        assert sent.status_code == 202
        assert f"id: {sent.json()['id']}" in (next(lines) for _ in range(4))
        [kept] = service.get("/hooks/shop").json()
        assert (kept["body"], service.get("/hooks/other").json()) == ('{"paid":true}', [])


def test_the_inbox_refuses_what_is_too_large() -> None:
    with serving(INBOX) as service:
        assert service.post("/hooks/shop", content=b"x" * 1_100_000).status_code == 413
