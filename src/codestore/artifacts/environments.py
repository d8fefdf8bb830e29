"""What services import: virtual environments, one for all versions with the same lock.

Made by somebody who is trusted with nothing else: where we are root, by a user of its own, who has
the workplace and uv's cache. Bytecode is made where the cache is not in view, by our own Python in
a mode in which it imports nothing from there.
"""

import asyncio
import hashlib
import os
import sys
import sysconfig
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog

from codestore.artifacts.folders import Folders, publish
from codestore.artifacts.inventory import Inventory, canonical
from codestore.artifacts.locks import PYPROJECT, Recipe
from codestore.artifacts.refusals import build_failed
from codestore.artifacts.takeover import (
    ROOM,
    hand_over,
    has_room,
    provide_cache,
    take_over,
    taken,
)
from codestore.artifacts.uv_command import Uv
from codestore.domain.faults import Fault
from codestore.ports.programs import Program

_PTH = "codestore-runtime.pth"
MOST_CACHED = 10 << 30  # bytes
_LOOK = 0.2  # seconds between looks at how much room is left
_log = structlog.get_logger()


def environment_key(runtime: str, lock: str | None, inventory: Inventory) -> str:
    """Return the name under which versions with the same dependencies share an environment.

    The ``runtime`` stands for the interpreter, too.
    """
    read = [lock] if lock else []
    if lock and lock.endswith("uv.lock"):
        read.append(f"{lock.removesuffix('uv.lock')}{PYPROJECT}")
    content = [(path.rpartition("/")[2], inventory.files[path].sha256) for path in read]
    return hashlib.sha256(canonical([runtime, content])).hexdigest()


def interpreter(environment: Path) -> Path:
    """Return the Python of an environment."""
    return environment / "bin" / "python"


async def make_environment(
    folders: Folders, uv: Uv, key: str, runtime: str, recipe: Recipe
) -> None:
    """Install what a recipe says, above the runtime. Raises a ``build_failed`` fault.

    It is made aside and appears whole; a failure, a crash or a cancellation leaves nothing.
    """
    began = time.monotonic()
    user = uv.programs.user
    await asyncio.to_thread(provide_cache, uv.cache, user)
    async with folders.workplace() as workplace:
        project, made = workplace / "project", workplace / "environment"
        await asyncio.to_thread(_write, project, recipe)
        await asyncio.to_thread(hand_over, workplace, user)
        await _while_there_is_room((workplace, uv.cache), _install(uv, workplace, recipe))
        await asyncio.to_thread(take_over, made, Path(sys.executable))
        await asyncio.to_thread(_finish, folders, made, key, runtime)
    _log.info("environment_made", key=key, seconds=time.monotonic() - began)


async def tidy_cache(folders: Folders, uv: Uv) -> None:
    """Empty uv's cache when it has become large; uv waits until nobody uses it. Never raises."""
    if await asyncio.to_thread(taken, uv.cache) <= MOST_CACHED:
        return
    async with folders.workplace() as workplace:
        await asyncio.to_thread(hand_over, workplace, uv.programs.user)
        try:
            await uv("cache", "clean", workplace=workplace, cwd=workplace, venv=workplace)
        except Fault as fault:
            _log.warning("cannot empty the cache of builds", error=str(fault))


async def _install(uv: Uv, workplace: Path, recipe: Recipe) -> None:
    project, made = workplace / "project", workplace / "environment"
    venv = ("venv", "--relocatable", "--no-project", "--python", sys.executable, str(made))
    await uv(*venv, workplace=workplace, cwd=project, venv=made)
    if recipe.command:
        # Building a source distribution would run code of strangers. Flags, because uv pip does
        # not heed the variable of that name.
        words = (*recipe.command, "--no-build", "--no-compile-bytecode")
        await uv(*words, workplace=workplace, cwd=project, venv=made)
        await _compile(uv, made)


async def _compile(uv: Uv, made: Path) -> None:
    """Make bytecode, or the first start of a service pays for it.

    Its result does not matter: what does not compile says so when it is imported.
    """
    # Without site (-S), ".pth" files are not read, which may hold code.
    compiler = (sys.executable, "-I", "-S", "-m", "compileall", "-q", "-j", "0")
    program = Program(
        (*compiler, str(_packages(made))),
        str(made),
        {},
        uv.timeout,
        reads=(sys.prefix, sys.base_prefix),
        writes=(str(made),),
    )
    try:
        await uv.programs.run(program)
    except TimeoutError as error:
        raise build_failed(f"Compiling them did not end within {uv.timeout:g} s.", "") from error


async def _while_there_is_room(places: tuple[Path, ...], work: Coroutine[Any, Any, None]) -> None:
    """Do it as long as the disks of these folders have room. Raises a ``build_failed`` fault."""
    working, watching = asyncio.create_task(work), asyncio.create_task(_until_full(places))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            await watching
            raise build_failed(f"Less than {ROOM >> 30} GiB would be left on the disk.", "")
        await working
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait({working, watching})


async def _until_full(places: tuple[Path, ...]) -> None:
    while True:
        for place in places:
            if not await asyncio.to_thread(has_room, place):
                return
        await asyncio.sleep(_LOOK)


def _write(project: Path, recipe: Recipe) -> None:
    project.mkdir()
    # An empty configuration of its own, or uv reads that of whatever project is around.
    for name, text in {"uv.toml": "", **recipe.files}.items():
        (project / name).write_text(text, encoding="utf-8")


def _packages(environment: Path) -> Path:
    base = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", base))


def _finish(folders: Folders, made: Path, key: str, runtime: str) -> None:
    """Name the runtime as the last place to import from, and show the environment."""
    packages = _packages(made)
    depth = len(packages.relative_to(made.parent).parts)
    place = Path(*[os.pardir] * (depth + 1), folders.runtimes.name, runtime)
    (packages / _PTH).write_text(f"{place}\n", encoding="utf-8")
    (packages / _PTH).chmod(0o644)
    publish(made, folders.environments / key)
