"""What services import: virtual environments, one for all versions with the same lock."""

import asyncio
import hashlib
import os
import sys
import sysconfig
import time
from pathlib import Path

import structlog

from codestore.artifacts.folders import Folders, publish
from codestore.artifacts.inventory import Inventory, canonical
from codestore.artifacts.locks import PYPROJECT, Recipe
from codestore.artifacts.uv_command import Uv

_PTH = "codestore-runtime.pth"
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
    async with folders.workplace() as workplace:
        project, made = workplace / "project", workplace / "environment"
        await asyncio.to_thread(_write, project, recipe)
        venv = ("venv", "--relocatable", "--no-project", "--python", sys.executable, str(made))
        await uv(*venv, cwd=project, venv=made)
        if recipe.command:
            # Building a source distribution would run code of strangers, here and as us. A
            # flag, because uv pip does not heed the variable of that name.
            await uv(*recipe.command, "--no-build", cwd=project, venv=made)
        await asyncio.to_thread(_finish, folders, made, key, runtime)
    _log.info("environment_made", key=key, seconds=time.monotonic() - began)


def _write(project: Path, recipe: Recipe) -> None:
    project.mkdir()
    # An empty configuration of its own, or uv reads that of whatever project is around.
    for name, text in {"uv.toml": "", **recipe.files}.items():
        (project / name).write_text(text, encoding="utf-8")


def _finish(folders: Folders, made: Path, key: str, runtime: str) -> None:
    """Name the runtime as the last place to import from, and show the environment."""
    base = {"base": str(made), "platbase": str(made)}
    packages = Path(sysconfig.get_path("purelib", "venv", base))
    depth = len(packages.relative_to(made.parent).parts)
    place = Path(*[os.pardir] * (depth + 1), folders.runtimes.name, runtime)
    (packages / _PTH).write_text(f"{place}\n", encoding="utf-8")
    (packages / _PTH).chmod(0o644)
    publish(made, folders.environments / key)
