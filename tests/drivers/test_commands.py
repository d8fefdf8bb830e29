"""Services that listen on a port of their own: the driver says for them how far they are."""

import os
import sys

import pytest

from codestore.domain.faults import Fault, FaultKind
from codestore.domain.instances import InstanceState, Workload
from codestore.domain.manifest import Health
from codestore.keeper.protocol.messages import Exited
from tests.drivers.stage import SERVICES, Stage, caller, deployment, states, workload
from tests.keeper.house import event, listed


def listening(id_: str, how: str = "abrupt", *fifo: str) -> Workload:
    return workload(id_, sys.executable, "-S", str(SERVICES / "port.py"), how, *fifo)


@pytest.mark.parametrize(
    ("how", "code", "signal"), [("graceful", 0, None), ("abrupt", None, "SIGTERM")]
)
async def test_a_command_lives_from_its_port_to_its_end(
    stage: Stage, how: str, code: int | None, signal: str | None
) -> None:
    id_ = deployment()
    name = f"{id_}.1.0"
    await stage.driver.start(listening(id_, how), 0)
    ready = await stage.reach(id_, InstanceState.READY)
    assert ready.endpoints == ()
    await stage.driver.prove(id_, name, Health("/"))
    with pytest.raises(Fault, match="GET /broken answered 503"):
        await stage.driver.prove(id_, name, Health("/broken", 1))

    await stage.driver.admit(id_, name)
    serving = await stage.driver.observe(id_)
    [endpoint] = serving.endpoints
    assert endpoint.address == serving.instances[0].address
    assert not endpoint.draining
    await stage.driver.admit(id_, name)  # again: nothing
    assert await stage.driver.observe(id_) == serving

    await stage.driver.drain(id_, name)
    draining = await stage.driver.observe(id_)
    assert states(draining) == {InstanceState.DRAINING}
    assert [one.draining for one in draining.endpoints] == [True]
    await stage.driver.drain(id_, name)  # again: its time goes on
    assert await stage.driver.observe(id_) == draining
    async with caller(endpoint.address) as client:
        assert (await client.get("/")).status_code == 200

    async with stage.client.events() as events:
        await stage.driver.stop(id_, name)
        exited = await event(events, Exited, name)
    assert (exited.code, exited.signal) == (code, signal)
    gone = await stage.driver.observe(id_)
    assert (gone.instances, gone.endpoints) == ((), ())


async def test_every_phase_outlives_a_restart_of_the_control_process(stage: Stage) -> None:
    id_ = deployment()
    name = f"{id_}.1.0"
    await stage.driver.start(listening(id_), 0)
    await stage.reach(id_, InstanceState.READY)
    for move, state in (
        (None, InstanceState.READY),
        (stage.driver.admit, InstanceState.SERVING),
        (stage.driver.drain, InstanceState.DRAINING),
    ):
        if move:
            await move(id_, name)
        view = await stage.reach(id_, state)
        async with stage.restarted() as other:
            assert await other.driver.observe(id_) == view


async def test_a_command_that_was_still_starting_is_seen_to_be_ready_by_the_next(
    stage: Stage,
) -> None:
    id_ = deployment()
    fifo = stage.home(id_) / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    try:
        await stage.driver.start(listening(id_, "abrupt", str(fifo)), 0)
        async with stage.restarted() as other:
            before = await other.driver.observe(id_)
            assert states(before) == {InstanceState.STARTING}
            fifo.write_text("go")
            await other.reach(id_, InstanceState.READY)
    finally:
        fifo.unlink(missing_ok=True)


async def test_a_command_that_ends_before_it_listens_can_be_started_again(stage: Stage) -> None:
    id_ = deployment()
    fifo = stage.home(id_) / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    try:
        await stage.driver.start(listening(id_, "abrupt", str(fifo)), 0)
        fifo.write_text("crash")
        ended = await stage.reach(id_, InstanceState.ENDED)
        assert ended.instances[0].ending == "exit code 3"
        await stage.driver.start(listening(id_), 0)  # it is still to be forgotten
        assert (await stage.driver.observe(id_)) == ended
        await stage.driver.stop(id_, f"{id_}.1.0")
        await stage.driver.start(listening(id_), 0)
        await stage.reach(id_, InstanceState.READY)
    finally:
        fifo.unlink(missing_ok=True)


async def test_starting_a_command_twice_is_starting_it_once(stage: Stage) -> None:
    id_ = deployment()
    await stage.driver.start(listening(id_), 0)
    first = await stage.driver.observe(id_)
    pid = (await listed(stage.client, f"{id_}.1.0")).pid
    async with stage.restarted() as other:
        await other.driver.start(listening(id_), 0)
        assert (await listed(stage.client, f"{id_}.1.0")).pid == pid
        assert [one.address for one in (await other.driver.observe(id_)).instances] == [
            one.address for one in first.instances
        ]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (("no-such-program",), "no-such-program"),
        ((str(SERVICES / "port.py"),), "port.py"),  # it is not executable
        (("sleep", "1\0"), "NUL"),
    ],
    ids=["missing", "not executable", "impossible"],
)
async def test_a_command_that_cannot_be_started_is_a_fault_that_stays(
    stage: Stage, wanted: tuple[str, ...], told: str
) -> None:
    id_ = deployment()
    with pytest.raises(Fault) as refused:
        await stage.driver.start(workload(id_, *wanted), 0)
    assert refused.value.letter.kind is FaultKind.FAILED
    assert refused.value.letter.code == "cannot_run"
    assert told in refused.value.letter.detail
    assert (await stage.driver.observe(id_)).instances == ()
