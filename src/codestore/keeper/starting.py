"""From a spec to a process that waits at the gate: forked by its parent, or by us."""

from dataclasses import replace

from codestore.keeper.dialling import free_port
from codestore.keeper.forking import forked
from codestore.keeper.home import Home
from codestore.keeper.launch import Launch, launch
from codestore.keeper.run import Run
from codestore.keeper.spec import ChildSpec


def prepared(spec: ChildSpec, woken_at: float | None) -> ChildSpec:
    """Return the spec of one run: with its own port, and the time at which it was called."""
    env = dict(spec.env)
    if spec.port:
        env["PORT"] = str(free_port())
    if woken_at is not None:
        env["WOKEN_AT"] = repr(woken_at)
    return replace(spec, env=env)


async def start(spec: ChildSpec, home: Home, woken: bool) -> tuple[Run, Launch]:
    """Start a prepared spec, by its parent when it has one that can; its end is expected.

    ``woken``: somebody waits for it, so it may take a spare.
    Sockets that are not held yet are from now on. Raises ``KeeperError(too-long)``, ``OSError``.
    """
    names = [listener for _, listener in spec.sockets]
    for name in names:  # a socket of its own is not held before it is needed
        home.listeners.provide(name)
    launched = None
    if spec.parent is not None:
        parent = home.runs.get(spec.parent)
        launched = await forked(spec, parent, home.listeners.descriptors(names), home.notify)
    by_parent = launched is not None
    if launched is None:  # the descriptors anew: a socket may have been closed meanwhile
        descriptors = home.listeners.descriptors(names)
        launched = launch(spec, descriptors, home.notify, home.spares if woken else None)
    # In the same turn of the loop: no end may be collected before it is expected.
    ended = home.reaper.expect(launched.pid)
    run = Run(
        spec.name,
        launched.pid,
        ended,
        user=spec.user,
        channel=launched.channel,
        greeting=spec.greeting,
    )
    run.port = int(spec.env["PORT"]) if spec.port else 0
    run.forked = by_parent
    return run, launched
