"""A small service for the tests to break, callers that never stop, and the raw API."""

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.platform import KEY, Platform

GOOD = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"TEXT"})
"""
RUN = "run: {asgi: 'app.main:app'}\n"
HEALTH = "health: {path: /, timeout: 20s}\n"
PLAIN = f"database: false\n{RUN}{HEALTH}"


@dataclass
class Small:
    """A service of one file, without a database."""

    platform: Platform
    name: str

    @property
    def folder(self) -> Path:
        return self.platform.home / self.name

    def write(
        self, text: str = "old", app: str | None = None, rest: str = PLAIN, **files: str
    ) -> None:
        """Write the whole folder; ``files`` by name, ``__`` for the dot."""
        for path in self.folder.glob("*.*"):
            path.unlink()
        (self.folder / "app").mkdir(parents=True, exist_ok=True)
        (self.folder / "app/main.py").write_text(app or GOOD.replace("TEXT", text))
        (self.folder / "codestore.yaml").write_text(f"service: {self.name}\n{rest}")
        for name, content in files.items():
            (self.folder / name.replace("__", ".")).write_text(content)

    def create(self) -> dict[str, Any]:
        self.write()
        made = self.platform.cs("service:create", self.name, "--dir", str(self.folder))
        environments: dict[str, Any] = made["environments"]
        return environments

    def push(self, *arguments: str) -> Any:
        return self.platform.cs("push", "--dir", str(self.folder), *arguments)

    def push_refused(self, *arguments: str, code: int = 1) -> Any:
        return self.platform.refused("push", "--dir", str(self.folder), *arguments, code=code)

    def info(self) -> Any:
        with api(self.platform) as web:
            return web.get(f"/api/services/{self.name}").raise_for_status().json()["environments"]

    def said(self, environment: str = "private", place: Mapping[str, Any] | None = None) -> str:
        place = place or self.info()[environment]
        answer = httpx.get(place["url"], headers={KEY: place["key"] or ""}, verify=False)
        assert answer.status_code == 200, answer.text
        return answer.text


BY_ITSELF = {"state", "since", "reason", "standby", "wakes", "instances"}


def listing(platform: Platform, name: str) -> dict[str, Any]:
    """Return everything that is to be as it was after a refusal."""
    paths = ("services", "projects", f"services/{name}/versions", f"services/{name}")
    with api(platform) as web:
        found = {path: web.get(f"/api/{path}").raise_for_status().json() for path in paths}
    found = {path: _lasting(document) for path, document in found.items()}
    return {**found, "uploads": sorted(path.name for path in platform.data.glob("uploads/*"))}


def _lasting(document: Any) -> Any:
    """Leave out what changes by itself: whoever is not called for minutes falls asleep."""
    if isinstance(document, list):
        return [_lasting(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {key: _lasting(each) for key, each in document.items() if key not in BY_ITSELF}


@contextmanager
def unchanged(small: Small) -> Iterator[None]:
    """Whatever happens inside, the same versions serve, and every list is the same."""
    before, said = listing(small.platform, small.name), small.said()
    yield
    assert listing(small.platform, small.name) == before
    assert small.said() == said


@contextmanager
def never_failing(small: Small, text: str) -> Iterator[None]:
    """Callers ask private and demo all the time over kept connections; none may see a failure."""
    done, started = threading.Event(), threading.Barrier(3)
    counts, failures = [0, 0], list[str]()

    def call(number: int, place: Mapping[str, Any]) -> None:
        with httpx.Client(headers={KEY: place["key"] or ""}, timeout=10, verify=False) as web:
            waited = False
            while not done.is_set():
                try:
                    answer = web.get(place["url"])
                    if (answer.status_code, answer.text) != (200, text):
                        failures.append(f"{answer.status_code} {answer.text[:100]}")
                except httpx.HTTPError as error:
                    failures.append(repr(error))
                counts[number] += 1
                if not waited:
                    started.wait(10)
                    waited = True
                done.wait(0.02)

    info = small.info()
    threads = [
        threading.Thread(target=call, args=(number, info[name]))
        for number, name in enumerate(("private", "demo"))
    ]
    for thread in threads:
        thread.start()
    try:
        started.wait(10)
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[:5]
    assert min(counts) > 2


def until(holds: Callable[[], Any], patience: float = 30.0, longest: float = 0.25) -> Any:
    """Ask until it holds; nothing tells us of what happens inside another process.

    Pauses grow up to the ``longest``: who is asked all the time is kept from what it is to do.
    """
    deadline, pause = time.monotonic() + patience, 0.02
    while True:
        try:
            found = holds()
        except (httpx.HTTPError, AssertionError):
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(pause)
        pause = min(1.5 * pause, longest)


def api(platform: Platform, **more: Any) -> httpx.Client:
    """Return a client of the API, as the owner."""
    token = json.loads((platform.data / "profile.json").read_text())["token"]
    return httpx.Client(
        base_url=f"http://127.0.0.1:{platform.port}",
        headers={"authorization": f"Bearer {token}"},
        timeout=60,
        **more,
        verify=False,
    )


def concluded(platform: Platform, deployment: Mapping[str, Any]) -> Any:
    """Wait for the end of a change; return the conclusion."""
    query = {"wait": f"{deployment['id']}:{deployment['generation']}"}
    with api(platform) as web, web.stream("GET", "/api/watch", params=query) as stream:
        event = ""
        for line in stream.iter_lines():
            word, _, value = line.partition(": ")
            event = value if word == "event" else event
            if word == "data" and event == "end":
                return json.loads(value)
    raise AssertionError("the stream ended without an end")


def archive(members: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> bytes:
    """Return an archive with these members."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return target.getvalue()
