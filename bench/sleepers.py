"""Services that fall asleep, for the benches: made, called, and watched.

A wake is only measured when it is known what it meets. ``News`` follows the platform's events, so
a deployment is asleep when the platform has said so; ``Hush`` says when nothing is being done for
any of them any more, by the processor that the platform's own processes use.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from bench.common import PATIENCE, client_of
from codestore.cli.problems import CommandError
from tests.support.platform import KEY, Platform

LOOK = 0.1  # seconds that the platform's processor time is looked at
BUSY = 0.02  # seconds of it in a look that are too many; the clock of the kernel has steps of 0.01
BLOCK = 1 << 16
APP = """
import hashlib, json, os

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    digest = hashlib.sha256()
    while True:
        message = await receive()
        digest.update(message.get("body", b""))
        if not message.get("more_body"):
            break
    told = {"environment": os.environ["ENVIRONMENT_ID"],
            "service": os.environ["SERVICE_ID"], "sha256": digest.hexdigest()}
    body = json.dumps(told).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
SERVER = """
import hashlib, http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = {"environment": os.environ["ENVIRONMENT_ID"],
                "service": os.environ["SERVICE_ID"], "sha256": hashlib.sha256(body).hexdigest()}
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1000
    daemon_threads = True

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ASGI = "run: {asgi: 'app.main:app'}\nhealth: {path: /, timeout: 20s}\n"
COMMAND = "run: {command: [python3, -S, server.py]}\nhealth: {timeout: 20s}\n"
Rests = Mapping[str, tuple[str, str]]
"""For each environment, after which idle time it is frozen, and after which it is stopped."""


def resting(rests: Rests) -> str:
    """Return the line of a manifest."""
    each = (f"{name}: {{standby: {a}, stop: {b}}}" for name, (a, b) in rests.items())
    return f"environments: {{{', '.join(each)}}}\n"


def small(platform: Platform, name: str, rests: Rests, command: bool = False) -> Any:
    """Create a service of one file, on sockets or on a port; return what the platform says."""
    folder = platform.home / name
    (folder / "app").mkdir(parents=True)
    (folder / "app/main.py").write_text(APP)
    (folder / "server.py").write_text(SERVER)
    run = COMMAND if command else ASGI
    text = f"service: {name}\ndatabase: false\n{run}{resting(rests)}"
    (folder / "codestore.yaml").write_text(text)
    return platform.cs("service:create", name, "--dir", str(folder))


def example(platform: Platform, name: str, rests: Rests) -> Any:
    """Create one of the examples, with its rest; return what the platform says."""
    folder = platform.copy(name)
    with (folder / "codestore.yaml").open("a") as manifest:
        manifest.write(resting(rests))
    return platform.cs("service:create", name, "--dir", str(folder), timeout=300)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a deployment, ready to be sent over and over."""

    id: str
    host: str
    port: int
    data: bytes

    @classmethod
    def to(
        cls, place: Mapping[str, Any], path: str, method: str = "GET", body: bytes = b""
    ) -> "Request":
        """Prepare it for a place as the platform tells it."""
        parts = urlsplit(place["url"])
        head = [f"{method} {parts.path}{path} HTTP/1.1", f"host: {parts.netloc}"]
        if place["key"]:
            head.append(f"{KEY}: {place['key']}")
        if body:
            head += ["content-type: application/json", f"content-length: {len(body)}"]
        data = "\r\n".join([*head, "", ""]).encode() + body
        return cls(place["id"], parts.hostname or "", parts.port or 80, data)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and the seconds until all of it was there."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def wake(self) -> float | None:
        """The milliseconds that the wake took, as the answer says; ``None`` when there was none."""
        timing = self.headers.get("server-timing", "")
        return float(timing.removeprefix("wake;dur=")) if timing else None


class Visitor:
    """A connection to the gateway that is open, and whose worker of the gateway knows of it."""

    def __init__(self, request: Request) -> None:
        self._socket = socket.create_connection((request.host, request.port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Answered by the gateway itself.
        unknown = f"GET /{'0' * 32}/ HTTP/1.1\r\nhost: {request.host}\r\n\r\n".encode()
        assert self.send(unknown).status == 404

    def ask(self, request: Request) -> Answer:
        """Ask; it must be answered well."""
        answer = self.send(request.data)
        assert answer.status == 200, answer
        return answer

    def send(self, data: bytes) -> Answer:
        began = time.perf_counter()
        self._socket.sendall(data)
        seen = b""
        while (end := seen.find(b"\r\n\r\n")) < 0:
            seen += self._more()
        head, body = seen[:end].decode("latin-1"), seen[end + 4 :]
        first, *lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        if "content-length" in headers:
            while len(body) < int(headers["content-length"]):
                body += self._more()
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._more()
        return Answer(int(first.split()[1]), headers, body, time.perf_counter() - began)

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(BLOCK)
        if not data:
            raise ConnectionError("the gateway has closed the connection")
        return data


class News(threading.Thread):
    """Follows the events of all deployments that there are when it is started."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self._client = client_of(platform)
        self._bell = threading.Condition()
        self._depths: dict[str, str] = {}
        self._last_id = "0"
        self.woken = 0
        self.failures: list[str] = []
        self.last_at = time.monotonic()
        self._over = False

    def run(self) -> None:
        while not self._over:
            try:
                for message in self._client.stream("/api/events/stream", {}, self._last_id):
                    if message.event == "event":
                        self._take(json.loads(message.data))
            except (CommandError, OSError):  # the control process is being restarted
                pass
            time.sleep(0.05)

    def stop(self) -> None:
        self._over = True

    def _take(self, event: Mapping[str, Any]) -> None:
        with self._bell:
            self._last_id = str(event["sequence"])
            id_, kind = event["deployment"], event["kind"]
            self.last_at = time.monotonic()
            if kind == "standby":
                self._depths[id_] = event["message"].partition(":")[0]
            elif kind == "woken":
                self._depths[id_] = "awake"
                self.woken += 1
            elif kind in ("wake_failed", "failed", "degraded", "step_failed", "instance_ended"):
                self.failures.append(f"{event['at']} {id_} {kind}: {event['message']}")
            self._bell.notify_all()

    def asleep(self, ids: Sequence[str], depth: str, timeout: float = PATIENCE) -> None:
        """Wait until all of them sleep that deep."""
        self._until(lambda: all(self._depths.get(id_) == depth for id_ in ids), timeout)

    def awake(self, id_: str) -> None:
        """Wait until its wake was told."""
        self._until(lambda: self._depths.get(id_) == "awake", PATIENCE)

    def _until(self, holds: Callable[[], bool], timeout: float) -> None:
        with self._bell:
            if not self._bell.wait_for(holds, timeout):
                raise AssertionError(f"not within {timeout:g} s: {self._depths} {self.failures}")


class Hush:
    """Waits until the platform's own processes have nothing to do."""

    def __init__(self, platform: Platform, news: News) -> None:
        running = platform.status()["processes"]
        self._processes = [psutil.Process(running[name]) for name in ("keeper", "control", "envoy")]
        self._news = news

    def wait(self) -> None:
        """Return when nothing was told and (nearly) nothing was done for a moment."""
        while True:
            before = sum(map(spent, self._processes))
            time.sleep(LOOK)
            told = time.monotonic() - self._news.last_at < LOOK
            if not told and sum(map(spent, self._processes)) - before < BUSY:
                return


class Strangers:
    """How many cores had other work than ours: what a figure is to be judged by."""

    def __init__(self, platform: Platform) -> None:
        self._keeper = psutil.Process(platform.status()["processes"]["keeper"])
        self._began = time.monotonic()
        self._before = self._now()

    def cores(self) -> float:
        return (self._now() - self._before) / (time.monotonic() - self._began)

    def _now(self) -> float:
        """Return the machine's processor time but the platform's, with ended children, and ours."""
        times = psutil.cpu_times()
        all_ = times.user + times.system + times.nice + times.irq + times.softirq + times.steal
        ours = 0.0
        for process in (self._keeper, *self._keeper.children(recursive=True), psutil.Process()):
            try:
                held = process.cpu_times()
            except psutil.Error:
                continue
            ours += held.user + held.system + held.children_user + held.children_system
        return float(all_) - ours


def spent(process: psutil.Process) -> float:
    """Return the seconds of processor that a process has had."""
    times = process.cpu_times()
    return float(times.user + times.system)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all is not above."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1)]


def processes_below(pid: int) -> list[psutil.Process]:
    """Return a process and everything below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def memory(pid: int) -> tuple[float, float]:
    """Return the proportional share of the memory of a process, in KiB: all of it, and its own.

    Its own is not backed by files: those are shared with whoever else runs the same program.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: float(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    return found["Pss"], found["Pss_Anon"] + found["Pss_Shmem"]
