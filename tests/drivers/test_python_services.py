"""Services that accept from the socket all instances of a deployment share."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from codestore.domain.faults import Fault, FaultKind
from codestore.domain.instances import InstanceState
from codestore.domain.manifest import Health
from tests.drivers.stage import PATIENCE, Stage, caller, deployment, workload
from tests.keeper.house import gone, listed


async def test_a_service_starts_in_private_proves_itself_and_then_serves(stage: Stage) -> None:
    id_ = deployment()
    await stage.driver.start(workload(id_), 0)
    ready = await stage.reach(id_, InstanceState.READY)
    assert [(one.name, one.address, one.ending) for one in ready.instances] == [
        (f"{id_}.1.0", None, None)
    ]
    await stage.driver.prove(id_, f"{id_}.1.0", Health("/"))
    await stage.driver.admit(id_, f"{id_}.1.0")
    serving = await stage.driver.observe(id_)
    assert serving.instances[0].state is InstanceState.SERVING
    [endpoint] = serving.endpoints
    async with caller(endpoint.address) as client:
        assert (await client.get("/")).status_code == 200


async def test_requests_wait_at_the_shared_socket_until_an_instance_is_admitted(
    stage: Stage,
) -> None:
    id_ = deployment()
    await stage.driver.start(workload(id_), 0)
    view = await stage.reach(id_, InstanceState.READY)
    async with caller(view.endpoints[0].address) as client:
        waiting = asyncio.create_task(client.get("/"))
        await stage.driver.prove(id_, f"{id_}.1.0", Health("/"))
        assert not waiting.done()
        await stage.driver.admit(id_, f"{id_}.1.0")
        assert (await waiting).status_code == 200


async def test_a_draining_service_finishes_what_it_has_and_leaves(stage: Stage) -> None:
    id_ = deployment()
    view = await stage.serving(workload(id_))
    finish = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        await finish.wait()

    async with caller(view.endpoints[0].address) as client:
        request = asyncio.create_task(client.post("/body", content=body()))
        await stage.said(id_, "reading")
        await stage.driver.drain(id_, f"{id_}.1.0")
        draining = await stage.driver.observe(id_)
        assert draining.instances[0].state is InstanceState.DRAINING
        assert draining.instances[0].since > view.instances[0].since
        await stage.driver.drain(id_, f"{id_}.1.0")  # again: its time goes on
        assert await stage.driver.observe(id_) == draining
        finish.set()
        assert (await request).status_code == 200
    ended = await stage.reach(id_, InstanceState.ENDED)
    assert ended.instances[0].ending == "exit code 0"
    await stage.driver.drain(id_, f"{id_}.1.0")  # again: nothing


async def test_what_is_observed_outlives_a_restart_of_the_control_process(stage: Stage) -> None:
    id_ = deployment()
    await stage.serving(workload(id_))
    await stage.driver.start(workload(id_), 1)
    view = await stage.until(id_, lambda view: view.instances[-1].state is InstanceState.READY)
    async with stage.restarted() as other:
        assert await other.driver.observe(id_) == view
        await other.driver.admit(id_, f"{id_}.1.1")
        await other.driver.stop(id_, f"{id_}.1.0")
    both = await stage.until(id_, lambda view: states_of(view) == ["ended", "serving"])
    assert both.endpoints == view.endpoints


def states_of(view) -> list[str]:
    return [instance.state.value for instance in view.instances]


async def test_starting_twice_is_starting_once(stage: Stage) -> None:
    id_ = deployment()
    await asyncio.gather(*(stage.driver.start(workload(id_), 0) for _ in range(2)))
    pid = (await listed(stage.client, f"{id_}.1.0")).pid
    await stage.driver.start(workload(id_), 0)
    children = (await stage.client.list()).children
    assert [child.pid for child in children if child.name.startswith(id_)] == [pid]


async def test_a_hung_instance_is_stopped_all_the_same(stage: Stage) -> None:
    id_ = deployment()
    view = await stage.serving(workload(id_))
    pid = (await listed(stage.client, f"{id_}.1.0")).pid
    async with caller(view.endpoints[0].address) as client:
        request = asyncio.create_task(client.get("/hang"))
        await stage.said(id_, "hanging")
        await stage.driver.stop(id_, f"{id_}.1.0")
        await gone(pid)
        await asyncio.wait([request])
        request.exception()
    assert (await stage.driver.observe(id_)).instances == ()


async def test_a_program_that_cannot_be_started_is_a_fault_and_leaves_no_socket(
    stage: Stage,
) -> None:
    id_ = deployment()
    with pytest.raises(Fault) as refused:
        await stage.driver.start(workload(id_, runtime="/nowhere/bin/python"), 0)
    assert refused.value.letter.kind is FaultKind.FAILED
    assert refused.value.letter.code == "cannot_run"
    assert "/nowhere/bin/python" in refused.value.letter.detail
    names = [held.name for held in (await stage.client.list()).sockets]
    assert f"{id_}.1.0" not in names
    assert (await stage.driver.observe(id_)).instances == ()


async def test_the_letter_about_an_unhealthy_instance_tells_its_answer(stage: Stage) -> None:
    id_ = deployment()
    await stage.driver.start(workload(id_), 0)
    await stage.reach(id_, InstanceState.READY)
    with pytest.raises(Fault) as refused:
        await stage.driver.prove(id_, f"{id_}.1.0", Health("/broken", 1))
    assert refused.value.letter.code == "unhealthy"
    assert "GET /broken answered 503" in refused.value.letter.detail
    with pytest.raises(Fault, match="GET /missing answered 404"):
        await stage.driver.prove(id_, f"{id_}.1.0", Health("/missing", 1))


async def test_an_instance_that_dies_of_the_question_is_not_asked_again(stage: Stage) -> None:
    id_ = deployment()
    await stage.driver.start(workload(id_), 0)
    await stage.reach(id_, InstanceState.READY)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Fault) as refused:
            await stage.driver.prove(id_, f"{id_}.1.0", Health("/die", 60))
    assert refused.value.letter.code == "instance_gone"
    ended = await stage.reach(id_, InstanceState.ENDED)
    assert ended.instances[0].ending == "exit code 7"
    with pytest.raises(Fault, match="has ended"):
        await stage.driver.admit(id_, f"{id_}.1.0")


async def test_an_instance_that_dies_when_admitted_is_not_taken_for_admitted(
    stage: Stage,
) -> None:
    id_ = deployment()
    await stage.driver.start(workload(id_, environment={"DIES_WHEN_ADMITTED": "1"}), 0)
    await stage.reach(id_, InstanceState.READY)
    with pytest.raises(Fault) as refused:
        await stage.driver.admit(id_, f"{id_}.1.0")
    assert refused.value.letter.code == "instance_gone"


async def test_a_service_sees_its_own_environment_and_nothing_of_the_hosts(stage: Stage) -> None:
    id_ = deployment()
    view = await stage.serving(workload(id_, environment={"TOKEN": "ü =\n'\""}))
    async with caller(view.endpoints[0].address) as client:
        seen = (await client.get("/")).json()["environment"]
    assert seen["TOKEN"] == "ü =\n'\""
    ours = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    assert set(seen) == {"TOKEN", "CODESTORE_DRAIN", *ours}
    assert seen["HOME"] == str(stage.home(id_))


async def test_an_end_nobody_asked_for_is_a_change_of_the_deployment(stage: Stage) -> None:
    id_ = deployment()
    await stage.serving(workload(id_))
    await stage.client.signal(f"{id_}.1.0", "SIGKILL")
    async with asyncio.timeout(PATIENCE):
        async for changed in stage.driver.changes():
            assert changed == id_
            view = await stage.driver.observe(id_)
            if view.instances[0].ending:
                break
    assert view.instances[0].ending == "killed by SIGKILL"
