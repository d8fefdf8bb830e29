"""Removing a deployment leaves nothing of it: no process, no socket, no file."""

import sys

import httpx
import pytest

from codestore.domain.faults import Fault
from tests.drivers.stage import SERVICES, Stage, caller, deployment, python, workload
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


async def test_neighbours_of_a_similar_name_stay(stage: Stage) -> None:
    id_ = deployment()
    await stage.driver.start(workload(f"{id_}0"), 0)
    await stage.driver.remove(id_)
    assert (await listed(stage.client, f"{id_}0.1.0")).running
    assert len((await stage.client.list()).sockets) == 2


async def expect_nothing(stage: Stage, id_: str) -> None:
    listing = await stage.client.list()
    assert [child.name for child in listing.children] == ["control"]
    assert listing.sockets == ()
    assert list((stage.house.run / "s").iterdir()) == []
    stage.house.expect_only(*(child.pid for child in listing.children))
    assert stage.folders(id_) == []
    view = await stage.driver.observe(id_)
    assert (view.instances, view.endpoints) == ((), ())
