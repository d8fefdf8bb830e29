"""A platform with a victim on it, and an attacker in three guises."""

import ctypes
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from codestore.settings import run_folder
from tests.support.platform import KEY, Platform

ATTACKS = Path(__file__).with_name("hostile")  # the package of a service
HOSTILE = (ATTACKS / "main.py").read_text()
GUISES = ("started", "forked")
VICTIM = """
import pathlib

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    pathlib.Path.home().joinpath("mine.txt").write_text("of the victim")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})
"""
RUN = "database: true\nrun: {asgi: 'app.main:app'}\nhealth: {path: /, timeout: 20s}\n"
SLEEPY = "environments: {private: {standby: 1s, stop: 1s}}\n"


COMMAND = "database: false\nrun: {command: [python3, app/main.py]}\nhealth: {timeout: 20s}\n"
OPEN = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"well")

ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


@dataclass
class Intruder:
    """The attacker, as it is called; it was forked from a parent or started plainly."""

    url: str
    key: str

    def attack(self, name: str, **arguments: object) -> dict[str, Any]:
        """Have it try; return ``got`` or ``refused``."""
        headers = {KEY: self.key}
        answer = httpx.get(
            f"{self.url}/{name}", params=arguments, headers=headers, timeout=60, verify=False
        )
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        assert "failed" not in told, told["failed"]
        return told

    def is_refused(self, name: str, **arguments: object) -> None:
        """See that it gets nothing."""
        told = self.attack(name, **arguments)
        assert not told.get("got"), told


@dataclass
class Scene:
    """Everything an attacker could find out about the host.

    ``command`` is a victim, too, which listens on a port. The attackers are ``awake``, which is
    plainly started and stays, and ``sleepy``, which is forked at each wake; ``keeper`` is a
    process id.
    """

    platform: Platform
    victim: dict[str, Any]
    command: dict[str, Any]
    awake: dict[str, Any]
    sleepy: dict[str, Any]
    run: Path
    keeper: int

    @property
    def data(self) -> Path:
        return self.platform.data

    @property
    def code(self) -> Path:
        """Where the victim's code is."""
        places = (self.data / "artifacts/trees").iterdir()
        return next(each for each in places if (each / "app/main.py").read_text() == VICTIM)

    def process_of(self, deployment: dict[str, Any]) -> psutil.Process:
        found = self.platform.instances(deployment["id"])
        assert found, f"no process of {deployment}"
        return found[0]

    def victim_answers(self) -> bool:
        answer = httpx.get(
            self.victim["url"], headers={KEY: self.victim["key"]}, timeout=30, verify=False
        )
        return answer.text == "well"


def create(platform: Platform, name: str, code: str, rest: str = RUN) -> dict[str, Any]:
    folder = platform.home / name
    shutil.copytree(ATTACKS, folder / "app")
    (folder / "app/main.py").write_text(code)
    (folder / "codestore.yaml").write_text(f"service: {name}\n{rest}")
    made = platform.cs("service:create", name, "--dir", str(folder))["environments"]["private"]
    return dict(made)


@pytest.fixture(scope="session")
def scene() -> Iterator[Scene]:
    platform = Platform(hurried=True)
    try:
        platform.up()
        scene = Scene(
            platform,
            create(platform, "victim", VICTIM),
            create(platform, "command", OPEN, COMMAND),
            create(platform, "awake", HOSTILE),
            create(platform, "sleepy", HOSTILE, RUN + SLEEPY),
            run_folder(platform.data),
            int(platform.status()["processes"]["keeper"]),
        )
        assert scene.victim_answers()
        yield scene
    finally:
        platform.close()


@pytest.fixture(scope="session")
def guises(scene: Scene) -> dict[str, Intruder]:
    """The attacker, plainly started; and another one that was forked."""
    found = {
        "started": Intruder(scene.awake["url"], scene.awake["key"]),
        "forked": Intruder(scene.sleepy["url"], scene.sleepy["key"]),
    }
    assert not is_forked(found["started"])
    deadline = time.monotonic() + 90
    while not is_forked(found["forked"]):  # when it has slept, and its libraries are loaded
        assert time.monotonic() < deadline
        time.sleep(2.5)
    return found


def is_forked(intruder: Intruder) -> bool:
    return "codestore_sdk.preload" in intruder.attack("")["command"]


@pytest.fixture(params=GUISES)
def intruder(request: pytest.FixtureRequest, guises: dict[str, Intruder]) -> Intruder:
    return guises[request.param]


@pytest.fixture(scope="session")
def abstract() -> Iterator[str]:
    """A socket of the host's with an abstract name, at which somebody listens."""
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"codestore-attack-{time.monotonic_ns()}"
        listener.bind("\0" + name)
        listener.listen()
        yield "@" + name


@pytest.fixture(scope="session")
def segment() -> Iterator[int]:
    """A segment of the host's shared memory (System V) that everybody may use, by its key."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = 0x5EC2E7
    number = libc.shmget(key, 4096, 0o1666)
    assert number >= 0
    yield key
    libc.shmctl(number, 0, None)
