"""What is deleted when versions go, and what never is."""

import asyncio
import os
import time
from pathlib import Path

from archives import COMMAND, SERVICE
from building import Push, no_uv

from codestore.artifacts.builder import UvBuilder

PINNED = {**SERVICE, "requirements.txt": b"idna==3.10\n"}


def everything(root: Path) -> dict[str, set[str]]:
    names = ("bundles", "trees", "environments", "runtimes", "uses", "scratch")
    return {name: {path.name for path in (root / name).iterdir()} for name in names}


async def test_what_no_kept_version_needs_is_deleted(
    builder: UvBuilder, root: Path, push: Push
) -> None:
    kept, gone = await push(builder, SERVICE), await push(builder, PINNED)
    command = await push(builder, COMMAND)
    artifact = await builder.prepare(kept)
    for seal in (gone, command):
        await builder.prepare(seal)
    (root / "runtimes" / "of-an-earlier-platform").mkdir()
    await builder.collect([kept.digest, "unknown"], [kept.digest])
    assert artifact.runtime is not None
    left = everything(root)
    assert left["bundles"] == {f"{kept.digest}.tar"}
    assert left["trees"] == left["uses"] == {kept.digest}
    assert left["environments"] == {Path(artifact.runtime).parents[1].name}
    assert len(left["runtimes"]) == 1 and not left["scratch"]
    assert await builder.prepared(kept) == artifact
    assert await builder.prepared(gone) is None


async def test_a_shared_environment_stays_for_the_last_that_needs_it(
    builder: UvBuilder, root: Path, push: Push
) -> None:
    one, two = await push(builder, PINNED), await push(builder, {**PINNED, "x": b""})
    await builder.prepare(one)
    artifact = await builder.prepare(two)
    await builder.collect([two.digest], [two.digest])
    assert await builder.prepared(two) == artifact
    await builder.collect([], [])
    assert not everything(root)["environments"]


async def test_what_was_just_pushed_stays_though_nobody_names_it_yet(
    root: Path, push: Push
) -> None:
    builder = UvBuilder(root, no_uv(), grace=60.0)
    seal = await push(builder, COMMAND)
    await builder.prepare(seal)
    await builder.collect([], [])
    assert await builder.prepared(seal) is not None
    long_ago = time.time() - 61
    os.utime(root / "bundles" / f"{seal.digest}.tar", (long_ago, long_ago))
    again = await push(builder, COMMAND)
    await builder.collect([], [])
    assert await builder.prepared(again) is not None
    os.utime(root / "bundles" / f"{seal.digest}.tar", (long_ago, long_ago))
    await builder.collect([], [])
    assert await builder.prepared(seal) is None


async def test_what_is_being_made_is_left_alone(builder: UvBuilder, push: Push) -> None:
    seal = await push(builder, PINNED)

    async def collect() -> None:
        while True:
            await builder.collect([], [])

    preparing = asyncio.create_task(builder.prepare(seal))
    await asyncio.sleep(0)
    collecting = asyncio.create_task(collect())
    artifact = await preparing
    collecting.cancel()
    assert artifact.digest == seal.digest


async def test_nothing_to_collect(sealer: UvBuilder) -> None:
    await sealer.collect([], [])


async def test_what_need_not_be_runnable_keeps_its_bundle_and_is_made_again_from_it(
    builder: UvBuilder, root: Path, push: Push
) -> None:
    ready, resting = await push(builder, SERVICE), await push(builder, PINNED)
    await builder.prepare(ready)
    artifact = await builder.prepare(resting)
    await builder.collect([ready.digest, resting.digest], [ready.digest])
    left = everything(root)
    assert left["bundles"] == {f"{ready.digest}.tar", f"{resting.digest}.tar"}
    assert left["trees"] == left["uses"] == {ready.digest}
    assert await builder.prepared(resting) is None
    assert await builder.prepare(resting) == artifact
