"""A platform whose control process kills itself between two effects, as it is told to.

    python bench/dying.py up --data DIR --port N

does what ``codestore up`` does, with another command for the control process, and with a keeper
that starts it again without waiting longer each time. Nothing of this is in the product: it is its
doors that are wrapped here, from outside.

``DIR/../kill`` holds a number when a control process is forked: it dies (SIGKILL) at the point with
that number, counted from its start. There is a point before and after each effect, and before and
after each commit. Without a number it lives. ``DIR/../doors`` names the last process that has its
doors, ``DIR/../died`` the points at which one died.

What takes most of a start is importing. So the process that the keeper starts imports everything,
becomes a parent, and forks the one that serves; when that is killed, it forks another at once. For
the platform it is as if the keeper had done so; and it does whenever the parent is killed, too.
"""

import ctypes
import gc
import importlib
import os
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
AGAIN = 0.05  # seconds until the keeper starts it again
KILL, DIED, DOORS = "kill", "died", "doors"
PR_SET_PDEATHSIG = 1
LATER = (  # what a control process imports only when it needs it: each of them does
    "anyio._backends._asyncio",
    "fastapi.telemetry._runtime",
    "httpcore",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
EFFECTS = {
    "driver": ("start", "prove", "admit", "drain", "stop", "remove"),
    "standby": ("hold", "freeze", "thaw", "stop_frozen", "arm", "disarm", "refuse"),
    "tasks": ("run",),
    "databases": ("create", "open_login", "close_logins", "drop"),
    "builder": ("seal", "prepare", "collect"),
    "gateway": ("publish", "withdraw"),
}
KEYRING = ("begin", "finish")


class Fuse:
    """Counts points, and dies at one of them."""

    def __init__(self, folder: Path, order: str) -> None:
        self._left = int(order) if order else -1
        self._file = folder / DIED

    def point(self, name: str) -> None:
        """Pass a point, or die there."""
        self._left -= 1
        if self._left == 0:
            with self._file.open("a") as told:
                told.write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def guard(self, doors: Any) -> Any:
        """Wrap every effect of the doors in place; return them."""
        (self._file.parent / DOORS).write_text(str(os.getpid()))
        for door, names in EFFECTS.items():
            for name in names:
                effect = getattr(getattr(doors, door), name)
                setattr(getattr(doors, door), name, self._guarded(name, effect))
        for name in KEYRING:
            setattr(doors.keyring, name, self._guarded_at_once(name, getattr(doors.keyring, name)))
        doors.store.begin = self._committing(doors.store.begin)
        return doors

    def _guarded(
        self, name: str, effect: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.point(f"before {name}")
            result = await effect(*args, **kwargs)
            self.point(f"after {name}")
            return result

        return call

    def _guarded_at_once(self, name: str, effect: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.point(f"before {name}")
            result = effect(*args)
            self.point(f"after {name}")
            return result

        return call

    def _committing(self, begin: Callable[[], Any]) -> Callable[[], Any]:
        @asynccontextmanager
        async def guarded() -> AsyncIterator[Any]:
            written = [False]
            async with begin() as records:
                for name in ("put", "remove", "emit"):
                    setattr(records, name, _noted(getattr(records, name), written))
                yield records
                if written[0]:
                    self.point("before commit")
            if written[0]:
                self.point("after commit")

        return guarded


def _noted(
    write: Callable[..., Awaitable[None]], written: list[bool]
) -> Callable[..., Awaitable[None]]:
    async def call(*nouns: Any) -> None:
        written[0] = written[0] or bool(nouns)
        await write(*nouns)

    return call


def up() -> None:
    """Become the keeper as ``codestore up`` does, of another control process."""
    from codestore import __main__ as start  # noqa: PLC0415

    become = os.execve

    def instead(program: str, command: list[str], environment: dict[str, str]) -> None:
        here = str(Path(__file__).resolve())
        cut = command.index("--")
        keeper = [program, here, "keeper", *command[3:cut]]
        become(program, [*keeper, "--", program, here, "control", *command[cut + 4 :]], environment)

    os.execve = instead  # type: ignore[assignment]
    sys.exit(start.main())


def keeper() -> None:
    """Be the keeper, impatient."""
    from codestore.keeper import backoff  # noqa: PLC0415

    backoff.FIRST = backoff.LONGEST = AGAIN
    runpy.run_module("codestore.keeper", run_name="__main__")


def control() -> None:
    """Import all that a control process is made of; then be the parent of one after another."""
    from codestore import control as process  # noqa: F401, PLC0415

    for name in LATER:
        importlib.import_module(name)
    gc.freeze()  # what was imported is not looked through again by each of them
    data = Path(sys.argv[sys.argv.index("--data") + 1])
    children = [0]
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(children[-1], number))
    while True:
        order = (data.parent / KILL).read_text()
        child = os.fork()
        if not child:
            serve(Fuse(data.parent, order))
            return
        children.append(child)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


def serve(fuse: Fuse) -> None:
    """Be the control process, with doors at which it dies; it does not outlive its parent."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from codestore import control as process  # noqa: PLC0415
    from codestore.wiring import serving  # noqa: PLC0415

    module: Any = serving  # its name for the doors is replaced

    doors = module.Doors
    module.Doors = lambda **each: fuse.guard(doors(**each))
    process.main()


if __name__ == "__main__":
    act = sys.argv[1]
    if act != "up":
        del sys.argv[1]
    {"up": up, "keeper": keeper, "control": control}[act]()
