"""What instances and tasks may use, and what people read when that was not enough."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from codestore.domain.environments import MEBIBYTE, Resources
from codestore.domain.instances import InstanceState
from codestore.keeper.spec import ChildSpec
from tests.drivers.stage import SERVICES, Stage, caller, deployment, python, workload

SMALL = Resources(memory=128 * MEBIBYTE, cpu=1.0)
REASON = "out of memory (limit 128 MiB)"
KILLED = f"a process of it was killed: {REASON}"


@pytest.fixture
def bounded(stage: Stage) -> Stage:
    missing = {"memory", "cpu"} - set(stage.driver.children.limits)
    if missing:
        pytest.skip(f"no control group of ours can bound {' and '.join(sorted(missing))} here")
    return stage


async def asked(address: str, path: str) -> None:
    async with caller(address) as web:
        await web.get(path)


async def test_an_instance_that_wants_too_much_ends_for_that_reason(bounded: Stage) -> None:
    id_ = deployment()
    view = await bounded.serving(workload(id_, resources=SMALL))
    with pytest.raises(httpx.HTTPError):
        await asked(view.endpoints[0].address, "/take")
    ended = await bounded.reach(id_, InstanceState.ENDED)
    assert ended.instances[0].ending == REASON
    async with bounded.restarted() as other:
        assert (await other.driver.observe(id_)).instances[0].ending == REASON


async def test_a_helper_that_wants_too_much_is_told_of_in_the_log(bounded: Stage) -> None:
    id_ = deployment()
    view = await bounded.serving(workload(id_, resources=SMALL))
    await asked(view.endpoints[0].address, "/helper")
    await bounded.driver.stop(id_, view.instances[0].name)
    lines = await bounded.logs.tail(id_, 100)
    assert [(line.stream, line.source) for line in lines if line.text == KILLED] == [
        ("platform", f"{id_}.1.0")
    ]


async def test_an_instance_that_was_forked_at_a_wake_is_bounded_too(bounded: Stage) -> None:
    wanted = workload(id_ := deployment(), resources=SMALL)
    view = await bounded.serving(wanted)
    name = view.instances[0].name
    await bounded.asleep(id_, name)
    await bounded.driver.standby.stop_frozen(wanted, name)
    async with asyncio.timeout(20):
        while not bounded.driver.children.preloads():
            await asyncio.sleep(0.02)  # what makes the next start quick comes when it can
    (parent,) = bounded.driver.children.preloads()
    await bounded.driver.children.until(parent.name, lambda held: bool(held and held.ready), 20)
    await bounded.driver.standby.arm(wanted, 100)
    address = (await bounded.driver.observe(id_)).endpoints[0].address
    await asked(address, "/")
    await bounded.until(id_, lambda view: bool(view.instances))  # news may come after a wake
    (child,) = bounded.driver.children.of(id_)
    assert b"codestore_sdk.preload" in Path(f"/proc/{child.pid}/cmdline").read_bytes()
    with pytest.raises(httpx.HTTPError):
        await asked(address, "/take")
    ended = await bounded.reach(id_, InstanceState.ENDED)
    assert ended.instances[0].ending == REASON
    held = bounded.driver.children.get(parent.name)
    assert held is not None and held.ending is None  # what its fork took was not its own


async def test_a_task_that_wants_too_much_fails_for_that_reason(bounded: Stage) -> None:
    wanted = replace(python(deployment(), "bytearray(400 * 2**20)"), resources=SMALL)
    result = await bounded.tasks.run(wanted, "1.migrate", 30)
    assert (result.succeeded, result.ending) == (False, REASON)


async def test_a_command_gets_its_share_of_the_processor(bounded: Stage) -> None:
    code = "import time; b=time.monotonic()\nwhile time.monotonic() < b + 2: pass\n"
    code += "print(time.process_time() / (time.monotonic() - b))"
    wanted = python(deployment(), code)
    wanted = replace(wanted, resources=Resources(cpu=0.25))
    result = await bounded.tasks.run(wanted, "1.spin", 60)
    assert result.succeeded
    assert 0.02 < float(result.lines[-1]) < 0.4


async def test_a_keeper_that_knows_no_bounds_is_not_asked_for_any(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an earlier release would refuse the words."""
    sent: list[ChildSpec] = []
    spawn, watch = stage.client.spawn, stage.client.watch

    async def seen(spec: ChildSpec) -> int:
        sent.append(spec)
        return await spawn(spec)

    async def watched(name: str, spec: ChildSpec, label: dict[str, str]) -> None:
        sent.append(spec)
        await watch(name, spec, label)

    monkeypatch.setattr(stage.client, "spawn", seen)
    monkeypatch.setattr(stage.client, "watch", watched)
    stage.driver.children.limits = ()
    command = (sys.executable, "-S", str(SERVICES / "port.py"), "graceful")
    await stage.serving(workload(deployment(), *command, resources=SMALL))
    await stage.driver.standby.arm(workload(deployment(), resources=SMALL), 10)
    stage.driver.children.limits = ("memory",)
    await stage.driver.standby.arm(workload(deployment(), resources=SMALL), 10)
    bounds = [(spec.memory, spec.cpu) for spec in sent]
    assert bounds == [(None, None), (None, None), (SMALL.memory, None)]
