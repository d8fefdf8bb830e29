"""Removing a deployment leaves nothing of it: no process, no socket, no file."""

import asyncio
import sys

import httpx
import pytest

from codestore.domain.faults import Fault
from tests.drivers.stage import PATIENCE, SERVICES, Stage, caller, deployment, python, workload
from tests.keeper.house import listed


async def test_nothing_is_left_of_a_removed_deployment(stage: Stage) -> None:
    id_ = deployment()
    view = await stage.serving(workload(id_))
    await stage.driver.start(workload(id_), 1)
    await stage.tasks.run(python(id_, "print('migrated')"), "migrate", 10)
    await stage.logs.note(id_, "noted")
    assert len(stage.folders(id_)) == 2
    await stage.driver.remove(id_)
    await expect_nothing(stage, id_)
    with pytest.raises(httpx.ConnectError):
        async with caller(view.endpoints[0].address) as client:
            await client.get("/")
    await stage.driver.remove(id_)  # again: nothing


async def test_nothing_is_left_of_a_deployment_that_listens_on_a_port(stage: Stage) -> None:
    id_ = deployment()
    await stage.serving(workload(id_, sys.executable, str(SERVICES / "port.py"), "abrupt"))
    await stage.driver.remove(id_)
    await expect_nothing(stage, id_)


async def test_nothing_is_left_of_a_deployment_that_never_started(stage: Stage) -> None:
    id_ = deployment()
    with pytest.raises(Fault):
        await stage.driver.start(workload(id_, runtime="/nowhere/bin/python"), 0)
    await stage.driver.remove(id_)
    await expect_nothing(stage, id_)


async def test_a_socket_whose_instance_was_never_started_is_closed(stage: Stage) -> None:
    id_ = deployment()
    await stage.client.listen(f"{id_}.1.0")  # then the control process was killed
    async with stage.restarted() as other:
        await other.driver.remove(id_)
    await expect_nothing(stage, id_)


async def test_a_start_that_is_cut_leaves_no_socket_of_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change may be given up before it is tried again: nobody would close it."""
    monkeypatch.setattr(stage.driver.children, "spawn", _cut)
    with pytest.raises(CutError):
        await stage.driver.start(workload(id_ := deployment()), 0)
    assert [held.name for held in (await stage.client.list()).sockets] == [id_]


@pytest.mark.parametrize("part", ["close_socket", "forget"])
async def test_a_removal_that_is_cut_is_told_of_to_the_next_process(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """What a caller started of a deployment that is gone: no record leads to it any more."""
    await stage.serving(workload(id_ := deployment()))
    monkeypatch.setattr(stage.driver.children, part, _cut)
    with pytest.raises(CutError):
        await stage.driver.remove(id_)
    async with stage.restarted() as other, asyncio.timeout(PATIENCE):
        told = await anext(other.driver.changes())
        assert told == id_
        assert (await other.driver.observe(id_)).instances
        await other.driver.remove(id_)
    await expect_nothing(stage, id_, seen=False)


@pytest.mark.parametrize("part", ["close_socket", "forget"])
async def test_a_stop_that_is_cut_is_seen_by_the_next_process(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    await stage.serving(workload(id_ := deployment()))
    monkeypatch.setattr(stage.driver.children, part, _cut)
    with pytest.raises(CutError):
        await stage.driver.stop(id_, f"{id_}.1.0")
    async with stage.restarted() as other:
        (left,) = (await other.driver.observe(id_)).instances
        await other.driver.stop(id_, left.name)
    assert [held.name for held in (await stage.client.list()).sockets] == [id_]


async def test_neighbours_of_a_similar_name_stay(stage: Stage) -> None:
    id_ = deployment()
    await stage.driver.start(workload(f"{id_}0"), 0)
    await stage.driver.remove(id_)
    assert (await listed(stage.client, f"{id_}0.1.0")).running
    assert len((await stage.client.list()).sockets) == 2


class CutError(BaseException):
    """The control process is killed here."""


async def _cut(*_: object) -> None:
    raise CutError


async def expect_nothing(stage: Stage, id_: str, seen: bool = True) -> None:
    """``seen``: by the driver of the stage, too; it follows the keeper."""
    listing = await stage.client.list()
    assert [child.name for child in listing.children] == ["control"]
    assert listing.sockets == ()
    assert list((stage.house.run / "s").iterdir()) == []
    stage.house.expect_only(*(child.pid for child in listing.children))
    assert stage.folders(id_) == []
    if not seen:
        return
    view = await stage.driver.observe(id_)
    assert (view.instances, view.endpoints) == ((), ())
