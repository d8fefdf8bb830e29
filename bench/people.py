"""People who change services of a real platform without a pause, whatever happens to it meanwhile.

Whoever was not answered looks what became of it; whoever was answered relies on it: the change must
be concluded, well if it was well. Whatever is live answers all the time.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench.common import PATIENCE, client_of
from codestore.cli.client import path
from codestore.cli.pack import packed
from codestore.cli.problems import CommandError, ExitCode
from codestore.wire.asks import Inclusion, Promotion, Roll
from tests.support.platform import KEY, Platform

QUIET = 240.0  # seconds until nothing is to be done any more
MANY = 3  # instances of one deployment that we killed: from then on it backs off
KEEPS_CRASHING = "This service keeps crashing"
LOOK = 0.2  # seconds between two questions: what answers them has other things to do
SHOP = "shop"
APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"TEXT"})
"""
BAD = {"start": "raise SystemExit('no')\n", "migrate": "raise SystemExit('no such column')\n"}
MANIFEST = """
service: NAME
run: {asgi: 'app.main:app'}
migrate: [python3, -S, migrate.py]
health: {path: /, timeout: 20s}
environments:
  private: {standby: 2s, stop: 4s}
  demo: {standby: 2s, stop: 4s}
  staging: {canary: {steps: [50, 100], hold: 1s}}
"""


@dataclass
class Tally:
    """What was done, and what was wrong."""

    acts: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unanswered: int = 0
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    victims: set[tuple[str, int]] = field(default_factory=set)
    bled: Counter[str] = field(default_factory=Counter)
    answered_at: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_victim(self, deployment: str, revision: int) -> None:
        """Somebody kills an instance of this revision: if it was coming up, its change fails."""
        with self.lock:
            self.victims.add((deployment, revision))
            self.bled[deployment] += 1

    def complain(self, said: str) -> None:
        with self.lock:
            self.wrong.append(said)
        print(f"WRONG: {said}", flush=True)


class Person(threading.Thread):
    """Changes one service over and over; stands still while ``pause`` is set."""

    def __init__(self, platform: Platform, name: str, seed: int, tally: Tally) -> None:
        super().__init__(daemon=True)
        self.client = client_of(platform)
        self.pause, self.still, self.over = threading.Event(), threading.Event(), False
        self._service, self._tally, self._dice = name, tally, random.Random(seed)
        self._folder = platform.home / name
        self._texts: dict[str, str] = {}
        self._number = 0

    def run(self) -> None:
        while not self.over:
            if self.pause.is_set():
                self.still.set()
                time.sleep(0.05)
                continue
            self.still.clear()
            try:
                self._act()
            except Exception as error:
                self._tally.complain(f"{self._service}: {type(error).__name__}: {error}")
                time.sleep(1)

    def _act(self) -> None:
        places = self.places()
        if not places:
            return self._change("create", self._create, well=True)
        inside = any(held["project"] for held in places.values())
        acts: list[tuple[str, Callable[[], Any], bool]] = [
            ("push", self._push, True),
            ("push", self._push, True),
            ("push what does not start", lambda: self._push("start"), False),
            ("push what does not migrate", lambda: self._push("migrate"), False),
            ("promote", self._promote, True),
            ("promote", self._promote, True),
            ("roll", self._roll, True),
        ]
        if inside:
            acts += [
                (f"promote to {kind}", lambda kind=kind: self._promote_to(kind), True)  # type: ignore[misc]
                for kind in ("development", "staging", "production")
            ]
            acts += [("exclude", self._exclude, True), ("roll in a project", self._roll_to, True)]
        else:
            acts += [("include", self._include, True)] * 2 + [("remove", self._remove, True)]
        name, act, well = self._dice.choice(acts)
        self._change(name, act, well=well)
        return None

    def _change(self, name: str, act: Callable[[], Any], *, well: bool) -> None:
        """Ask for a change, wait until nothing is under way, and see what became of it."""
        tally, change = self._tally, None
        try:
            change = act()
        except CommandError as error:
            if error.exit_code is ExitCode.FAILED and error.problem.status < 500:
                with tally.lock:
                    tally.acts["refused"] += 1
                return
            with tally.lock:
                tally.unanswered += 1
        places = self._concluded()
        with tally.lock:
            tally.acts[name] += 1
            tally.acknowledged += change is not None
        if change is not None:
            self._check(name, change, places, well=well)
        self._call(places)

    def _check(self, name: str, change: Any, places: dict[str, Any], *, well: bool) -> None:
        gone = name in ("exclude", "remove")
        for wait in change["waits"]:
            held = places.get(wait["deployment"])
            what = f"{self._service}: {name}, {wait['environment']} {wait['generation']}"
            if gone:
                if held is not None:
                    self._tally.complain(f"{what}: it is there still")
            elif held is None:
                self._tally.complain(f"{what}: it is lost")
            elif held["generation"] < wait["generation"]:
                self._tally.complain(f"{what}: its generation is lost: {held['generation']}")
            elif (held["failure"] is None) != well and not self._killed(wait, held["failure"]):
                self._tally.complain(f"{what}: it should end otherwise: {held['failure']}")

    def _killed(self, wait: dict[str, Any], failure: dict[str, Any] | None) -> bool:
        """Whether a change failed because an instance of it was killed by us."""
        ours = (wait["deployment"], wait["generation"]) in self._tally.victims
        return ours and failure is not None and "killed by SIGKILL" in failure["detail"]

    def _call(self, places: dict[str, Any]) -> None:
        """Whatever is live answers, with the text of its version; control is not needed for it."""
        for held in places.values():
            if held["version"] is None or self._dice.random() < 0.5:
                continue
            answer = httpx.get(held["url"], headers={KEY: held["key"] or ""}, timeout=PATIENCE)
            with self._tally.lock:
                self._tally.calls += 1
            if KEEPS_CRASHING in answer.text and self._tally.bled[held["id"]] >= MANY:
                continue  # so it looks to whoever does not know that we kill them
            text = self._texts.get(held["version"], answer.text)
            if (answer.status_code, answer.text) != (200, text):
                what = f"{self._service} {held['environment']} {held['version']}"
                said = f"{answer.status_code} {answer.text[:200]}, not {text}"
                self._tally.complain(f"{what} answers {said}")

    def places(self) -> dict[str, Any]:
        """Return all deployments of the service, by id; nothing when it is not there."""
        found = self._patiently(lambda: self.client.get(path("services", self._service)))
        if found is None:
            return {}
        places = dict(found["environments"])
        where = path("projects", SHOP, "services", self._service)
        inside = self._patiently(lambda: self.client.get(where))
        environments = inside["environments"] if inside else {}
        return {held["id"]: held for held in (*places.values(), *environments.values())}

    def _concluded(self) -> dict[str, Any]:
        until = time.monotonic() + QUIET
        while True:
            places = self.places()
            if all(held["state"] not in ("deploying", "removing") for held in places.values()):
                return places
            if time.monotonic() > until:
                states = {held["environment"]: held["state"] for held in places.values()}
                raise AssertionError(f"it is never concluded: {states}")
            time.sleep(LOOK)

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask until somebody answers; ``None`` for what does not exist."""
        until = time.monotonic() + QUIET
        while True:
            try:
                answer = ask()
                self._tally.answered_at = time.monotonic()
                return answer
            except CommandError as error:
                if error.problem.status == 404:
                    self._tally.answered_at = time.monotonic()
                    return None
                if time.monotonic() > until:
                    raise
            time.sleep(LOOK)

    def _write(self, bad: str = "") -> str:
        """Write the folder of the next version; return what it will answer."""
        self._number += 1
        text = f"{self._service} {self._number}"
        (self._folder / "app").mkdir(parents=True, exist_ok=True)
        app = BAD["start"] if bad == "start" else APP.replace("TEXT", text)
        migrate = BAD["migrate"] if bad == "migrate" else f"# {text}\n"
        (self._folder / "app/main.py").write_text(app)
        (self._folder / "migrate.py").write_text(migrate)
        manifest = MANIFEST.replace("NAME", self._service)
        (self._folder / "codestore.yaml").write_text(manifest)
        return text

    def _create(self) -> Any:
        text = self._write()
        self._texts = {"0.0.1": text}
        with packed(self._folder) as archive:
            return self.client.upload(path("services"), {"name": self._service}, archive)

    def _push(self, bad: str = "") -> Any:
        text = self._write(bad)
        with packed(self._folder) as archive:
            change = self.client.upload(path("services", self._service, "versions"), {}, archive)
        self._texts[change["document"]["version"]] = text
        return change

    def _promote(self) -> Any:
        return self.client.post(path("services", self._service, "promote"))

    def _roll(self) -> Any:
        return self.client.post(path("services", self._service, "roll"), Roll("private", "latest"))

    def _include(self) -> Any:
        return self.client.post(path("projects", SHOP, "services"), Inclusion(self._service))

    def _promote_to(self, kind: str) -> Any:
        where = path("projects", SHOP, "services", self._service, "promote")
        return self.client.post(where, Promotion(kind, force=True))

    def _roll_to(self) -> Any:
        where = path("projects", SHOP, "services", self._service, "roll")
        return self.client.post(where, Roll("production", "latest"))

    def _exclude(self) -> Any:
        return self.client.delete(path("projects", SHOP, "services", self._service))

    def _remove(self) -> Any:
        return self.client.delete(path("services", self._service))
