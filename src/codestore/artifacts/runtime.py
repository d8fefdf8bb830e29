"""What the platform runs Python services under: its SDK and what that imports, as one folder.

It is copied from the platform's own installation, byte for byte: the versions are the tested
ones, and it needs no network. Environments list it after their own packages, so a service's
own versions win.
"""

import asyncio
import hashlib
import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import structlog
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from codestore.artifacts.folders import Folders, publish
from codestore.artifacts.inventory import canonical
from codestore.artifacts.processes import PlainPrograms
from codestore.domain.faults import Fault, failed
from codestore.ports.programs import Program

_DISTRIBUTION, _PACKAGE = "codestore-sdk", "codestore_sdk"
_COMPILE_SECONDS = 300.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Layer:
    """The runtime of this installation: its digest, and where each of its files is taken from."""

    digest: str
    files: Mapping[str, Path]


class Runtimes:
    """Lays the runtime out, once for each data folder and version of the platform."""

    def __init__(self, folders: Folders, environment: Mapping[str, str]) -> None:
        self._folders = folders
        self._environment = environment
        self._turn = asyncio.Lock()
        self._layer: Layer | None = None

    async def digest(self) -> str:
        """Return the digest of the runtime of this installation, made or not."""
        async with self._turn:
            return (await self._described()).digest

    async def provide(self) -> str:
        """Make the runtime unless it is there; return its digest."""
        async with self._turn:
            layer = await self._described()
            place = self._folders.runtimes / layer.digest
            if not await asyncio.to_thread(place.is_dir):
                await self._make(layer, place)
            return layer.digest

    async def _described(self) -> Layer:
        if self._layer is None:
            self._layer = await asyncio.to_thread(describe_layer)
        return self._layer

    async def _make(self, layer: Layer, place: Path) -> None:
        began = time.monotonic()
        async with self._folders.workplace() as workplace:
            made = workplace / "runtime"
            await asyncio.to_thread(_copy, layer.files, made)
            # Its result does not matter: what does not compile says so when it is imported.
            words = (sys.executable, "-I", "-m", "compileall", "-q", "-j", "0", str(made))
            program = Program(words, str(workplace), self._environment, _COMPILE_SECONDS)
            await PlainPrograms().run(program)  # no walls: all of it is the platform's own
            await asyncio.to_thread(publish, made, place)
        _log.info("runtime_made", digest=layer.digest, seconds=time.monotonic() - began)


def describe_layer() -> Layer:
    """Find the SDK and everything it requires. Raises a ``runtime_incomplete`` fault."""
    packages = _required(_DISTRIBUTION)
    sdk = dict(_sdk_files())
    identity = {
        "python": python_identity(),
        "sdk": {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in sdk.items()},
        "packages": {name: package.version for name, package in packages.items()},
    }
    files = {path: file for package in packages.values() for path, file in _files(package)}
    return Layer(hashlib.sha256(canonical(identity)).hexdigest(), files | sdk)


def python_identity() -> str:
    """Name the interpreter that services run on: the platform's own, and where it is."""
    version, system = platform.python_version(), sysconfig.get_platform()
    return f"{sys.implementation.name} {version} {system} {Path(sys.executable).resolve()}"


def _required(root: str) -> dict[str, Distribution]:
    """Return the distributions that ``root`` needs here, itself left out, by canonical name."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(root)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = _installed(requirement.name)
        for line in found[name].requires or ():
            needed = Requirement(line)
            wanted = [{"extra": extra} for extra in ("", *extras)]
            if needed.marker is None or any(map(needed.marker.evaluate, wanted)):
                waiting.append(needed)
    del found[root]
    return found


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise _incomplete(name) from error


def _incomplete(name: str) -> Fault:
    return failed(
        "runtime_incomplete",
        "The platform's installation is incomplete",
        f"The package {name}, which services run under, is not installed.",
        "Install the platform again.",
    )


def _sdk_files() -> Iterator[tuple[str, Path]]:
    """Yield the SDK's files from wherever it is imported from, a checkout included."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise _incomplete(_PACKAGE)
    folder = Path(spec.origin).parent
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            file = Path(parent, name)
            yield f"{_PACKAGE}/{file.relative_to(folder).as_posix()}", file


def _files(package: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield what a distribution has below its site-packages; not its scripts."""
    for file in package.files or ():
        if not {"..", "__pycache__"}.intersection(file.parts):
            yield file.as_posix(), Path(str(package.locate_file(file)))


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    """Copy the files below a new folder, for everyone to read whatever our umask is."""
    folder.mkdir()
    for path, file in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        place.chmod(0o644)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)
