"""Parents of versions that scale: at hand before another instance is wanted."""

import asyncio
from dataclasses import replace
from pathlib import Path

from codestore.domain.instances import InstanceState, Workload
from codestore.drivers.process.child import Child
from codestore.drivers.process.places import imports_file
from codestore.drivers.process.preloading import Parents
from tests.drivers.stage import PATIENCE, Stage, deployment, workload


def scaled(id_: str) -> Workload:
    return replace(workload(id_), scales=True)


def parents(stage: Stage) -> Parents:
    return stage.driver.standby.parents


async def made(stage: Stage) -> Child:
    """The parent, once an instance has written down what it had loaded, and it is loaded."""
    async with asyncio.timeout(PATIENCE):
        while not stage.driver.children.preloads():
            await parents(stage).keep(calm=0)
            await asyncio.sleep(0.01)
    (parent,) = stage.driver.children.preloads()
    await stage.driver.children.until(parent.name, lambda held: bool(held and held.ready), 20)
    return parent


async def replaced(stage: Stage, before: Workload, wanted: Workload) -> None:
    """Serve something else, as a rollout does it, and have its parent made."""
    await stage.driver.start(wanted, 0)
    name = f"{wanted.deployment}.{wanted.revision}.0"
    await stage.driver.prove(wanted.deployment, name, wanted.health)
    await stage.driver.admit(wanted.deployment, name)
    await stage.driver.stop(before.deployment, f"{before.deployment}.{before.revision}.0")
    async with asyncio.timeout(PATIENCE):
        while not any(has_loaded(parent, wanted) for parent in stage.driver.children.preloads()):
            await parents(stage).keep(calm=0)
            await asyncio.sleep(0.01)


def has_loaded(parent: Child, wanted: Workload) -> bool:
    return parent.ready and parent.label.version == wanted.artifact.digest


def another(wanted: Workload, digest: str, revision: int) -> Workload:
    artifact = replace(wanted.artifact, digest=digest)
    return replace(wanted, artifact=artifact, revision=revision)


def versions(stage: Stage) -> set[str]:
    return {parent.label.version for parent in stage.driver.children.preloads()}


def program_of(stage: Stage, name: str) -> str:
    child = stage.driver.children.get(name)
    assert child is not None
    return Path(f"/proc/{child.pid}/cmdline").read_text().split("\0")[2]


async def test_a_further_instance_is_forked_and_proves_itself_like_any(stage: Stage) -> None:
    wanted = scaled(id_ := deployment())
    await stage.serving(wanted)
    await made(stage)
    await stage.driver.start(wanted, 1)
    await stage.until(id_, lambda view: len(view.instances) == 2)
    name = f"{id_}.1.1"
    await stage.driver.prove(id_, name, wanted.health)
    assert [each.state for each in (await stage.driver.observe(id_)).instances] == [
        InstanceState.SERVING,
        InstanceState.READY,
    ]
    await stage.driver.admit(id_, name)
    await stage.reach(id_, InstanceState.SERVING)
    programs = [program_of(stage, f"{id_}.1.{ordinal}") for ordinal in (0, 1)]
    assert programs == ["codestore_sdk.serve", "codestore_sdk.preload"]


async def test_nobody_is_forked_from_what_another_deployment_can_reach(stage: Stage) -> None:
    await stage.serving(scaled(deployment()))
    await made(stage)
    await stage.serving(replace(workload(other := deployment()), revision=7))
    assert program_of(stage, f"{other}.7.0") == "codestore_sdk.serve"


async def test_a_parent_goes_with_its_deployment(stage: Stage) -> None:
    await stage.serving(scaled(id_ := deployment()))
    await made(stage)
    await stage.driver.remove(id_)
    assert stage.driver.children.preloads() == []


async def test_no_parent_is_made_for_what_does_not_scale(stage: Stage) -> None:
    await stage.serving(workload(deployment()))
    await stage.serving(replace(scaled(deployment()), preload=False))
    await parents(stage).keep(calm=0)
    assert stage.driver.children.preloads() == []


async def test_none_is_made_while_starts_follow_each_other(stage: Stage) -> None:
    wanted = scaled(deployment())
    await stage.serving(wanted)
    imports = imports_file(stage.host, wanted.deployment, wanted.artifact.digest)
    async with asyncio.timeout(PATIENCE):
        while not imports.exists():
            await asyncio.sleep(0.01)
    assert not await parents(stage).keep(calm=PATIENCE)
    assert stage.driver.children.preloads() == []
    assert await parents(stage).keep(calm=0)


async def test_none_makes_room_for_another(stage: Stage) -> None:
    wanted = scaled(deployment())
    await stage.serving(wanted)
    parent = await made(stage)
    other = scaled(deployment())
    other = replace(other, artifact=replace(other.artifact, digest="another"))
    view = await stage.serving(other)
    imports = imports_file(stage.host, other.deployment, other.artifact.digest)
    async with asyncio.timeout(PATIENCE):
        while not imports.exists():
            await asyncio.sleep(0.01)
    await parents(stage).keep(calm=0, most=1)
    assert [held.name for held in stage.driver.children.preloads()] == [parent.name]
    await parents(stage).keep(calm=0, most=2)
    assert len(stage.driver.children.preloads()) == 2
    assert view.instances


async def test_a_way_back_is_forked(stage: Stage) -> None:
    first = scaled(id_ := deployment())
    await stage.serving(first)
    await made(stage)
    second = another(first, "second", 2)
    await replaced(stage, first, second)
    back = replace(first, revision=3)
    await replaced(stage, second, back)
    assert program_of(stage, f"{id_}.3.0") == "codestore_sdk.preload"
    assert versions(stage) == {first.artifact.digest, "second"}


async def test_one_is_kept_of_what_was_left_with_its_list(stage: Stage) -> None:
    first = scaled(id_ := deployment())
    await stage.serving(first)
    await made(stage)
    second, third = another(first, "second", 2), another(first, "third", 3)
    await replaced(stage, first, second)
    await replaced(stage, second, third)
    assert versions(stage) == {"second", "third"}
    lists = {path.name for path in stage.home(id_).glob(".imports-*")}
    assert lists == {".imports-second.json", ".imports-third.json"}


async def test_what_was_left_makes_room(stage: Stage) -> None:
    first = scaled(deployment())
    await stage.serving(first)
    await made(stage)
    await replaced(stage, first, another(first, "second", 2))
    other = scaled(deployment())
    await stage.serving(other)
    async with asyncio.timeout(PATIENCE):
        while not imports_file(stage.host, other.deployment, other.artifact.digest).exists():
            await asyncio.sleep(0.01)
    await parents(stage).keep(calm=0, most=2)
    found = {
        (parent.label.deployment.split(".")[1], parent.label.version)
        for parent in stage.driver.children.preloads()
    }
    assert found == {(first.deployment, "second"), (other.deployment, other.artifact.digest)}


async def test_what_does_not_scale_keeps_none_of_a_version_that_was_left(stage: Stage) -> None:
    first = workload(id_ := deployment())
    await stage.serving(first)
    async with asyncio.timeout(PATIENCE):
        while not await parents(stage).provide(first):
            await asyncio.sleep(0.01)
    second = another(first, "second", 2)
    await stage.driver.start(second, 0)
    await stage.driver.stop(id_, f"{id_}.1.0")
    assert versions(stage) == set()


async def test_another_release_of_the_platform_has_another_parent(stage: Stage) -> None:
    wanted = scaled(deployment())
    newer = replace(wanted, artifact=replace(wanted.artifact, runtime="/elsewhere/bin/python"))
    assert parents(stage).needed(wanted) != parents(stage).needed(newer)


async def test_who_runs_no_more_is_not_followed(stage: Stage) -> None:
    wanted = scaled(id_ := deployment())
    await stage.serving(wanted)
    await made(stage)
    await stage.driver.stop(id_, f"{id_}.1.0")
    await parents(stage).keep(calm=0)
    await parents(stage).collect(kept=0)
    await parents(stage).keep(calm=0)
    assert stage.driver.children.preloads() == []


async def test_what_was_given_back_for_lack_of_memory_is_not_taken_again(stage: Stage) -> None:
    await stage.serving(scaled(deployment()))
    await made(stage)
    await parents(stage).release()
    await parents(stage).keep(calm=0)
    assert stage.driver.children.preloads() == []
