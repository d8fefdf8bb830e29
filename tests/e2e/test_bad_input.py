"""Bad input is refused with a reason, and everything is as it was."""

import concurrent.futures
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.services import PLAIN, RUN, Small, api, archive, concluded, unchanged
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
MANIFEST = b"service: steady\ndatabase: false\nrun: {asgi: 'app.main:app'}\n"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def small(platform: Platform) -> Iterator[Small]:
    made = Small(platform, "steady")
    made.create()
    yield made
    platform.cs("service:remove", "steady", "--yes")


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def bomb(mebibytes: int) -> bytes:
    """Return a few kilobytes that become large."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as tar:
        tar.addfile(_sized("codestore.yaml", len(MANIFEST)), io.BytesIO(MANIFEST))
        size = mebibytes * MEBIBYTE
        tar.addfile(_sized("large.bin", size), io.BytesIO(bytes(size)))
    return target.getvalue()


def _sized(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def raw(**members: Any) -> bytes:
    return archive({"codestore.yaml": MANIFEST, "app/main.py": b"app = None\n", **members})


WHOLE = raw()
ARCHIVES = {
    "empty": (b"", "broken_archive"),
    "not an archive": (b"just some words" * 100, "broken_archive"),
    "cut short": (WHOLE[: len(WHOLE) // 2], "broken_archive"),
    "damaged inside": (WHOLE[:40] + b"\xff" * 20 + WHOLE[60:], "broken_archive"),
    "something behind it": (WHOLE + b"more", "broken_archive"),
    "a zip": (b"PK\x03\x04" + bytes(600), "broken_archive"),
    "leaves the folder": (raw(**{"../evil": b"x"}), "bad_path"),
    "leaves it in the middle": (raw(**{"app/../../evil": b"x"}), "bad_path"),
    "from the root": (raw(**{"/etc/evil": b"x"}), "bad_path"),
    "a link out": (raw(link=special(tarfile.SYMTYPE, "../../etc/passwd")), "bad_link"),
    "a link to the root": (raw(link=special(tarfile.SYMTYPE, "/etc/passwd")), "bad_link"),
    "a second name of a stranger": (raw(hard=special(tarfile.LNKTYPE, "/etc/passwd")), None),
    "a device": (raw(null=special(tarfile.CHRTYPE)), "bad_file"),
    "a pipe": (raw(pipe=special(tarfile.FIFOTYPE)), "bad_file"),
    "no manifest": (archive({"app/main.py": b"x"}), "no_manifest"),
    "another service": (archive({"codestore.yaml": b"service: other\n"}), None),
    "not UTF-8": (archive({"codestore.yaml": b"service: \xff\n"}), "bad_manifest"),
    "the same file twice": (raw(**{"app/./main.py": b"y"}), None),
    "200 MiB in a small archive": (bomb(200), "archive_too_large"),
    "200 MiB": (bytes(200 * MEBIBYTE), "archive_too_large"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_none(platform: Platform, small: Small, name: str) -> None:
    content, code = ARCHIVES[name]
    with unchanged(small), api(platform) as web:
        answer = web.post("/api/services/steady/versions", content=content)
        assert answer.status_code == (413 if "200 MiB" in name else 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert code is None or problem["code"] == code, problem
        for member in ("title", "detail", "hint"):
            assert problem[member], member
        if code in ("bad_path", "bad_link", "bad_file"):
            assert '"' in problem["detail"]  # names the file


def test_200_mebibytes_are_refused_before_they_are_sent(platform: Platform, small: Small) -> None:
    small.write()
    with (small.folder / "large.bin").open("wb") as file:
        file.truncate(200 * MEBIBYTE)
    with unchanged(small):
        problem = small.push_refused()
    assert problem["code"] == "archive_too_large"
    assert "large.bin" in problem["detail"]
    assert "200.0 MiB" in problem["detail"]
    assert ".codestoreignore" in problem["hint"]


@pytest.mark.parametrize(
    ("rest", "says", "line"),
    [
        (PLAIN + "colour: blue\n", "colour", 5),
        ("database: maybe\n" + RUN, "database", 2),
        ("health: {path: /, timeout: 10 years}\n" + PLAIN[: PLAIN.index("health")], "timeout", 2),
        ("health: {path: health}\n" + RUN, "path", 2),
        ("health: {path: /, port: 1}\n" + RUN, "port", 2),
        ("run: {asgi: app.main}\n", "run", 2),
        ("run: {asgi: 'a:b', command: [x]}\n", "run", 2),
        ("version: one\n" + PLAIN, "version", 2),
        ("version: 1.0.0\nversion: 1.0.1\n" + PLAIN, "version", 3),
        ("environments: {private: {instances: {max: 99}}}\n" + PLAIN, "max", 2),
        ("environments: {production: {standby: 5m}}\n" + PLAIN, "standby", 2),
        ("environments: {mars: {}}\n" + PLAIN, "mars", 2),
        ("redis: true\n" + PLAIN, "redis", 2),
        ("python: {lock: nothing.lock}\n" + PLAIN, "nothing.lock", 2),
        ("a: &a [*a]\n", "a", 2),
        ("\tx: 1\n", "", 2),
    ],
)
def test_a_manifest_that_says_something_impossible(
    small: Small, rest: str, says: str, line: int
) -> None:
    small.write(rest=rest)
    with unchanged(small):
        done = small.platform.run("push", "--dir", str(small.folder))
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    assert says in done.stderr
    assert f"codestore.yaml:{line}" in done.stderr, done.stderr
    assert "hint" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name", ["ünïcode", "日本語", "a" * 300, "Steady", "a b", "x.y", "'; DROP TABLE x; --"]
)
def test_a_name_that_is_none(platform: Platform, small: Small, name: str) -> None:
    with unchanged(small):
        problem = platform.refused("project:create", name)
        assert problem["code"] == "bad_name"
        assert "a-z, 0-9 and -" in problem["hint"]
        if len(name) < 100:
            small.write()
            create = ("service:create", name, "--dir", str(small.folder))
            assert platform.refused(*create)["code"] == "bad_name"
        assert platform.refused("service:info", name)["code"] == "service_not_found"
        assert not (platform.home / name[:200]).exists()


def test_a_name_that_is_taken(platform: Platform, small: Small) -> None:
    small.write(text="another")
    platform.cs("project:create", "taken")
    try:
        with unchanged(small):
            create = ("service:create", "steady", "--dir", str(small.folder))
            problem = platform.refused(*create)
            assert problem["code"] == "service_exists"
            assert problem["hint"]
            problem = platform.refused("project:create", "taken", "-d", "another")
            assert problem["code"] == "project_exists"
    finally:
        platform.cs("project:delete", "taken", "--yes")


def test_a_version_that_goes_backwards_or_was_there(platform: Platform) -> None:
    small = Small(platform, "numbered")
    small.create()
    try:
        small.write("two", rest="version: 0.2.0\n" + PLAIN)
        assert small.push()["version"] == "0.2.0"
        small.write("two again", rest="version: 0.2.0\n" + PLAIN)
        assert small.push()["version"] == "0.2.1"  # as it was: goes up by itself
        small.write("three", rest="version: 0.3.0\n" + PLAIN)
        assert small.push()["version"] == "0.3.0"
        for number, code in (("0.1.0", "version_backwards"), ("0.2.0", "version_taken")):
            small.write("not this", rest=f"version: {number}\n{PLAIN}")
            with unchanged(small):
                problem = small.push_refused()
                assert problem["code"] == code
                assert number in problem["detail"]
                assert "0.3.1" in problem["hint"]
    finally:
        platform.cs("service:remove", "numbered", "--yes")


@pytest.fixture
def gated(platform: Platform) -> Iterator[Small]:
    """A service whose migrations wait as long as there is a ``hold``."""
    made = Small(platform, "gated")
    gate = '["sh", "-c", "while [ -e $HOME/hold ]; do sleep 0.02; done"]'
    made.create()
    made.write("new", rest=PLAIN + f"migrate: {gate}\n")
    holds = [hold(made, environment) for environment in ("private", "demo")]
    yield made
    for file in holds:
        file.unlink(missing_ok=True)
    platform.run("service:remove", "gated", "--yes")


def hold(gated: Small, environment: str) -> Path:
    """Return the file that holds the migrations in an environment: in its ``HOME``."""
    deployment = gated.info()[environment]["id"]
    return gated.platform.data / "work" / deployment / "home" / "hold"


def test_two_pushes_at_once(platform: Platform, gated: Small) -> None:
    """One of them is taken; the others are told by whom, and everything else must wait too."""
    held = hold(gated, "private")
    held.touch()
    content = archive(
        {
            path.name if path.parent == gated.folder else "app/main.py": path.read_bytes()
            for path in (gated.folder / "codestore.yaml", gated.folder / "app/main.py")
        }
    )

    def push(_: int) -> Any:
        with api(platform) as web:
            return web.post("/api/services/gated/versions", content=content)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(push, range(6)))
    taken = [answer for answer in answers if answer.status_code == 202]
    assert len(taken) == 1
    for answer in answers:
        if answer not in taken:
            assert (answer.status_code, answer.json()["code"]) == (409, "busy")
    problem = gated.push_refused()
    assert problem["code"] == "busy"
    assert "private is being changed by owner since" in problem["detail"]
    assert "push 0.0.2" in problem["detail"]
    assert "cs events" in problem["hint"]
    assert platform.refused("promote", "gated")["code"] == "busy"
    roll = ("service:roll", "gated", "--env", "private", "--version", "0.0.1")
    assert platform.refused(*roll)["code"] == "busy"
    assert gated.said() == "old"
    assert len(platform.cs("version:list", "gated")) == 2
    held.unlink()
    (wait,) = taken[0].json()["waits"]
    end = concluded(platform, {"id": wait["deployment"], "generation": wait["generation"]})
    assert end["succeeded"]
    assert gated.said() == "new"
    assert gated.push()["version"] == "0.0.3"


def test_a_push_during_a_promotion(platform: Platform, gated: Small) -> None:
    gated.push()
    held = hold(gated, "demo")
    held.touch()
    deployment = platform.cs("promote", "gated", "--detach")["deployment"]
    assert deployment["state"] == "deploying"
    problem = gated.push_refused()
    assert problem["code"] == "busy"
    assert "demo is being changed by owner" in problem["detail"]
    assert "promote 0.0.2" in problem["detail"]
    assert platform.refused("promote", "gated")["code"] == "busy"
    platform.cs("project:create", "impatient")
    problem = platform.refused("project:service:add", "impatient", "gated")
    assert problem["code"] == "busy"
    platform.cs("project:delete", "impatient", "--yes")
    assert (gated.said(), gated.said("demo")) == ("new", "old")
    held.unlink()
    assert concluded(platform, deployment)["succeeded"]
    assert gated.said("demo") == "new"
    assert gated.push()["version"] == "0.0.3"


def test_a_removal_ends_a_push_that_is_under_way(platform: Platform, gated: Small) -> None:
    held = hold(gated, "private")
    held.touch()
    gated.push("--detach")
    removing = platform.run("service:remove", "gated", "--yes", "--detach")
    assert removing.returncode == 0
    held.unlink(missing_ok=True)
    platform.run("service:remove", "gated", "--yes")
    assert platform.refused("service:info", "gated")["code"] == "service_not_found"


def test_what_is_not_there(platform: Platform, small: Small) -> None:
    platform.cs("project:create", "empty-one")
    asked = {
        ("service:info", "nobody"): "service_not_found",
        ("promote", "nobody"): "service_not_found",
        ("version:list", "nobody"): "service_not_found",
        ("service:remove", "nobody", "--yes"): "service_not_found",
        ("pull", "steady", "--version", "9.9.9", "--dir", "no-such-folder"): "version_not_found",
        ("project:info", "nobody"): "project_not_found",
        ("project:service:add", "empty-one", "nobody"): "service_not_found",
        ("project:service:info", "empty-one", "steady"): "service_in_this_project_not_found",
        ("env:show", "steady/production"): "project_not_found",
        ("env:show", "empty-one/mars"): "service_not_found",
        ("logs", "-s", "nobody"): "service_not_found",
        ("logs", "-s", "steady", "-e", "mars"): "bad_environment",
        ("events", "-p", "nobody"): "project_not_found",
        ("plan", "-s", "nobody"): "service_not_found",
        ("promote", "steady"): "already_there",
    }
    try:
        with unchanged(small), concurrent.futures.ThreadPoolExecutor(4) as pool:
            problems = pool.map(lambda words: platform.refused(*words), asked)
            for words, problem in zip(asked, problems, strict=True):
                assert problem["code"] == asked[words], words
                assert problem["title"]
                assert problem["detail"]
    finally:
        platform.cs("project:delete", "empty-one", "--yes")
