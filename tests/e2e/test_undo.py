"""Every change ends with the command that undoes it, and that command does."""

import shlex
from collections.abc import Iterator

import pytest

from tests.e2e.services import Small
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


@pytest.fixture
def small(platform: Platform) -> Iterator[Small]:
    made = Small(platform, "undone")
    made.create()
    yield made
    platform.run("service:remove", "undone", "--yes")


def undo_of(platform: Platform, *words: str) -> list[str]:
    """Make a change; return the words of the command that it says will undo it."""
    done = platform.run(*words)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("Undo: cs "), done.stdout
    return shlex.split(last.removeprefix("Undo: cs "))


def test_a_push_is_undone(platform: Platform, small: Small) -> None:
    small.write("new")
    undo = undo_of(platform, "push", "--dir", str(small.folder))
    assert small.said() == "new"
    redo = undo_of(platform, *undo)
    assert (small.said(), small.info()["private"]["version"]) == ("old", "0.0.1")
    platform.cs(*redo)
    assert (small.said(), small.info()["private"]["version"]) == ("new", "0.0.2")
    assert small.push()["version"] == "0.0.3"


def test_a_promotion_is_undone(platform: Platform, small: Small) -> None:
    small.write("new")
    small.push()
    undo = undo_of(platform, "promote", "undone")
    assert small.said("demo") == "new"
    platform.cs(*undo)
    assert small.said("demo") == "old"
    latest = [held["version"] for held in platform.cs("version:list", "undone") if held["latest"]]
    assert latest == ["0.0.1"]


def test_changes_in_a_project_are_undone(platform: Platform, small: Small) -> None:
    platform.cs("project:create", "undoing")
    try:
        add = ("project:service:add", "undoing", "undone")
        platform.cs(*undo_of(platform, *add))
        assert platform.cs("project:service:list", "undoing") == []
        platform.cs(*add)
        small.write("new")
        small.push()
        platform.cs("promote", "undone")

        def versions() -> list[str]:
            found = platform.cs("project:service:info", "undoing", "undone")["environments"]
            return [found[name]["version"] for name in ("development", "staging", "production")]

        promote = ("project:service:promote", "undoing", "undone", "--to", "development")
        undo = undo_of(platform, *promote)
        assert versions() == ["0.0.2", "0.0.1", "0.0.1"]
        platform.cs(*undo)
        assert versions() == ["0.0.1", "0.0.1", "0.0.1"]
        roll = ("project:service:roll", "undoing", "undone", "--env", "production")
        undo = undo_of(platform, *roll, "--version", "latest")
        assert versions() == ["0.0.1", "0.0.1", "0.0.2"]
        platform.cs(*undo)
        assert versions() == ["0.0.1", "0.0.1", "0.0.1"]
    finally:
        platform.run("project:service:remove", "undoing", "undone", "--yes")
        platform.cs("project:delete", "undoing", "--yes")


def test_a_creation_is_undone(platform: Platform) -> None:
    made = Small(platform, "regretted")
    made.write()
    undo = undo_of(platform, "service:create", "regretted", "--dir", str(made.folder))
    platform.cs(*undo)
    assert platform.refused("service:info", "regretted")["code"] == "service_not_found"


def test_the_creation_of_a_project_is_undone(platform: Platform) -> None:
    try:
        undo = undo_of(platform, "project:create", "regretted")
    finally:
        platform.run("project:delete", "regretted", "--yes")
    assert undo == ["project:delete", "regretted", "--yes"]


def test_what_undoes_a_removal_can_be_typed(platform: Platform, small: Small) -> None:
    """The data is gone for good, and said so; the command itself is one."""
    done = platform.run("service:remove", "undone", "--yes")
    undo = done.stdout.strip().splitlines()[-1]
    assert "(" not in undo


def test_with_json_the_undo_is_told_beside_the_answer(platform: Platform, small: Small) -> None:
    small.write("new")
    done = platform.run("push", "--dir", str(small.folder), "-o", "json")
    assert "Undo" not in done.stdout
    assert "Undo: cs service:roll undone --env private --version 0.0.1" in done.stderr
