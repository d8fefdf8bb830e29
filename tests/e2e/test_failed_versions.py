"""A version that cannot serve never does: the one before goes on, and the reason is told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.e2e.services import GOOD, PLAIN, Small, concluded, never_failing, until
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
HASTY = PLAIN.replace("20s", "3s")
COMMAND = "database: false\nhealth: {path: /, timeout: 2s}\nrun: {command: %s}\n"
HANG = GOOD.replace(
    '    if scope["type"] == "http":',
    '    if scope["type"] == "http":\n        print("thinking", flush=True)\n'
    "        import asyncio; await asyncio.sleep(60)",
)
SICK = GOOD.replace("200", "500").replace(
    '    if scope["type"] == "http":', '    if scope["type"] == "http":\n        print("so sick")'
)


@dataclass(frozen=True)
class Bad:
    """What to push, and what the problem must say."""

    code: str
    says: tuple[str, ...]
    app: str | None = None
    rest: str = PLAIN
    files: dict[str, str] = field(default_factory=dict)


CASES = {
    "no such package version": Bad(
        "build_failed",
        ("six==99.99.99", "no version"),
        files={"requirements__txt": "six==99.99.99\n"},
    ),
    "import error": Bad(
        "start_failed", ("exit code 1", "nosuchmodule"), "print('importing')\nimport nosuchmodule\n"
    ),
    "syntax error": Bad("start_failed", ("exit code 1", "SyntaxError"), "def :\n"),
    "no such attribute": Bad("start_failed", ("no 'app'",), "other = 1\n"),
    "exits at once": Bad(
        "start_failed",
        ("exit code 7", "famous last words"),
        "import os\nprint('famous last words', flush=True)\nos._exit(7)\n",
    ),
    "killed at once": Bad(
        "start_failed", ("SIGKILL",), "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    ),
    "exits at once with 0": Bad(
        "start_failed", ("exit code 0", "enough"), rest=COMMAND % '["sh", "-c", "echo enough"]'
    ),
    "command not found": Bad(
        "cannot_run", ("no-such-program", "No such file"), rest=COMMAND % "[no-such-program]"
    ),
    "never listens": Bad(
        "start_timeout",
        ("not ready within", "deaf"),
        rest=COMMAND % '["sh", "-c", "echo deaf; exec sleep 60"]',
    ),
    "health answers 500": Bad("unhealthy", ("answered 500", "so sick"), SICK, HASTY),
    "health hangs": Bad("unhealthy", ("did not answer", "thinking"), HANG, HASTY),
    "no such health path": Bad(
        "unhealthy",
        ("/nothing answered 404",),
        GOOD.replace("200", "200 if scope['path'] == '/' else 404"),
        HASTY.replace("path: /", "path: /nothing"),
    ),
    "migration fails": Bad(
        "migration_failed",
        ("exit code 3", "no such column"),
        rest=PLAIN + 'migrate: ["sh", "-c", "echo no such column >&2; exit 3"]\n',
    ),
    "migration not found": Bad(
        "migration_failed",
        ("no-such-migrator", "No such file"),
        rest=PLAIN + "migrate: no-such-migrator up\n",
    ),
}


@pytest.fixture(scope="module")
def small(platform: Platform) -> Iterator[Small]:
    """A service that serves ``old`` in private and demo before every test."""
    made = Small(platform, "victim")
    made.create()
    yield made
    platform.cs("service:remove", "victim", "--yes")


@pytest.fixture(autouse=True)
def old_serves(small: Small) -> None:
    assert small.said() == small.said("demo") == "old"


@pytest.mark.parametrize("name", CASES)
def test_the_old_version_goes_on_and_the_cause_is_told(small: Small, name: str) -> None:
    bad = CASES[name]
    before = small.info()
    small.write(app=bad.app, rest=bad.rest, **bad.files)
    with never_failing(small, "old"):
        problem = small.push_refused()
        assert problem["code"] == bad.code
        assert problem["title"]
        told = problem["detail"].splitlines()
        for words in bad.says:
            assert words in problem["detail"], problem["detail"]
        assert len(told) < 30
        after = small.info()
        for place in ("private", "demo"):
            for key in ("version", "digest", "url", "key", "state", "instances", "deployed_at"):
                assert after[place][key] == before[place][key], key
        assert after["private"]["state"] == "ready"
        small.write()
        good = small.push()  # the next good one works
    assert small.info()["private"]["version"] == good["version"]


@pytest.mark.parametrize("name", ["import error", "never listens"])
def test_the_letter_says_what_to_type_next(small: Small, name: str) -> None:
    bad = CASES[name]
    small.write(app=bad.app, rest=bad.rest, **bad.files)
    assert small.push_refused()["hint"]


def test_the_last_lines_are_those_of_the_version_that_failed(small: Small) -> None:
    small.write(app="import os\nprint('of the one before', flush=True)\nos._exit(1)\n")
    assert "of the one before" in small.push_refused()["detail"]
    small.write(app="import os\nprint('mine', flush=True)\nos._exit(2)\n")
    detail = small.push_refused()["detail"]
    assert "mine" in detail
    assert "of the one before" not in detail


def test_what_the_table_says_is_a_short_letter_with_the_cause(small: Small) -> None:
    small.write(app="import os\nprint('last words', flush=True)\nos._exit(9)\n")
    done = small.platform.run("push", "--dir", str(small.folder))
    assert done.returncode == 1
    assert done.stdout == ""
    for words in ("does not start", "exit code 9", "last words", "start_failed"):
        assert words in done.stderr
    assert "Undo" not in done.stderr  # there is nothing to undo
    assert "Traceback" not in done.stderr


def test_who_looks_later_is_not_told_of_success(small: Small) -> None:
    small.write(app="import os\nos._exit(1)\n")
    deployment = small.push("--detach")["deployment"]
    assert concluded(small.platform, deployment)["succeeded"] is False
    # Serves as before, and the failed one's remains go in the next turn: nothing more will happen.
    until(lambda: small.platform.run("plan", "-s", "victim").returncode == 0)
    assert concluded(small.platform, deployment)["succeeded"] is False


def test_a_failed_version_is_never_public(small: Small) -> None:
    small.write(app="import os\nos._exit(1)\n")
    small.push_refused()
    versions = small.platform.cs("version:list", "victim")
    assert versions[-1]["published_at"] is None
    number = versions[-1]["version"]
    roll = ("service:roll", "victim", "--env", "demo", "--version", number)
    assert small.platform.refused(*roll)["code"] == "published_version_not_found"
    roll = ("service:roll", "victim", "--env", "private", "--version", number)
    assert small.platform.refused(*roll)["code"] == "start_failed"


def test_one_environment_of_three_that_fails_is_no_success(
    platform: Platform, small: Small
) -> None:
    """It exits with 1, names the one, and the others are told as they are."""
    platform.cs("project:create", "partly")
    try:
        staging = platform.cs("env:show", "partly/staging")["id"]
        good = GOOD.replace("TEXT", "old")
        picky = (
            f"import os\n"
            f"if os.environ['ENVIRONMENT_ID'] == {staging!r}:\n"
            f"    print('not here', flush=True)\n    os._exit(4)\n"
        ) + good

        def publish(app: str) -> None:
            small.write(app=app)
            small.push()
            platform.cs("promote", "victim")

        publish(picky)
        problem = platform.refused("project:service:add", "partly", "victim")
        assert (problem["code"], "not here" in problem["detail"]) == ("start_failed", True)
        places = platform.cs("project:service:info", "partly", "victim")["environments"]
        assert {name: place["state"] for name, place in places.items()} == {
            "development": "ready",
            "staging": "failed",
            "production": "ready",
        }
        assert places["staging"]["failure"]["code"] == "start_failed"
        problem = platform.refused("project:service:add", "partly", "victim")
        assert problem["code"] == "already_included"
        platform.cs("project:service:remove", "partly", "victim", "--yes")
        publish(good)
        platform.cs("project:service:add", "partly", "victim")
        publish(picky)
        step = ("project:service:promote", "partly", "victim", "--to")
        platform.cs(*step, "development")
        problem = platform.refused(*step, "staging")
        assert problem["code"] == "start_failed"
        after = platform.cs("project:service:info", "partly", "victim")["environments"]
        assert after["staging"]["state"] == "ready"
        assert after["staging"]["version"] == after["production"]["version"]
        assert after["staging"]["version"] != after["development"]["version"]
    finally:
        platform.run("project:service:remove", "partly", "victim", "--yes")
        platform.cs("project:delete", "partly", "--yes")


def test_a_service_whose_first_version_fails_is_there_and_can_be_mended(
    platform: Platform,
) -> None:
    small = Small(platform, "stillborn")
    small.write(app="import os\nprint('never lived', flush=True)\nos._exit(1)\n")
    create = ("service:create", "stillborn", "--dir", str(small.folder), "-o", "json")
    done = platform.run(*create)
    try:
        assert (done.returncode, done.stdout) == (1, "")
        problems = [json.loads(line) for line in done.stderr.splitlines() if line[:1] == "{"]
        (problem,) = problems  # one, of both environments
        assert (problem["code"], problem["where"]) == ("start_failed", "private, demo")
        assert problem["detail"].count("never lived") == 2
        info = small.info()
        assert {place["state"] for place in info.values()} == {"failed"}
        assert {place["version"] for place in info.values()} == {None}
        assert platform.refused("promote", "stillborn")["code"] == "nothing_live"
        small.write(text="alive")
        small.push()
        assert small.said() == "alive"
        platform.cs("promote", "stillborn")
        assert small.said("demo") == "alive"
    finally:
        platform.cs("service:remove", "stillborn", "--yes")


def test_a_promotion_that_fails_leaves_demo_as_it_was(platform: Platform, small: Small) -> None:
    """The build is the same; what it meets on demo is not."""
    app = "import os, pathlib\nif (pathlib.Path.home() / 'hurdle').exists():\n    os._exit(5)\n"
    small.write(app=app + GOOD.replace("TEXT", "old"))
    pushed = small.push()
    before = small.info()["demo"]
    hurdle = platform.data / "work" / before["id"] / "home" / "hurdle"  # its HOME: seen by no other
    hurdle.touch()
    try:
        with never_failing(small, "old"):
            problem = platform.refused("promote", "victim")
        assert (problem["code"], "exit code 5" in problem["detail"]) == ("start_failed", True)
        assert small.info()["demo"]["version"] == before["version"] != pushed["version"]
    finally:
        hurdle.unlink()
    assert platform.cs("promote", "victim")["digest"] == pushed["digest"]
