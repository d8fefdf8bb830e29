"""Versions made runnable: code verified, dependencies installed by the real uv, shared by lock."""

import asyncio
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest
from archives import COMMAND, SERVICE, files, link, member, pack, upload
from building import Push, builder_at

from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.folders import Folders, delete
from codestore.domain.faults import Fault, FaultKind
from codestore.domain.instances import Artifact
from codestore.domain.versions import Seal

PINNED = {**SERVICE, "requirements.txt": b"idna==3.10\n"}
LOCK = b"""\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "blog"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "idna" }]

[[package]]
name = "idna"
version = "3.10"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.pythonhosted.org/packages/76/c6/\
c88e154df9c4e1a2a66ccf0005a88dfb2650c1dffb6f5ce603dfbd452ce3/idna-3.10-py3-none-any.whl", \
hash = "sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3", size = 70442 }]
"""
PROJECT = b'[project]\nname = "blog"\nversion = "0.1.0"\ndependencies = ["idna==3.10"]\n'


def ask(artifact: Artifact, code: str) -> str:
    assert artifact.runtime is not None
    command = [artifact.runtime, "-I", "-B", "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def entries(root: Path, name: str) -> list[str]:
    return sorted(path.name for path in (root / name).iterdir())


async def damage(builder: UvBuilder, seal: Seal) -> str:
    with pytest.raises(Fault) as caught:
        await builder.prepare(seal)
    letter = caught.value.letter
    assert (letter.kind, letter.code) == (FaultKind.FAILED, "bundle_damaged")
    assert seal.digest[:12] in letter.detail and "Push the same source again" in letter.hint
    return letter.detail


async def test_a_command_needs_no_python(sealer: UvBuilder, root: Path, tmp_path: Path) -> None:
    members = [*files(COMMAND), member("bin/run", b"x", mode=0o755), link("to", "bin/run")]
    seal = await sealer.seal(upload(tmp_path, pack(members)), "blog")
    assert await sealer.prepared(seal) is None
    artifact = await sealer.prepare(seal)
    assert artifact == Artifact(seal.digest, str(root / "trees" / seal.digest), None)
    assert await sealer.prepared(seal) == artifact
    modes = {
        str(path.relative_to(artifact.code)): stat.S_IMODE(path.lstat().st_mode)
        for path in [Path(artifact.code), *Path(artifact.code).rglob("*")]
        if not path.is_symlink()
    }
    assert modes == {
        ".": 0o555,
        "bin": 0o555,
        "bin/run": 0o555,
        "codestore.yaml": 0o444,
        "serve": 0o444,
    }
    assert (Path(artifact.code) / "to").readlink() == Path("bin/run")


async def test_a_service_without_a_lock_has_the_runtime(builder: UvBuilder, push: Push) -> None:
    seal = await push(builder, SERVICE)
    assert await builder.prepared(seal) is None
    artifact = await builder.prepare(seal)
    assert await builder.prepared(seal) == artifact
    assert "codestore_sdk uvicorn" in ask(
        artifact, "import codestore_sdk as s, uvicorn as u, uvloop; print(s.__name__, u.__name__)"
    )


async def test_a_services_own_versions_win(builder: UvBuilder, root: Path, push: Push) -> None:
    artifact = await builder.prepare(await push(builder, PINNED))
    where = ask(artifact, "import idna; print(idna.__version__, idna.__file__, idna.__cached__)")
    assert where.startswith(f"3.10 {root}/environments/")
    assert Path(where.split()[2]).exists()  # compiled already
    assert f"{root}/runtimes/" in ask(artifact, "import ariadne; print(ariadne.__file__)")


async def test_versions_with_the_same_lock_share_an_environment(
    builder: UvBuilder, root: Path, push: Push
) -> None:
    first = await builder.prepare(await push(builder, PINNED))
    second = await builder.prepare(await push(builder, {**PINNED, "new.py": b""}))
    assert first.runtime == second.runtime and first.code != second.code
    other = await builder.prepare(await push(builder, SERVICE))
    assert other.runtime != first.runtime
    assert len(entries(root, "environments")) == 2 and len(entries(root, "runtimes")) == 1


async def test_a_uv_lock_is_installed_as_it_is(builder: UvBuilder, push: Push) -> None:
    seal = await push(builder, {**SERVICE, "uv.lock": LOCK, "pyproject.toml": PROJECT})
    artifact = await builder.prepare(seal)
    assert ask(artifact, "import idna; print(idna.__version__)") == "3.10"


async def test_a_command_with_a_lock_gets_its_environment(builder: UvBuilder, push: Push) -> None:
    seal = await push(builder, {**COMMAND, "pyproject.toml": PROJECT})
    assert ask(await builder.prepare(seal), "import idna; print(idna.__version__)") == "3.10"


async def test_preparing_again_is_quick(builder: UvBuilder, push: Push) -> None:
    seal = await push(builder, SERVICE)
    await builder.prepare(seal)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        await builder.prepare(seal)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.03


async def test_many_at_once_make_one(builder: UvBuilder, root: Path, push: Push) -> None:
    seals = [await push(builder, {**PINNED, "n": b"%d" % n}) for n in range(3)]
    artifacts = await asyncio.gather(*(builder.prepare(seal) for seal in seals * 3))
    assert len({artifact.runtime for artifact in artifacts}) == 1
    assert len({artifact.code for artifact in artifacts}) == 3
    assert entries(root, "scratch") == []


async def test_a_byte_changed_in_the_bundle(sealer: UvBuilder, root: Path, push: Push) -> None:
    seal = await push(sealer, COMMAND)
    await sealer.prepare(seal)
    bundle = root / "bundles" / f"{seal.digest}.tar"
    bundle.chmod(0o600)
    content = bytearray(bundle.read_bytes())
    content[-2000] ^= 1
    bundle.write_bytes(content)
    assert "Nothing was changed" in await damage(sealer, seal)
    with pytest.raises(Fault):
        await anext(sealer.source(seal))
    await push(sealer, COMMAND)
    await sealer.prepare(seal)


async def test_a_bundle_that_is_gone(sealer: UvBuilder, root: Path, push: Push) -> None:
    seal = await push(sealer, COMMAND)
    (root / "bundles" / f"{seal.digest}.tar").unlink()
    assert "not there" in await damage(sealer, seal)


def rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


TREE_DAMAGE = {
    "a byte": ("serve", lambda tree: rewrite(tree / "serve", b"#!/bin/sH\n")),
    "shorter": ("serve", lambda tree: rewrite(tree / "serve", b"")),
    "missing": ("serve", lambda tree: (tree / "serve").unlink()),
    "made runnable": ("serve", lambda tree: (tree / "serve").chmod(0o555)),
    "a link instead": ("serve", lambda tree: replace_by_link(tree / "serve")),
    "one too many": ("a/extra.pyc", lambda tree: (tree / "a" / "extra.pyc").write_bytes(b"")),
    "a pipe": ("pipe", lambda tree: os.mkfifo(tree / "pipe")),
    "another target": (
        "a/l",
        lambda tree: ((tree / "a/l").unlink(), (tree / "a/l").symlink_to("x")),
    ),
}


@pytest.mark.parametrize(("name", "harm"), TREE_DAMAGE.values(), ids=list(TREE_DAMAGE))
async def test_code_that_was_changed_is_named_and_not_repaired(
    sealer: UvBuilder, tmp_path: Path, name: str, harm: object
) -> None:
    assert callable(harm)
    archive = upload(tmp_path, pack([*files(COMMAND), link("a/l", "../serve")]))
    seal = await sealer.seal(archive, "blog")
    tree = Path((await sealer.prepare(seal)).code)
    for folder in (tree, tree / "a"):
        folder.chmod(0o755)
    harm(tree)
    assert f'"{name}"' in await damage(sealer, seal)
    assert f'"{name}"' in await damage(sealer, seal)
    await sealer.seal(archive, "blog")
    await sealer.prepare(seal)


async def test_a_version_that_does_not_exist(builder: UvBuilder, root: Path, push: Push) -> None:
    seal = await push(builder, {**SERVICE, "requirements.txt": b"idna==999.9\n"})
    with pytest.raises(Fault) as caught:
        await builder.prepare(seal)
    letter = caught.value.letter
    assert (letter.kind, letter.code) == (FaultKind.FAILED, "build_failed")
    assert "idna==999.9" in letter.detail and str(root) not in letter.detail
    assert entries(root, "environments") == entries(root, "scratch") == []
    assert await builder.prepared(seal) is None


async def test_no_code_of_a_package_runs_while_it_is_installed(
    root: Path, runtimes: Path, push: Push, tmp_path: Path
) -> None:
    """docopt exists as a source distribution only: installing it would run its ``setup.py``."""
    root.mkdir()
    (root / "runtimes").symlink_to(runtimes)
    builder = builder_at(root, tmp_path / "cache")
    seal = await push(builder, {**SERVICE, "requirements.txt": b"docopt==0.6.2\n"})
    with pytest.raises(Fault, match="no usable wheels"):
        await builder.prepare(seal)


async def test_settings_of_a_project_around_the_data_folder_do_not_count(
    builder: UvBuilder, root: Path, push: Push
) -> None:
    (root.parent / "pyproject.toml").write_text(
        '[project]\nname = "around"\n[tool.uv]\nno-index = true\noffline = true\n'
        '[tool.uv.workspace]\nmembers = ["**"]\n'
    )
    await builder.prepare(await push(builder, PINNED))
    await builder.prepare(
        await push(builder, {**SERVICE, "uv.lock": LOCK, "pyproject.toml": PROJECT})
    )


async def test_a_data_folder_may_move(builder: UvBuilder, root: Path, push: Push) -> None:
    artifact = await builder.prepare(await push(builder, PINNED))
    moved = root.rename(root.with_name("moved"))
    assert artifact.runtime is not None
    there = Artifact("", "", str(moved / Path(artifact.runtime).relative_to(root)))
    assert "moved" in ask(there, "import idna, codestore_sdk; print(codestore_sdk.__file__)")


async def test_leftovers_of_a_crash_are_cleared(builder: UvBuilder, root: Path, push: Push) -> None:
    seal = await push(builder, SERVICE)
    await builder.prepare(seal)
    shutil.copytree(root / "environments", root / "scratch" / "half" / "environment", symlinks=True)
    shutil.copytree(root / "trees", root / "scratch" / "half" / "trees")
    again = builder_at(root)
    assert entries(root, "scratch") == []
    assert await again.prepared(seal) is not None


async def test_what_was_lost_is_made_again(builder: UvBuilder, root: Path, push: Push) -> None:
    seal = await push(builder, SERVICE)
    artifact = await builder.prepare(seal)
    delete(root / "environments")
    delete(root / "trees" / seal.digest)
    again = builder_at(root)
    assert await again.prepared(seal) is None
    assert await again.prepare(seal) == artifact
    assert "x" in ask(artifact, "import uvicorn; print('x')")


async def test_the_data_folder_is_readable_whatever_the_umask(
    builder: UvBuilder, root: Path, push: Push
) -> None:
    before = os.umask(0o077)
    try:
        artifact = await builder.prepare(await push(builder, PINNED))
    finally:
        os.umask(before)
    for place in (Path(artifact.code), *(root / "environments").iterdir()):
        for path in (place, *place.rglob("*")):
            if not path.is_symlink() and path.name != ".lock":
                assert path.stat().st_mode & 0o044 == 0o044, path


def test_read_only_folders_can_be_deleted(tmp_path: Path) -> None:
    folders = Folders.open(tmp_path)
    place = tmp_path / "trees" / "x"
    (place / "a").mkdir(parents=True)
    (place / "a" / "f").touch(0o444)
    (place / "a").chmod(0o555)
    place.chmod(0o555)
    folders.discard(place)
    folders.discard(place)
    assert entries(tmp_path, "trees") == entries(tmp_path, "scratch") == []
