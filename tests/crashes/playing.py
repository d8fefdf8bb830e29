"""Playing a history: from a base that was made once, with kills, to the checks at its end."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from unittest.mock import patch

from codestore.domain.deployments import Deployment
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.ports import Noun
from codestore.reconcile import executor
from tests.crashes.acts import Acts
from tests.crashes.checks import check
from tests.crashes.fuse import Fuse
from tests.crashes.ops import Op
from tests.crashes.stage import Stage

RUNS = {
    RunKind.ASGI: Run(RunKind.ASGI, ("app:app",)),
    RunKind.COMMAND: Run(RunKind.COMMAND, ("node", "server.js")),
}
BASES: dict[str, tuple[Op, ...]] = {
    "nothing": (),
    "service": (Op("create"), Op("project", wait="quiet")),
    "two": (Op("create"), Op("push"), Op("promote", wait="quiet"), Op("project", wait="quiet")),
    "shop": (
        *(Op("create"), Op("project"), Op("include"), Op("push"), Op("promote")),
        *(Op("promote_to", ("development",)), Op("promote_to", ("staging",))),
        Op("promote_to", ("production",), wait="quiet"),
    ),
    "ahead": (
        *(Op("create"), Op("project"), Op("include"), Op("push"), Op("promote"), Op("push")),
        *(Op("promote"), Op("promote_to", ("development",), wait="quiet")),
    ),
    "young": (
        *(Op("create"), Op("project"), Op("include"), Op("push"), Op("promote")),
        Op("promote_to", ("development",)),
    ),
    "canary": (
        *(Op("create"), Op("project"), Op("include"), Op("push", ("", True)), Op("promote")),
        *(Op("promote_to", ("development", False)), Op("promote_to", ("staging", False))),
        Op("promote_to", ("production",), wait="40"),
    ),
}


@dataclass(frozen=True, slots=True)
class History:
    """What happens, from where on, how instances listen, and at which points the process dies.

    ``lengthy``: every step takes so long that people are told of it while it is carried out.
    """

    base: str
    kind: RunKind
    ops: tuple[Op, ...]
    kills: tuple[int, ...] = ()
    name: str = ""
    lengthy: bool = False

    def __str__(self) -> str:
        lines = [f"History({self.base!r}, RunKind.{self.kind.name}, ("]
        lines += [f"    {op}," for op in self.ops]
        return "\n".join([*lines, f"), kills={self.kills!r}, lengthy={self.lengthy})"])


@dataclass(frozen=True, slots=True)
class Base:
    """A world and its records, to be copied."""

    world: dict[str, dict[str, Any]]
    nouns: list[Noun]


@dataclass(slots=True)
class Played:
    """How a history went: points passed, where the process died, what was wrong at the end."""

    points: int = 0
    died: list[str] = field(default_factory=list)
    error: BaseException | None = None
    trace: list[str] | None = None


async def play(history: History, trace: bool = False) -> Played:
    """Play a history with its kills, and check what is left."""
    with patch.object(executor, "AT_ONCE", 0.0 if history.lengthy else executor.AT_ONCE):
        return await _play(history, trace)


async def _play(history: History, trace: bool) -> Played:
    fuse = Fuse(trace=[] if trace else None)
    played = Played(trace=fuse.trace)
    try:
        stage, known = await opened(history, fuse)
        fuse.kills, fuse.points, fuse.lengthy = list(history.kills), 0, history.lengthy
        acts = Acts(stage)
        for op in history.ops:
            if fuse.trace is not None:
                fuse.trace.append(f"----- {op}")
            await acts.perform(op)
        stage.mend()
        await stage.through(acts.holders.end_keys)
        await stage.through(stage.quiet)
        played.points = fuse.points
        fuse.kills.clear()
        await check(stage, acts, known)
    except Exception as error:
        played.error = error
    played.died = fuse.died
    return played


def play_all(histories: Iterable[History]) -> Iterable[tuple[History, Played]]:
    """Play one after the other on one loop."""
    loop = asyncio.new_event_loop()
    try:
        for history in histories:
            yield history, loop.run_until_complete(play(history))
    finally:
        loop.close()


def count_points(histories: Sequence[History]) -> list[int]:
    """Return how many points each of them passes when nobody dies."""
    found = []
    for history, played in play_all(histories):
        if played.error is not None:
            raise AssertionError(f"{history.name} goes wrong by itself") from played.error
        found.append(played.points)
    return found


def manifest(kind: RunKind) -> Manifest:
    """Return what the service says of itself."""
    return Manifest("blog", RUNS[kind], migrate=("migrate",))


async def opened(history: History, fuse: Fuse) -> tuple[Stage, dict[str, int]]:
    """Return a stage with the base of a history, and the generations that are concluded there."""
    stage = Stage(manifest(history.kind), fuse)
    base = await _base(history.base, history.kind)
    pour(base.world, stage)
    await stage.store.pour(base.nouns)
    stage.ledger.know(base.nouns)
    deployments = [each for each in base.nouns if isinstance(each, Deployment)]
    known = {each.id: each.status.generation for each in deployments}
    for each in deployments:
        canary, progress = each.spec.canary, each.status.canary
        if canary is not None and progress is not None:
            share = (canary.steps[progress.step], progress.since)
            stage.promises.shares[each.id, each.spec.revision] = share
    await stage.start()
    return stage, known


_BASES: dict[tuple[str, RunKind], Base] = {}


async def _base(name: str, kind: RunKind) -> Base:
    if (name, kind) not in _BASES:
        stage = Stage(manifest(kind), Fuse())
        acts = Acts(stage)
        for op in BASES[name]:
            await acts.perform(op)
        _BASES[name, kind] = Base(drained(stage), await stage.store.everything())
    return _BASES[name, kind]


_PARTS = ("driver", "databases", "builder", "gateway", "traffic", "clock")


def drained(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return what the doors of a stage hold."""
    return {part: _values(vars(getattr(stage.world, part))) for part in _PARTS}


def pour(world: dict[str, dict[str, Any]], stage: Stage) -> None:
    """Have the doors of a stage hold that."""
    for part, values in world.items():
        vars(getattr(stage.world, part)).update(_values(values))
    running = [i for held in stage.world.driver.instances.values() for i in held.values()]
    stage.promises.proved = {(i.name, i.since) for i in running}
    splits = [route.split for route in stage.world.gateway.routes.values() if route.split]
    asked = {endpoint.address for split in splits for endpoint in split.endpoints}
    stage.promises.led = {(i.name, i.since) for i in running if i.private in asked}


def _values(held: dict[str, Any]) -> dict[str, Any]:
    """Copy data, and leave out the rest: effects, queues, hooks."""
    return {
        name: _copied(value)
        for name, value in held.items()
        if not callable(value) and not isinstance(value, asyncio.Queue)
    }


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)({key: _copied(each) for key, each in value.items()})
    return type(value)(value) if isinstance(value, set | list) else value


def without_kills(history: History) -> History:
    """Return the same history, unharmed."""
    return replace(history, kills=())


@cache
def base_names() -> tuple[str, ...]:
    """Return the names of all bases."""
    return tuple(BASES)
