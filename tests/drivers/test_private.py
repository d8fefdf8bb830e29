"""Where an instance alone answers, before it takes requests of users and while it does."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from codestore.domain.instances import InstanceState
from tests.drivers.stage import SERVICES, Stage, caller, deployment, states, workload

BOTH = pytest.mark.parametrize("port", [False, True], ids=["socket", "port"])
PORT = (sys.executable, "-S", str(SERVICES / "port.py"), "graceful")


@BOTH
async def test_an_instance_alone_answers_at_its_private_address(stage: Stage, port: bool) -> None:
    wanted = workload(id_ := deployment(), *(PORT if port else ()))
    names = set()
    for ordinal in (0, 1):
        await stage.driver.start(wanted, ordinal)
    view = await stage.reach(id_, InstanceState.READY)
    for instance in view.instances:
        assert instance.private is not None
        assert instance.private.startswith("tcp://127.0.0.1:" if port else "unix:/")
        async with caller(instance.private) as web:
            answers = [await web.get("/") for _ in range(3)]
            names |= {answer.text if port else answer.json()["name"] for answer in answers}
    assert len(names) == 2
    await stage.driver.admit(id_, f"{id_}.1.0")
    serving = await stage.until(id_, lambda v: v.instances[0].state is InstanceState.SERVING)
    assert serving.instances[0].private == view.instances[0].private
    async with stage.restarted() as other:
        assert (await other.driver.observe(id_)).instances == serving.instances
    await stage.client.signal(f"{id_}.1.0", "SIGKILL")
    ended = await stage.until(id_, lambda v: v.instances[0].ending is not None)
    assert [each.private is None for each in ended.instances] == [True, False]


async def test_an_instance_with_a_private_visitor_is_not_frozen(stage: Stage) -> None:
    view = await stage.serving(workload(id_ := deployment()))
    (instance,) = view.instances
    finish = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        await finish.wait()

    assert instance.private is not None
    async with caller(instance.private) as web:
        request = asyncio.create_task(web.post("/body", content=body()))
        await stage.said(id_, "reading")
        assert not await stage.driver.standby.freeze(id_, instance.name, 100)
        finish.set()
        assert (await request).status_code == 200
    await stage.asleep(id_, instance.name)
    async with caller(instance.private) as web:
        assert (await web.get("/")).status_code == 200
    assert states(await stage.reach(id_, InstanceState.SERVING)) == {InstanceState.SERVING}


async def test_a_draining_instance_finishes_what_came_in_private(stage: Stage) -> None:
    """Users are led there while it is not admitted yet; then it is given up."""
    id_ = deployment()
    await stage.driver.start(workload(id_), 0)
    (instance,) = (await stage.reach(id_, InstanceState.READY)).instances
    finish = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        await finish.wait()

    assert instance.private is not None
    async with caller(instance.private) as web:
        request = asyncio.create_task(web.post("/body", content=body()))
        await stage.said(id_, "reading")
        await stage.driver.drain(id_, instance.name)
        assert states(await stage.driver.observe(id_)) == {InstanceState.DRAINING}
        finish.set()
        answer = await request
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    ended = await stage.reach(id_, InstanceState.ENDED)
    assert ended.instances[0].ending == "exit code 0"
