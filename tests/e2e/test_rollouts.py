"""A share of the requests first; back by itself if they fail; and a rollback stays put."""

import itertools
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e.services import RUN, Small, api
from tests.support.platform import CS, KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rollouts")]
HOLD = 6  # seconds: long enough for a pause to come in time on a busy machine
PATIENCE = 60.0  # seconds, far more than anything here takes

# Answers TEXT (with status 0 never), with 200 to the health check in any case; /die ends it.
APP = """
import asyncio, os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/die":
        os._exit(7)
    status = 200 if scope["path"] == "/health" else STATUS
    if not status:
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"TEXT"})
"""
REST = f"database: false\n{RUN}health: {{path: /health, timeout: 20s}}\n"


def canary(steps: str, hold: str) -> str:
    return f"""environments:
  production:
    canary: {{steps: {steps}, hold: {hold}, abort_on: {{error_rate: 1%}}}}
"""


@dataclass
class Callers:
    """What they were answered: (status, text)."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def failures(self) -> int:
        return sum(count for (status, _), count in self.answers.items() if status != 200)

    def seen(self, *texts: str) -> bool:
        """Whether somebody was answered each of these."""
        return {(200, text) for text in texts} <= set(self.answers)


@dataclass
class Fleet:
    """A service in a project, with what its releases in production need."""

    platform: Platform
    small: Small

    @property
    def words(self) -> list[str]:
        return [self.project, self.small.name, "--env", "production"]

    @property
    def project(self) -> str:
        return f"{self.small.name}-shop"

    def write(self, text: str, status: int = 200, rest: str = "") -> None:
        app = APP.replace("TEXT", text).replace("STATUS", str(status))
        self.small.write(app=app, rest=REST + rest)

    def open(self) -> None:
        self.write("one")
        self.platform.cs("service:create", self.small.name, "--dir", str(self.small.folder))
        self.platform.cs("project:create", self.project)
        self.platform.cs("project:service:add", self.project, self.small.name)

    def close(self) -> None:
        self.platform.run("project:service:remove", self.project, self.small.name, "--yes")
        self.platform.run("project:delete", self.project, "--yes")
        self.platform.run("service:remove", self.small.name, "--yes")

    def arrive(self, text: str, status: int = 200, rest: str = "") -> str:
        """Publish a version; it comes up to staging. Return its number."""
        self.write(text, status, rest)
        number: str = self.small.push()["version"]
        self.platform.cs("promote", self.small.name)
        roll = ("project:service:roll", self.project, self.small.name, "--env", "staging")
        self.platform.cs(*roll, "--version", "latest")
        return number

    @property
    def promotion(self) -> list[str]:
        return ["project:service:promote", self.project, self.small.name, "--to", "production"]

    def roll(self, version: str) -> Any:
        return self.platform.cs("project:service:roll", *self.words, "--version", version)

    def refused(self, code: str, *arguments: str) -> Any:
        problem = self.platform.refused(*self.promotion, *arguments)
        assert problem["code"] == code, problem
        return problem

    def get(self, path: str) -> Any:
        """Ask the API itself: what is asked again and again is not to start a command each time."""
        with api(self.platform) as web:
            return web.get(f"/api/{path}").raise_for_status().json()

    def status(self) -> Any:
        name = self.small.name
        return self.get(f"environments/{self.project}/production/services/{name}/rollout")

    def production(self) -> Any:
        return self.status()["deployment"]

    def events(self, *kinds: str) -> list[str]:
        found = self.get(f"events?project={self.project}&environment=production&limit=500")
        return [each["message"] for each in found["items"] if each["kind"] in kinds]

    def until(self, holds: Callable[[Any], Any]) -> Any:
        """Ask for the rollout until it is so."""
        deadline = time.monotonic() + PATIENCE
        while not holds(found := self.status()):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def ask(self, path: str = "/") -> tuple[int, str]:
        place = self.production()
        try:
            answer = httpx.get(
                f"{place['url']}{path}", headers={KEY: place["key"]}, timeout=20, verify=False
            )
        except httpx.HTTPError as error:
            return 0, repr(error)
        return answer.status_code, answer.text

    def die(self, until: Callable[[], Any]) -> None:
        """Have one instance after the other end by itself until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < deadline, self.status()
            self.ask("/die")
            time.sleep(0.3)

    @contextmanager
    def called(self, threads: int = 3, timeout: float = 20) -> Iterator[Callers]:
        """Callers ask production all the time, over kept connections, until the block ends."""
        place, callers, done = self.production(), Callers(), threading.Event()

        def call() -> None:
            with httpx.Client(headers={KEY: place["key"]}, timeout=timeout, verify=False) as web:
                while not done.wait(0.01):
                    try:
                        answer = web.get(place["url"])
                        callers.answers[answer.status_code, answer.text[:40]] += 1
                    except httpx.HTTPError as error:
                        callers.answers[0, repr(error)] += 1

        running = [threading.Thread(target=call) for _ in range(threads)]
        for thread in running:
            thread.start()
        try:
            yield callers
        finally:
            done.set()
            for thread in running:
                thread.join()

    @contextmanager
    def promoting(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Another terminal promotes to production, and waits."""
        command = [str(CS), *self.promotion, *arguments, "-o", "json"]
        process = subprocess.Popen(
            command,
            env=self.platform.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


NUMBERS = itertools.count(1)


@pytest.fixture
def fleet(platform: Platform) -> Iterator[Fleet]:
    made = Fleet(platform, Small(platform, f"fleet-{next(NUMBERS)}"))
    try:
        made.open()
        yield made
    finally:
        made.close()


def at_half(found: Any) -> bool:
    shown = found["deployment"]["canary"]
    return bool(shown and shown["percent"] == 50)


def test_a_canary_that_does_well_gets_all_requests_and_nobody_notices(fleet: Fleet) -> None:
    number = fleet.arrive("two", rest=canary("[50, 100]", "3s"))
    with fleet.called() as callers, fleet.promoting() as terminal:
        found = fleet.until(at_half)
        assert (found["from_version"], found["to_version"]) == ("0.0.1", number)
        assert found["deployment"]["version"] == "0.0.1"
        out, err = terminal.communicate(timeout=PATIENCE)
    assert terminal.returncode == 0, err
    assert json.loads(out)["deployment"]["version"] == number
    assert f"50 % of the requests go to {number}\n" in err
    assert callers.seen("one", "two"), callers.answers
    assert callers.failures == 0, callers.answers
    assert {fleet.ask() for _ in range(20)} == {(200, "two")}
    after = fleet.production()
    assert (after["previous"], after["hold"], after["marks"]) == ("0.0.1", None, [])


def test_a_canary_that_fails_goes_back_by_itself_and_is_remembered(fleet: Fleet) -> None:
    number = fleet.arrive("two", status=500, rest=canary("[20, 100]", "30s"))
    with fleet.called() as callers:
        done = fleet.platform.run(*fleet.promotion, "-o", "json")
        time.sleep(0.5)
    assert (done.returncode, done.stdout) == (1, "")
    problem = json.loads(done.stderr.strip().splitlines()[-1])
    assert (problem["code"], problem["where"]) == ("canary_failed", "production")
    assert problem["hint"]
    assert {status for status, _ in callers.answers} <= {200, 500}
    assert 0 < callers.failures < sum(callers.answers.values()) / 3, callers.answers
    assert {fleet.ask() for _ in range(20)} == {(200, "one")}
    after = fleet.production()
    assert (after["version"], after["state"], after["instances"]) == ("0.0.1", "ready", 2)
    assert [mark["version"] for mark in after["marks"]] == [number]
    told = fleet.refused("marked")
    assert "--force" in told["hint"]
    again = fleet.platform.run(*fleet.promotion, "--force", "--no-canary", "-o", "json")
    assert again.returncode == 0, again.stderr
    assert fleet.ask() == (500, "two")


def test_a_canary_that_hangs_does_not_go_on_and_is_given_up_when_its_callers_leave(
    fleet: Fleet,
) -> None:
    number = fleet.arrive("two", status=0, rest=canary("[50, 100]", "1s"))
    with fleet.called(timeout=5) as callers, fleet.promoting() as terminal:
        found = fleet.until(lambda found: at_half(found) and found["waiting"] == 3)
        assert (found["requests"], found["left"]) == (0, 0)
        _, err = terminal.communicate(timeout=PATIENCE)
    problem = json.loads(err.strip().splitlines()[-1])
    assert problem["code"] == "canary_silent", err
    assert f"callers that {number} got as a canary left without an answer" in problem["detail"]
    assert {text for status, text in callers.answers if status == 200} == {"one"}
    assert fleet.ask() == (200, "one")
    assert [mark["version"] for mark in fleet.production()["marks"]] == [number]


def test_paused_it_stays_at_its_share_and_resumed_it_goes_on(fleet: Fleet) -> None:
    number = fleet.arrive("two", rest=canary("[50, 100]", f"{HOLD}s"))
    with fleet.called() as callers, fleet.promoting() as terminal:
        fleet.until(at_half)
        for _ in range(2):
            fleet.platform.cs("rollout:pause", *fleet.words)
        callers.answers.clear()
        time.sleep(HOLD + 2)
        still = fleet.status()
        assert at_half(still)
        assert still["deployment"]["canary"]["paused"]
        assert still["requests"] > 10
        assert still["failures"] == 0
        assert callers.seen("one", "two"), callers.answers
        one, two = (callers.answers[200, text] for text in ("one", "two"))
        assert 0.35 < two / (one + two) < 0.65
        assert terminal.poll() is None
        fleet.platform.cs("rollout:resume", *fleet.words)
        _, err = terminal.communicate(timeout=PATIENCE)
    assert terminal.returncode == 0, err
    assert callers.failures == 0, callers.answers
    assert "paused the canary" in err
    assert fleet.production()["version"] == number


def test_an_abort_ends_the_waiting_of_both_terminals(fleet: Fleet) -> None:
    number = fleet.arrive("two", rest=canary("[50, 100]", "1h"))
    with fleet.called() as callers, fleet.promoting() as terminal:
        fleet.until(at_half)
        aborted = fleet.platform.run("rollout:abort", *fleet.words)
        _, err = terminal.communicate(timeout=PATIENCE)
    assert aborted.returncode == 0, aborted.stderr
    assert terminal.returncode == 1
    assert json.loads(err.strip().splitlines()[-1])["code"] == "aborted"
    assert callers.failures == 0, callers.answers
    after = fleet.status()
    assert not after["under_way"]
    assert {fleet.ask() for _ in range(20)} == {(200, "one")}
    assert [mark["version"] for mark in after["deployment"]["marks"]] == [number]
    undo = f"cs project:service:roll {' '.join(fleet.words)} --version {number}"
    assert aborted.stdout.endswith(f"Undo: {undo}\n")
    assert fleet.platform.run(*undo.split()[1:]).returncode == 0
    assert fleet.ask() == (200, "two")
    assert fleet.production()["marks"] == []
    refusal = fleet.platform.refused("rollout:abort", *fleet.words)
    assert refusal["code"] == "nothing_under_way"


def test_a_rollback_stays_put_until_somebody_says_otherwise(fleet: Fleet) -> None:
    number = fleet.arrive("two")
    fleet.platform.cs(*fleet.promotion)
    rolled = fleet.roll("0.0.1")
    assert rolled["deployment"]["hold"]["reason"] == f"rolled back from {number} to 0.0.1"
    told = fleet.refused("held", "--force")
    assert told["hint"] == f"cs unhold {' '.join(fleet.words)}"
    fleet.platform.cs(*told["hint"].split()[1:])
    fleet.refused("marked")
    fleet.platform.cs(*fleet.promotion, "--force")
    assert fleet.ask() == (200, "two")
    after = fleet.production()
    assert (after["hold"], after["marks"], after["previous"]) == (None, [], "0.0.1")

    fleet.platform.cs("hold", *fleet.words, "--reason", "the fair")
    fleet.roll("0.0.1")
    fleet.roll(number)
    assert fleet.production()["hold"]["reason"] == "the fair"
    fleet.platform.cs("unhold", *fleet.words)
    assert fleet.production()["hold"] is None


def test_a_young_version_that_keeps_crashing_gives_way_and_what_came_back_does_not(
    fleet: Fleet,
) -> None:
    number = fleet.arrive("two")
    fleet.platform.cs(*fleet.promotion)
    fleet.die(lambda: fleet.events("returning"))
    fleet.until(lambda found: not found["under_way"])
    after = fleet.production()
    assert (after["version"], after["hold"]["by"]) == ("0.0.1", "codestore")
    assert [mark["version"] for mark in after["marks"]] == [number]
    assert "0.0.1" in fleet.events("returning")[0]
    assert fleet.ask() == (200, "one")
    fleet.refused("held")

    fleet.platform.cs("unhold", *fleet.words)
    crashes = len(fleet.events("instance_ended"))
    fleet.die(lambda: len(fleet.events("instance_ended")) >= crashes + 4)
    time.sleep(3)
    still = fleet.production()
    assert (still["version"], still["hold"]) == ("0.0.1", None)
    assert len(fleet.events("returning")) == 1


def test_what_sleeps_is_promoted_all_at_once(fleet: Fleet) -> None:
    sleepy = "environments: {staging: {standby: 1s}}\n"
    fleet.arrive("two", rest=sleepy)
    number = fleet.small.push()["version"]
    fleet.platform.cs("promote", fleet.small.name)
    promote = ["project:service:promote", fleet.project, fleet.small.name, "--to"]
    fleet.platform.cs(*promote, "development")
    deadline = time.monotonic() + PATIENCE
    staging = ""
    while staging != "standby":
        assert time.monotonic() < deadline
        time.sleep(0.2)
        found = fleet.get(f"projects/{fleet.project}/services/{fleet.small.name}")
        staging = found["environments"]["staging"]["state"]
    done = fleet.platform.run(*promote, "staging", "--canary", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version"] == number
    assert "% of the requests go to" not in done.stderr
