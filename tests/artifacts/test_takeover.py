"""What a build left is looked at before it is an environment."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from codestore.artifacts import takeover
from codestore.artifacts.environments import _while_there_is_room
from codestore.domain.faults import Fault

HARM: dict[str, Callable[[Path], object]] = {
    "leads out": lambda made: (made / "l").symlink_to("/etc/passwd"),
    "leads out ": lambda made: (made / "lib" / "l").symlink_to("../../secret"),
    "leads out of": lambda made: (
        (made / "a").symlink_to("lib"),
        (made / "b").symlink_to("a/../.."),
    ),
    "a pipe": lambda made: os.mkfifo(made / "pipe"),
    "has a second name": lambda made: os.link(made.parent / "secret", made / "mine"),
}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    made = tmp_path / "made"
    (made / "lib").mkdir(parents=True)
    (made / "lib" / "module.py").write_text("x = 1\n")
    return made


@pytest.fixture
def python(tmp_path: Path) -> Path:
    (tmp_path / "python").touch()
    return tmp_path / "python"


@pytest.mark.parametrize(("problem", "harm"), HARM.items(), ids=list(HARM))
def test_what_no_environment_has_is_refused(
    made: Path, python: Path, problem: str, harm: Callable[[Path], object]
) -> None:
    harm(made)
    with pytest.raises(Fault, match=problem.strip()) as caught:
        takeover.take_over(made, python)
    assert caught.value.letter.code == "build_failed"
    assert str(made) not in caught.value.letter.detail


def test_links_to_the_interpreter_and_inside_stay(made: Path, python: Path) -> None:
    (made / "python").symlink_to(python)
    (made / "python3").symlink_to("python")
    (made / "lib64").symlink_to("lib")
    takeover.take_over(made, python)
    assert (made / "python3").resolve() == python


def test_everybody_may_read_it_and_nobody_becomes_somebody_else(made: Path, python: Path) -> None:
    (made / "su").write_text("#!/bin/sh\n")
    (made / "su").chmod(0o6777)
    (made / "lib" / "module.py").chmod(0o602)
    (made / "lib").chmod(0o2777)
    takeover.take_over(made, python)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made, *made.rglob("*"))}
    assert modes == {"made": 0o755, "su": 0o755, "lib": 0o755, "module.py": 0o644}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give anything away")
def test_what_a_builder_made_becomes_ours(made: Path, python: Path) -> None:
    takeover.hand_over(made, (1234, 1234))
    assert {path.stat().st_uid for path in (made, *made.rglob("*"))} == {1234}
    (made / "to").symlink_to("lib")
    os.chown(made / "to", 1234, 1234, follow_symlinks=False)
    takeover.take_over(made, python)
    assert {path.lstat().st_uid for path in (made, *made.rglob("*"))} == {0}


@pytest.mark.parametrize("bound", ["MOST_BYTES", "MOST_ENTRIES"])
def test_it_may_not_be_larger_than_anything_sensible(
    made: Path, python: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(takeover, bound, 1)
    with pytest.raises(Fault, match="take more than"):
        takeover.take_over(made, python)


async def test_a_build_ends_when_the_disk_is_nearly_full(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    async def builds() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    monkeypatch.setattr(takeover, "ROOM", 1 << 60)
    with pytest.raises(Fault, match="would be left on the disk"):
        await _while_there_is_room((made,), builds())
    assert ended
