"""Standby on this host: frozen or without a process, and woken by whoever comes."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from codestore.domain.faults import unavailable
from codestore.domain.instances import InstanceState, View, Workload
from codestore.domain.standby import Depth
from tests.drivers.stage import PATIENCE, SERVICES, Stage, caller, deployment, states, workload
from tests.keeper.house import listed

QUEUE = 100
BOTH = pytest.mark.parametrize("port", [False, True], ids=["socket", "port"])


def service(id_: str, port: bool) -> Workload:
    command = (sys.executable, "-S", str(SERVICES / "port.py"), "graceful") if port else ()
    return workload(id_, *command)


async def frozen(stage: Stage, wanted: Workload) -> View:
    """Start an instance, let it serve, and freeze it as the plan would."""
    id_ = wanted.deployment
    view = await stage.serving(wanted)
    (instance,) = view.instances
    if instance.address is not None:
        await stage.driver.standby.hold(id_, instance.name)
    return await stage.asleep(id_, instance.name, QUEUE)


async def armed(stage: Stage, wanted: Workload) -> View:
    await stage.driver.standby.arm(wanted, QUEUE)
    return await stage.driver.observe(wanted.deployment)


def place(view: View) -> str:
    """Where callers come while it sleeps."""
    return view.held.address if view.held is not None else view.endpoints[0].address


async def answered(address: str, path: str = "/") -> httpx.Response:
    async with caller(address) as web:
        return await web.post(path, content=b"x" * 100_000)


@BOTH
async def test_a_frozen_instance_does_nothing_until_somebody_comes(
    stage: Stage, port: bool
) -> None:
    view = await frozen(stage, service(id_ := deployment(), port))
    (child,) = stage.driver.children.of(id_)
    assert _state_of(child.pid) == "T" or _freezes_by_cgroup(child.pid)
    assert (await answered(place(view))).status_code == 200
    await stage.reach(id_, InstanceState.SERVING)
    woken = await stage.until(id_, lambda view: view.woke is not None)
    assert woken.woke is not None and woken.woke.depth is Depth.FROZEN
    assert woken.instances[0].name == view.instances[0].name


async def test_nobody_is_frozen_who_is_being_talked_to(stage: Stage) -> None:
    view = await stage.serving(service(id_ := deployment(), False))
    path = view.endpoints[0].address.removeprefix("unix:")
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345")
    await stage.said(id_, "reading")
    assert not await stage.driver.standby.freeze(id_, view.instances[0].name, QUEUE)
    assert states(await stage.driver.observe(id_)) == {InstanceState.SERVING}
    writer.close()


@BOTH
async def test_the_first_caller_starts_an_instance(stage: Stage, port: bool) -> None:
    view = await armed(stage, service(id_ := deployment(), port))
    assert (view.armed, view.instances) == (1, ())
    answers = await asyncio.gather(*(answered(place(view)) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    view = await stage.reach(id_, InstanceState.SERVING)
    assert view.armed is None and len(view.instances) == 1
    woken = await stage.until(id_, lambda view: view.woke is not None)
    assert woken.woke is not None and woken.woke.depth is Depth.STOPPED


async def test_an_instance_that_a_caller_started_gets_its_variables(stage: Stage) -> None:
    wanted = workload(deployment(), environment={"SECRET": "s"})
    view = await armed(stage, wanted)
    told = (await answered(place(view))).json()["environment"]
    assert told["SECRET"] == "s"
    assert not {"WOKEN_AT", "CODESTORE_ACCEPT", "CODESTORE_IMPORTS"} & set(told)


async def test_disarmed_callers_start_nothing(stage: Stage) -> None:
    view = await armed(stage, service(id_ := deployment(), False))
    await stage.driver.standby.disarm(id_)
    assert (await stage.driver.observe(id_)).armed is None
    waiting = asyncio.create_task(answered(place(view)))
    await stage.driver.start(service(id_, False), 0)
    await stage.reach(id_, InstanceState.READY)  # the one that people wanted, and no other
    assert not waiting.done()
    await stage.driver.admit(id_, f"{id_}.1.0")
    assert (await waiting).status_code == 200


@BOTH
async def test_who_waits_in_vain_is_told_why(stage: Stage, port: bool) -> None:
    view = await armed(stage, service(id_ := deployment(), port))
    await stage.driver.standby.disarm(id_)
    waiting = [asyncio.create_task(answered(place(view))) for _ in range(5)]
    letter = unavailable("wake_failed", "It cannot be woken", 'It said "no".').letter
    refused = 0
    async with asyncio.timeout(PATIENCE):
        while refused < len(waiting):
            refused += await stage.driver.standby.refuse(id_, letter)
            await asyncio.sleep(0)
    for answer in await asyncio.gather(*waiting):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["detail"]) == ("wake_failed", 'It said "no".')


@BOTH
async def test_a_start_that_fails_is_seen(stage: Stage, port: bool) -> None:
    wanted = workload(deployment(), *(["/nowhere/program"] if port else []), runtime="/nowhere")
    view = await armed(stage, wanted)
    waiting = asyncio.create_task(answered(place(view)))
    view = await stage.reach(wanted.deployment, InstanceState.ENDED)
    assert view.instances[0].ending == "exit code 127"
    await stage.driver.stop(wanted.deployment, view.instances[0].name)
    assert (await stage.driver.observe(wanted.deployment)).instances == ()
    waiting.cancel()


async def test_stopping_what_is_frozen_leaves_one_alone_that_was_woken(stage: Stage) -> None:
    wanted = service(id_ := deployment(), False)
    view = await frozen(stage, wanted)
    (instance,) = view.instances
    assert (await answered(place(view))).status_code == 200
    await stage.driver.standby.stop_frozen(wanted, instance.name)
    assert states(await stage.driver.observe(id_)) == {InstanceState.SERVING}


async def test_a_stopped_service_is_forked_from_a_parent_with_its_libraries(stage: Stage) -> None:
    wanted = service(id_ := deployment(), False)
    view = await frozen(stage, wanted)
    await stage.driver.standby.stop_frozen(wanted, view.instances[0].name)
    (parent,) = stage.driver.children.preloads()
    await stage.driver.children.until(parent.name, lambda held: bool(held and held.ready), 20)
    told = (await answered(place(await armed(stage, wanted)))).json()
    assert _command_of(await pid_of(stage, id_))[1:3] == ["-m", "codestore_sdk.preload"]
    assert told["environment"]["HOME"] == str(stage.home(id_))
    os.kill(await pid_of(stage, id_), signal.SIGKILL)  # its end is seen as that of any other child
    assert (await stage.reach(id_, InstanceState.ENDED)).instances[0].ending == "killed by SIGKILL"
    await stage.driver.stop(id_, f"{id_}.1.0")
    await stage.driver.standby.parents.collect(kept=0)
    assert stage.driver.children.preloads() == []
    await answered(place(await armed(stage, wanted)))  # without a parent: plainly
    assert _command_of(await pid_of(stage, id_))[1:3] == ["-m", "codestore_sdk.serve"]


async def test_a_service_that_opted_out_has_no_parent(stage: Stage) -> None:
    wanted = replace(service(deployment(), False), preload=False)
    view = await frozen(stage, wanted)
    await stage.driver.standby.stop_frozen(wanted, view.instances[0].name)
    assert stage.driver.children.preloads() == []


async def test_the_next_of_us_finds_everything_as_it_was(stage: Stage) -> None:
    asleep = await frozen(stage, service(first := deployment(), False))
    waiting = await armed(stage, service(second := deployment(), True))
    async with stage.restarted() as other:
        assert states(await other.driver.observe(first)) == {InstanceState.FROZEN}
        assert (await other.driver.observe(second)).armed == 1
        for view in (asleep, waiting):
            assert (await answered(place(view))).status_code == 200


async def test_a_host_that_is_short_of_memory_is_told_to_those_who_sleep(stage: Stage) -> None:
    await frozen(stage, service(id_ := deployment(), False))
    stage.driver.children.press(True)
    assert (await stage.until(id_, lambda view: view.pressed)).pressed
    stage.driver.children.press(False)
    assert not (await stage.driver.observe(id_)).pressed


async def pid_of(stage: Stage, id_: str) -> int:
    """The process of its only instance, as we see it."""
    return (await listed(stage.client, f"{id_}.1.0")).pid


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _freezes_by_cgroup(pid: int) -> bool:
    return "codestore-" in Path(f"/proc/{pid}/cgroup").read_text()


def _command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


async def test_a_frozen_command_cannot_be_reached_at_its_port(stage: Stage) -> None:
    """The kernel would take connections there, and nobody would thaw it."""
    view = await frozen(stage, service(id_ := deployment(), True))
    assert (view.endpoints, view.held is not None) == ((), True)
    async with stage.restarted() as other:
        view = await other.driver.observe(id_)
        assert (view.endpoints, view.held is not None) == ((), True)


async def test_a_parent_that_was_killed_is_made_again(stage: Stage) -> None:
    wanted = service(id_ := deployment(), False)
    for _ in range(2):
        view = await frozen(stage, wanted)
        await stage.driver.standby.stop_frozen(wanted, view.instances[0].name)
        (parent,) = stage.driver.children.preloads()
        assert parent.ending is None
        os.kill(parent.pid, signal.SIGKILL)
        await stage.driver.children.until(parent.name, lambda held: bool(held and held.ending), 20)
    assert (await stage.driver.observe(id_)).instances == ()


async def test_the_code_of_what_a_caller_may_start_is_kept(stage: Stage) -> None:
    old = service(id_ := deployment(), False)
    await armed(stage, old)
    newer = replace(old, revision=2)
    for ordinal in (0, 1):
        await stage.driver.start(newer, ordinal)
    await stage.reach(id_, InstanceState.READY)
    await stage.driver.stop(id_, f"{id_}.2.0")
    view = await stage.driver.observe(id_)
    assert view.armed == 1
    assert (await answered(place(view))).status_code == 200


async def test_what_a_caller_starts_while_it_is_being_removed_can_be_removed(stage: Stage) -> None:
    view = await armed(stage, service(id_ := deployment(), True))
    waiting = asyncio.create_task(answered(place(view)))
    await stage.until(id_, lambda view: bool(view.instances))
    await stage.driver.remove(id_)
    assert (await stage.driver.observe(id_)) == View()
    waiting.cancel()
