"""Whoever serves is asked again and again whether it is well, and nobody else is."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from codestore.domain.instances import InstanceState, View
from codestore.domain.manifest import Health
from codestore.drivers.process import rounds as rounds_room
from codestore.drivers.process.child import Child
from codestore.drivers.process.children import Children
from codestore.drivers.process.naming import SERVICE, TASK, Label, Phase
from codestore.drivers.process.probing import OverloadedError
from codestore.drivers.process.rounds import AT_ONCE, FAILURES, Rounds
from tests.drivers.stage import PATIENCE, SERVICES, Stage, deployment, opened, workload
from tests.keeper.house import House

OFTEN = 0.05
HEALTH = Health("/health", 0.5)


@pytest.fixture
async def quick(house: House) -> AsyncIterator[Stage]:
    async with opened(house, OFTEN) as found:
        yield found


def says(stage: Stage, id_: str, answer: str) -> None:
    """Have a service answer like this at /health from now on."""
    (stage.home(id_) / "health").write_text(answer)


async def asked(stage: Stage, id_: str) -> int:
    """How often a service has been asked at /health."""
    return [line.text for line in await stage.logs.tail(id_, 10_000)].count("asked")


async def failing(stage: Stage, id_: str, text: str | None) -> View:
    return await stage.until(id_, lambda view: view.instances[0].failing == text)


async def test_one_that_serves_and_fails_is_told_in_words_until_it_is_well(quick: Stage) -> None:
    id_ = deployment()
    await quick.serving(workload(id_, health=HEALTH))
    says(quick, id_, "500")
    view = await failing(quick, id_, "/health answered 500")
    assert view.instances[0].state is InstanceState.SERVING
    says(quick, id_, "503")
    await failing(quick, id_, "/health answered 503")
    says(quick, id_, "hang")
    await failing(quick, id_, "/health did not answer within 0.5 s")
    says(quick, id_, "204")
    await failing(quick, id_, None)


async def test_a_command_is_asked_at_its_port(quick: Stage) -> None:
    id_ = deployment()
    command = (sys.executable, "-S", str(SERVICES / "port.py"), "graceful")
    await quick.serving(workload(id_, *command, health=Health("/broken")))
    await failing(quick, id_, "/broken answered 503")


async def test_the_next_of_us_knows_how_to_ask(quick: Stage) -> None:
    id_ = deployment()
    await quick.serving(workload(id_, health=Health("/broken", 2.5)))
    await quick.driver.start(workload(id_), 1)
    await quick.driver.__aexit__()
    async with quick.restarted() as other:
        view = await failing(other, id_, "/broken answered 503")
        assert [each.failing for each in view.instances] == ["/broken answered 503", None]
        child = other.driver.children.get(f"{id_}.1.0")
        assert child is not None and child.label.health == Health("/broken", 2.5)
        child = other.driver.children.get(f"{id_}.1.1")
        assert child is not None and child.label.health == Health()


async def test_one_that_is_not_admitted_or_drains_is_not_asked(quick: Stage) -> None:
    id_ = deployment()
    await quick.serving(other := workload(deployment(), health=HEALTH))
    await quick.driver.start(workload(id_, health=HEALTH), 0)
    await quick.reach(id_, InstanceState.READY)
    await _asked_more(quick, other.deployment)
    assert await asked(quick, id_) == 0
    await quick.driver.admit(id_, f"{id_}.1.0")
    await _asked_more(quick, id_)
    says(quick, id_, "500")
    await failing(quick, id_, "/health answered 500")
    path = (await quick.driver.observe(id_)).endpoints[0].address.removeprefix("unix:")
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345")
    await quick.said(id_, "reading")
    await quick.driver.drain(id_, f"{id_}.1.0")
    assert (await quick.driver.observe(id_)).instances[0].failing is None
    await _asked_more(quick, other.deployment)  # the last question may still be on its way
    before = await asked(quick, id_)
    await _asked_more(quick, other.deployment)
    assert await asked(quick, id_) == before
    writer.close()


@pytest.mark.parametrize("anew", [False, True], ids=["the same", "the next of us"])
async def test_one_that_has_proved_itself_is_asked_before_it_is_admitted(
    quick: Stage, *, anew: bool
) -> None:
    """A canary: a share of the requests is led to it."""
    id_ = deployment()
    await quick.driver.start(workload(id_, health=HEALTH), 0)
    await quick.reach(id_, InstanceState.READY)
    await quick.driver.prove(id_, f"{id_}.1.0", HEALTH)
    if anew:
        await quick.driver.__aexit__()
        async with quick.restarted() as other:
            says(other, id_, "500")
            await failing(other, id_, "/health answered 500")
        return
    says(quick, id_, "500")
    await failing(quick, id_, "/health answered 500")
    await quick.driver.admit(id_, f"{id_}.1.0")
    says(quick, id_, "204")
    await failing(quick, id_, None)
    await quick.driver.drain(id_, f"{id_}.1.0")
    await quick.reach(id_, InstanceState.ENDED)
    assert not quick.driver.rounds._proved


async def _asked_more(stage: Stage, id_: str, times: int = 5) -> None:
    """Return when a service has been asked so many times more."""
    goal = await asked(stage, id_) + times
    async with asyncio.timeout(PATIENCE):
        while await asked(stage, id_) < goal:
            await asyncio.sleep(OFTEN)


async def test_questions_keep_nobody_awake_and_wake_nobody(quick: Stage) -> None:
    """Nor is a sleeper's first caller told to wait for the answer to one."""
    id_ = deployment()
    await quick.serving(other := workload(deployment(), health=HEALTH))
    view = await quick.serving(workload(id_, health=HEALTH))
    says(quick, id_, "slow")
    for _ in range(5):
        await _asked_more(quick, id_, 2)
        assert await quick.driver.standby.freeze(id_, view.instances[0].name, 100)
        await quick.reach(id_, InstanceState.FROZEN)
        await _asked_more(quick, other.deployment, 2)
        before = await asked(quick, id_)
        await _asked_more(quick, other.deployment)
        assert (await quick.driver.observe(id_)).instances[0].state is InstanceState.FROZEN
        assert await asked(quick, id_) == before
        await quick.driver.standby.thaw(id_, view.instances[0].name)


async def test_what_is_wrong_ends_with_the_instance_whose_end_is_told_once(quick: Stage) -> None:
    id_ = deployment()
    await quick.serving(workload(id_, health=Health("/broken")))
    await failing(quick, id_, "/broken answered 503")
    (serving,) = (await quick.driver.observe(id_)).instances
    seen: list[View] = []

    async def watch() -> None:
        async for changed in quick.driver.changes():
            seen.append(await quick.driver.observe(changed))

    watching = asyncio.create_task(watch())
    await quick.client.signal(f"{id_}.1.0", "SIGKILL")
    await quick.driver.children.until(f"{id_}.1.0", lambda c: bool(c and c.ending), PATIENCE)
    await asyncio.sleep(10 * OFTEN)  # for whatever might be told beside it
    watching.cancel()
    told = [(each.ending, each.failing, each.private) for view in seen for each in view.instances]
    assert told == [("killed by SIGKILL", None, None)]
    started = seen[0].instances[0].started
    assert started is not None and started == serving.started


async def test_one_of_an_earlier_release_is_not_asked_what_it_may_not_know(quick: Stage) -> None:
    """Its label does not say how to ask, and a guess could restart what is well."""
    id_ = deployment()
    await quick.serving(other := workload(deployment(), health=HEALTH))
    await quick.serving(workload(id_, health=HEALTH))
    label = Label(id_, SERVICE, 1, 0, 5.0)
    assert "health" not in label.written()
    child = quick.driver.children.get(f"{id_}.1.0")
    assert child is not None
    await quick.driver.children.relabel(child, label)
    await _asked_more(quick, other.deployment)  # one question may be under way
    before = await asked(quick, id_)
    await _asked_more(quick, other.deployment)
    assert await asked(quick, id_) == before
    assert Label.read(label.written()) == label


class Ward:
    """Children that are only spoken of, and a doctor whose questions a test answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, every: float = 0.02) -> None:
        self.children: dict[str, Child] = {}
        self.changed: list[str] = []
        self.asked: list[str] = []
        self.at_once = 0
        self.most = 0
        self.answer: Callable[[str], str | None] = lambda _: None
        self.pause = asyncio.Event()
        self.pause.set()
        self.rounds = Rounds(cast(Children, cast(Any, self)), self.changed.append, every)
        monkeypatch.setattr(rounds_room, "check", self._check)

    def get(self, name: str) -> Child | None:
        return self.children.get(name)

    def socket(self, name: str) -> str:
        return f"/{name}"

    def put(self, name: str, status: str = "accepting", pid: int = 1, **label: Any) -> None:
        given = {"kind": SERVICE, "phase": Phase.STARTING, "health": HEALTH, **label}
        written = Label(f"of-{name}", revision=1, ordinal=0, drain=1.0, **given)
        self.children[name] = Child(name, pid, written, 0.0, ready=True, status=status)
        self.rounds.note(name)

    async def _check(self, address: str, health: Health) -> str | None:
        self.asked.append(address)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.pause.wait()
            return self.answer(address)
        finally:
            self.at_once -= 1

    async def until(self, holds: Callable[[], bool]) -> None:
        going = asyncio.create_task(self.rounds.go())
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.002)
        going.cancel()
        await asyncio.wait([going])


async def test_it_takes_three_bad_answers_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(monkeypatch)
    answers = iter(["bad", "bad", None, "bad", "bad", "worse", "worse", None])
    given: list[str | None] = []

    def answer(_: str) -> str | None:
        if given:
            told.append(ward.rounds.failing("a"))
        given.append(next(answers, None))
        return given[-1]

    told: list[str | None] = []
    ward.answer = answer
    ward.put("a")
    await ward.until(lambda: len(given) > 8)
    assert told[:8] == [None] * 5 + ["worse", "worse", None]
    assert ward.changed == ["of-a"] * 2
    assert FAILURES == 3


async def test_what_cannot_be_told_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(monkeypatch)
    count = 0

    def answer(_: str) -> str:
        nonlocal count
        count += 1
        if count % 2:
            raise OverloadedError
        return "bad"

    ward.answer = answer
    ward.put("a")
    await ward.until(lambda: count == 5)
    assert ward.rounds.failing("a") is None
    await ward.until(lambda: count == 8)
    assert ward.rounds.failing("a") == "bad"


async def test_a_question_that_breaks_does_not_end_the_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward = Ward(monkeypatch)

    def answer(_: str) -> str:
        raise RuntimeError("a bug")

    ward.answer = answer
    ward.put("a")
    await ward.until(lambda: len(ward.asked) > 3)


async def test_many_are_asked_one_after_another_and_all_as_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward = Ward(monkeypatch, every=0.5)
    names = [f"a{number}" for number in range(100)]
    for name in names:
        ward.put(name)
    dues = sorted(chart.due for chart in ward.rounds._charts.values())
    assert dues[-1] - dues[0] > 0.2  # not all in the same moment
    ward.pause.clear()
    await ward.until(lambda: len(ward.asked) >= AT_ONCE)
    assert ward.most == AT_ONCE
    ward.pause.set()
    ward.asked.clear()
    await ward.until(lambda: len(ward.asked) >= 300)
    assert ward.most == AT_ONCE
    assert min(ward.asked.count(f"unix:/{name}") for name in names) >= 1
    assert max(ward.asked.count(f"unix:/{name}") for name in names) <= 6


async def test_after_a_pause_all_are_still_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended process has missed everybody's turn."""
    ward = Ward(monkeypatch, every=0.5)
    for number in range(20):
        ward.put(f"a{number}")
    charts = ward.rounds._charts.values()
    now = asyncio.get_running_loop().time()
    late = now + 100
    apart = sorted(ward.rounds._next(chart.due, late) for chart in charts)
    assert late + 0.25 <= apart[0] and apart[-1] <= late + 0.75
    assert apart[-1] - apart[0] > 0.1


@pytest.mark.parametrize(
    "asleep",
    [
        {"status": "ready"},
        {"status": "draining"},
        {"kind": TASK},
        {"phase": Phase.DRAINING},
        {"health": None},
    ],
)
async def test_who_does_not_serve_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, asleep: dict[str, Any]
) -> None:
    ward = Ward(monkeypatch)
    ward.put("a", **asleep)
    ward.put("b")
    await ward.until(lambda: len(ward.asked) > 5)
    assert set(ward.asked) == {"unix:/b"}
    ward.put("b", **asleep)
    ward.asked.clear()
    assert not ward.rounds._charts
    await asyncio.sleep(0.1)
    assert not ward.asked


async def test_one_that_was_replaced_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(monkeypatch)
    ward.answer = lambda _: "bad"
    ward.put("a")
    await ward.until(lambda: ward.rounds.failing("a") is not None)
    ward.put("a", pid=2)
    assert ward.rounds.failing("a") is None


async def test_who_is_left_alone_is_asked_nothing_and_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward = Ward(monkeypatch)
    ward.put("a")
    going = asyncio.create_task(ward.rounds.go())
    ward.pause.clear()
    async with asyncio.timeout(PATIENCE):
        while not ward.at_once:
            await asyncio.sleep(0.002)
    async with ward.rounds.left_alone("a") as just_asked:
        assert just_asked and not ward.at_once
        async with ward.rounds.left_alone("a"):
            pass
        before = len(ward.asked)
        await asyncio.sleep(0.1)
        assert len(ward.asked) == before
    ward.pause.set()
    async with asyncio.timeout(PATIENCE):
        while len(ward.asked) == before:
            await asyncio.sleep(0.002)
    going.cancel()
    await asyncio.wait([going])


async def test_who_was_not_asked_is_not_taken_for_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(monkeypatch, every=60)
    ward.put("a")
    async with ward.rounds.left_alone("a") as just_asked:
        assert not just_asked
    async with ward.rounds.left_alone("nobody") as just_asked:
        assert not just_asked
