"""Secrets on a real platform: given to services, changed under load, and found nowhere else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.services import HEALTH, RUN, Small, api
from tests.e2e.test_standby import Sleeper
from tests.support.platform import KEY, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
APP = """
import os, sys
TOKEN = os.environ.get("TOKEN", "none")
print("I was given", TOKEN, flush=True)
sys.stderr.write("in two: " + TOKEN[:7]); sys.stderr.flush()
sys.stderr.write(TOKEN[7:] + "\\n"); sys.stderr.flush()

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": TOKEN.encode()})
"""
PLAIN = f"database: false\n{RUN}{HEALTH}"
ASLEEP = "environments: {private: {standby: 1s, stop: 2s}}\n"


def made(platform: Platform, name: str, rest: str = PLAIN) -> Small:
    small = Small(platform, name)
    small.write(app=APP, rest=rest)
    platform.cs("service:create", name, "--dir", str(small.folder))
    return small


def tell(small: Small, word: str, value: str, *where: str) -> Any:
    scope = where or ("-s", small.name, "-e", "private")
    return small.platform.cs(f"secret:{word}", *scope, "-k", "TOKEN", typed=f"{value}\n")


@contextmanager
def only(small: Small, *texts: str) -> Iterator[list[str]]:
    """Callers ask private all the time; whoever is answered anything but these texts failed."""
    place = small.info()["private"]
    done, heard = threading.Event(), list[str]()

    def call() -> None:
        with httpx.Client(headers={KEY: place["key"]}, timeout=20, verify=False) as web:
            while not done.is_set():
                answer = web.get(place["url"])
                heard.append(f"{answer.status_code} {answer.text}")
                done.wait(0.01)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield heard
    finally:
        done.set()
        thread.join()
    assert set(heard) == {f"200 {text}" for text in texts}


def test_a_secret_reaches_the_service_and_nothing_else(platform: Platform) -> None:
    old, new = f"old-{token_hex(16)}", f"new-{token_hex(16)}"
    small = Small(platform, "sealed")
    small.write(app=APP, rest=f"{PLAIN}secrets: [TOKEN]\n")
    problem = platform.refused("service:create", "sealed", "--dir", str(small.folder))
    assert problem["code"] == "secret_missing"
    assert "TOKEN" in problem["detail"]

    tell(small, "add", old, "-s", "sealed")
    assert small.said() == small.said("demo") == old
    with only(small, old, new) as heard:
        changed = tell(small, "add", new)
        assert [each["environment"] for each in changed["deployments"]] == ["private"]
    assert heard.index(f"200 {new}") > len(heard) - heard[::-1].index(f"200 {old}") - 1
    assert (small.said(), small.said("demo")) == (new, old)

    shown = [
        platform.run("secret:list", "-s", "sealed", "-e", "private").stdout,
        platform.run("secret:explain", "TOKEN", "-s", "sealed", "-e", "private").stdout,
        platform.run("logs", "-s", "sealed").stdout,
        platform.run("events", "-s", "sealed", "-n", "200").stdout,
        platform.run("plan", "-s", "sealed").stdout,
        platform.run("service:info", "sealed", "-o", "json").stdout,
    ]
    assert all(shown)
    assert "I was given [hidden]" in shown[2] and "in two: [hidden]" in shown[2]
    assert "environment sealed/private" in shown[0]
    for value in (old, new):
        assert not [each for each in shown if value in each]
        assert found_on_disk(platform, value) == []
        assert found_in_processes(value) == []
    revealed = platform.cs("secret:list", "-s", "sealed", "-e", "private", "--reveal")
    assert [(each["key"], each["value"]) for each in revealed] == [("TOKEN", new)]


def found_on_disk(platform: Platform, value: str) -> list[Path]:
    """Return every file of the platform that holds the value; the database is written out first."""
    files = [path for path in platform.home.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if value.encode() in content(path)]


def content(path: Path) -> bytes:
    """Return what is in a file; nothing is in one that the platform has just removed."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def found_in_processes(value: str) -> list[str]:
    """Return every process that names the value; an instance may know it from its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            line, environment = " ".join(process.cmdline()), process.environ()
        except psutil.Error:
            continue
        own = "codestore_sdk.serve" in line
        if value in line or (value in str(environment) and not own):
            found.append(line)
    return found


MIGRATE = """
import os
print("migrating", os.environ["DATABASE_URL"], os.environ["DATABASE_PASSWORD"], os.environ["TOKEN"])
"""
MIGRATED = f"migrate: [python3, migrate.py]\nsecrets: [TOKEN]\n{RUN}{HEALTH}"


def test_a_way_back_brings_the_value_of_then_and_migrations_have_it_too(
    platform: Platform,
) -> None:
    small = made(platform, "backsecret")
    tell(small, "add", "value-of-then")
    small.write(app=APP, rest=MIGRATED, migrate__py=MIGRATE)
    small.push()
    logs = platform.run("logs", "-s", small.name, "-n", "200").stdout
    assert "migrating [hidden] [hidden] [hidden]" in logs
    tell(small, "update", "value-of-now")
    assert small.said() == "value-of-now"
    platform.cs("service:roll", small.name, "--env", "private", "--version", "0.0.1")
    assert small.said() == "value-of-then"


class Sealed(Sleeper):
    """A service that says its secret, and falls asleep soon."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.platform = platform
        self.small = made(platform, name, f"{PLAIN}{ASLEEP}")


@pytest.mark.parametrize("depth", ["frozen", "stopped"])
def test_whoever_sleeps_wakes_with_the_newest_value(platform: Platform, depth: str) -> None:
    sleeper = Sealed(platform, f"sealed-{depth}")
    small = sleeper.small
    last = sleeper.asleep(depth)
    tell(small, "add", "first-value")
    last = sleeper.asleep(depth, last)
    assert small.said() == "first-value"
    last = sleeper.asleep(depth, last)
    tell(small, "update", "second-value")
    last = sleeper.asleep(depth, last)
    place = small.info()["private"]
    control = psutil.Process(platform.status()["processes"]["control"])
    control.kill()
    control.wait(30)
    assert small.said(place=place) == "second-value"  # who wakes it needs nobody's help
    last = sleeper.asleep(depth, last)
    where = ("-s", small.name, "-e", "private")
    assert platform.cs("secret:remove", *where, "-k", "TOKEN", "--yes")["set"] is False
    sleeper.asleep(depth, last)
    assert small.said() == "none"


def test_keys_are_replaced_while_everything_goes_on(platform: Platform) -> None:
    small = made(platform, "rekeyed")
    tell(small, "add", "a-value-that-stays")
    before = (platform.data / "keyring.json").read_text()
    with only(small, "a-value-that-stays"):
        done = platform.cs("secret:rekey")
        assert done["data_keys"] >= 1 and done["secrets"] >= 2
    assert (platform.data / "keyring.json").read_text() != before
    revealed = platform.cs("secret:list", "-s", small.name, "-e", "private", "--reveal")
    assert revealed[0]["value"] == "a-value-that-stays"
    small.push()
    assert small.said() == "a-value-that-stays"


def test_a_value_on_the_command_line_is_refused(platform: Platform) -> None:
    small = made(platform, "spoken")
    said = ("secret:add", "-s", small.name, "-k", "TOKEN", "-v", "spoken-aloud")
    problem = platform.refused(*said, code=2)
    assert problem["code"] == "usage"
    assert "spoken-aloud" not in str(problem)
    with api(platform) as web:
        assert web.get("/api/secrets", params={"service": small.name}).json()["items"] == []
