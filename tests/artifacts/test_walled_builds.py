"""Builds in cells: the real uv, and one that a package has taken over (played by a script)."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from archives import SERVICE
from building import CACHE, Push, host

from codestore.artifacts import environments, takeover
from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.uv_command import Uv
from codestore.domain.faults import Fault
from codestore.drivers.process.places import Host
from codestore.drivers.process.programs import ProcessPrograms
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.walls.picking import CELL
from tests.keeper.conftest import house, shared_house
from tests.keeper.house import PATIENCE, House

__all__ = ["house", "shared_house"]
NEEDS = {**SERVICE, "requirements.txt": b"idna==3.10\n"}
LOOKS = """
for path in {paths}; do cat $path; ls $path; (echo x > $path/x); done >&2
echo x > $UV_CACHE_DIR/x && echo x > $TMPDIR/x && echo has its own as $(id -u) >&2
exit 1
"""


@pytest.fixture
async def programs(house: House) -> AsyncIterator[ProcessPrograms]:
    async with await KeeperClient.connect(house.run / "keeper.sock") as keeper:
        walls = (await keeper.list()).walls
        if walls != CELL:
            pytest.skip("there are no cells here")
        place = Host(Path("/"), Path("/"), "", walls)
        yield ProcessPrograms(keeper, house.run / "keeper.sock", place, house.logs)


@pytest.fixture
def data(root: Path, runtimes: Path) -> Path:
    root.mkdir(parents=True)
    (root / "runtimes").symlink_to(runtimes)
    return root


def played(data: Path, programs: ProcessPrograms, script: str) -> UvBuilder:
    uv = data.parent / "uv"
    uv.write_text(f"#!/bin/sh\n{script}\n")
    uv.chmod(0o755)
    environment = {"PATH": os.defpath}
    return UvBuilder(data, Uv.installed(environment, data.parent / "cache", programs, binary=uv))


async def test_an_environment_is_made_and_is_ours(
    data: Path, programs: ProcessPrograms, push: Push
) -> None:
    builder = UvBuilder(data, Uv.installed(host(), CACHE, programs))
    artifact = await builder.prepare(await push(builder, NEEDS))
    assert artifact.runtime
    said = subprocess.run(
        [artifact.runtime, "-I", "-c", "import idna, uvicorn; print(idna.__cached__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(said.stdout.strip()).exists()
    for path in Path(artifact.runtime).parents[1].rglob("*"):
        status = path.lstat()
        assert status.st_uid == os.geteuid(), path
        assert path.is_symlink() or not status.st_mode & 0o6022, path


async def test_a_cache_that_became_large_is_emptied(
    data: Path, tmp_path: Path, programs: ProcessPrograms, push: Push, monkeypatch: Any
) -> None:
    uv = Uv.installed(host(), tmp_path / "cache", programs)
    builder = UvBuilder(data, uv)
    seal = await push(builder, NEEDS)
    artifact = await builder.prepare(seal)
    full = takeover.taken(uv.cache)
    await builder.collect([seal.digest], [seal.digest])
    assert takeover.taken(uv.cache) == full
    monkeypatch.setattr(environments, "MOST_CACHED", full - 1)
    await builder.collect([seal.digest], [seal.digest])
    assert takeover.taken(uv.cache) < full / 10
    again = await builder.prepare(
        await push(builder, {**NEEDS, "requirements.txt": b"idna==3.9\n"})
    )
    assert artifact.runtime and again.runtime
    for runtime in (artifact.runtime, again.runtime):
        subprocess.run([runtime, "-I", "-c", "import idna"], check=True)


async def test_a_uv_that_was_taken_over_sees_nothing_of_the_platform(
    data: Path, programs: ProcessPrograms, push: Push
) -> None:
    (data / "environments" / "other").mkdir(parents=True)
    (data / "scratch").mkdir()
    secret = data.parent / "master.key"
    secret.write_text("of the platform")
    places = [data / name for name in ("bundles", "environments", "trees", "uses", "runtimes")]
    paths = " ".join(map(str, (secret, "/etc/shadow", data.parent, *places)))
    builder = played(data, programs, LOOKS.replace("{paths}", paths))
    seal = await push(builder, SERVICE)
    with pytest.raises(Fault) as caught:
        await builder.prepare(seal)
    told = caught.value.letter.detail
    user = programs.user[0] if programs.user else os.geteuid()
    assert f"has its own as {user}" in told
    assert "of the platform" not in told and "root:" not in told and seal.digest not in told
    assert not [place for place in (data.parent, *places) if (place / "x").exists()]


LEAVES = {
    "a link to the host": "ln -s /etc/passwd $VIRTUAL_ENV/l",
    "a link to another one's": "ln -s ../../../environments $VIRTUAL_ENV/l",
    "a pipe": "mkfifo $VIRTUAL_ENV/l",
    "a file of the cache": "echo x > $VIRTUAL_ENV/../y; ln $VIRTUAL_ENV/../y $VIRTUAL_ENV/l",
}


@pytest.mark.parametrize("script", LEAVES.values(), ids=LEAVES)
async def test_what_it_leaves_is_no_environment(
    data: Path, programs: ProcessPrograms, push: Push, script: str
) -> None:
    builder = played(data, programs, f"mkdir -p $VIRTUAL_ENV; {script}")
    with pytest.raises(Fault, match='"l"') as caught:
        await builder.prepare(await push(builder, SERVICE))
    assert caught.value.letter.code == "build_failed"
    assert not any((data / "environments").iterdir()) and not any((data / "scratch").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, or it is ours all the time")
async def test_a_program_that_it_leaves_makes_nobody_root(
    data: Path, programs: ProcessPrograms, push: Push
) -> None:
    modules = f"lib/python{'.'.join(map(str, sys.version_info[:2]))}/site-packages"
    script = (
        f"mkdir -p $VIRTUAL_ENV/{modules}; cp /bin/sh $VIRTUAL_ENV/su; chmod 6777 $VIRTUAL_ENV/su"
    )
    builder = played(data, programs, script)
    artifact = await builder.prepare(await push(builder, SERVICE))
    assert artifact.runtime
    status = (Path(artifact.runtime).parents[1] / "su").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o755)


async def test_cancelled_it_is_gone_with_whom_it_started(
    data: Path, programs: ProcessPrograms, push: Push, house: House
) -> None:
    builder = played(data, programs, "sleep 1000 & echo here >&2; wait")
    before = house.inhabitants()
    running = asyncio.create_task(builder.prepare(await push(builder, SERVICE)))
    async with asyncio.timeout(PATIENCE):
        while not any(map(_said, house.logs.glob("build-*.log"))):
            await asyncio.sleep(0.01)  # nobody announces a line in a file
    assert house.inhabitants() > before
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    house.expect_only(*before)
    assert not any((data / "scratch").iterdir()) and not any(house.logs.glob("build-*"))


def _said(log: Path) -> bool:
    with suppress(FileNotFoundError):
        return "here" in log.read_text()
    return False
