"""From a spec to a process that waits at the gate: forked by its parent, or by us."""

import functools
import logging
from dataclasses import replace

from codestore.keeper.bounds.limiting import Bounds
from codestore.keeper.home import Home
from codestore.keeper.run import Run
from codestore.keeper.sockets.dialling import free_port
from codestore.keeper.spawning.forking import forked
from codestore.keeper.spawning.launch import Launch, launch
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls.cell import Cell

_log = logging.getLogger(__name__)


def prepared(spec: ChildSpec, woken_at: float | None) -> ChildSpec:
    """Return the spec of one run: with the time at which it was called."""
    if woken_at is None:
        return spec
    return replace(spec, env={**spec.env, "WOKEN_AT": repr(woken_at)})


async def start(spec: ChildSpec, home: Home, woken: bool) -> tuple[Run, Launch]:
    """Start a prepared spec, by its parent when it has one that can; its end is expected.

    ``woken``: somebody waits for it, so it may take the last spare.
    Sockets that are not held yet are from now on. Raises ``KeeperError(too-long)``, ``OSError``.
    """
    names = [listener for _, listener in spec.sockets]
    for name in names:  # a socket of its own is not held before it is needed
        home.listeners.provide(name)
    launched, bounds = await _by_parent(spec, home, names)
    by_parent = launched is not None
    if launched is None:
        launched, bounds = _by_us(spec, home, names, woken)
    # In the same turn of the loop: no end may be collected before it is expected.
    ended = home.reaper.expect(launched.pid)
    run = Run(
        spec.name,
        launched.pid,
        ended,
        user=spec.user,
        sockets=tuple(names),
        channel=launched.channel,
        greeting=spec.greeting,
        bounds=bounds,
    )
    run.view, run.cell = spec.view, launched.cell
    run.port = launched.port
    run.forked = by_parent
    if launched.cell and launched.cell.link and not by_parent:
        launched.cell.link.follow(functools.partial(_lose, run, launched.cell))
    return run, launched


def _lose(run: Run, cell: Cell) -> None:
    """Whoever has no network any more is to be started anew, in another one."""
    run.cause = "its network ended"
    _log.warning("%s: %s", run.name, run.cause)
    cell.end()


async def _by_parent(
    spec: ChildSpec, home: Home, names: list[str]
) -> tuple[Launch | None, Bounds | None]:
    if spec.parent is None:
        return None, None
    parent = home.runs.get(spec.parent)
    if spec.port and parent and parent.cell and parent.cell.link:
        return None, None  # no port of the host's would lead into its parent's network
    spec = _with_port(spec, None)
    cell = parent.cell.join() if parent and parent.cell else None
    bounds = _bounds(spec, home)
    launched = await forked(spec, parent, home.listeners.descriptors(names), home.notify, bounds)
    if launched:
        return replace(launched, cell=cell, port=_port(spec)), bounds
    for unused in (cell.leave if cell else None, bounds.release if bounds else None):
        if unused:
            unused()
    return None, None


def _by_us(
    spec: ChildSpec, home: Home, names: list[str], woken: bool
) -> tuple[Launch, Bounds | None]:
    # The descriptors anew: a socket may have been closed while its parent was asked.
    descriptors = home.listeners.descriptors(names)
    spare = home.spares.take(spec, woken)
    wide = spare.bounds if spare else None
    bounds = wide or _bounds(spec, home)
    spec = _with_port(spec, spare.cell if spare else None)
    try:
        launched = launch(spec, descriptors, home.notify, bounds, spare, home.walls)
    except OSError:
        if bounds:
            bounds.release()
        raise
    if wide:  # while it becomes what it is to be; it waits at the gate for it
        wide.limit(spec.memory, spec.cpu)
    return replace(launched, port=_port(spec)), bounds


def _with_port(spec: ChildSpec, cell: Cell | None) -> ChildSpec:
    """Return it with a port of its own: the one that leads into its cell, if that is there."""
    if not spec.port:
        return spec
    port = cell.link.port if cell and cell.link else free_port()
    return replace(spec, env={**spec.env, "PORT": str(port)})


def _port(spec: ChildSpec) -> int:
    return int(spec.env["PORT"]) if spec.port else 0


def _bounds(spec: ChildSpec, home: Home) -> Bounds | None:
    return home.limiter.bounds(spec.memory, spec.cpu) if spec.bounded else None
