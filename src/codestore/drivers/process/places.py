"""Where things of a deployment are on this host, whose they are, and what it sees of the rest.

Below its own folder, which it cannot change, a deployment has a home, a folder for what is
temporary, and a copy of the code for each version that it runs. The copies are made by us: nobody
else can write where we do, or a link put there at the right moment would have us write anywhere.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codestore.domain.instances import Workload
from codestore.keeper.walls.picking import CELL, NONE
from codestore.keeper.walls.view import View

FIRST_USER: Final = 0x70000000
"""The first of the user ids that deployments have where the platform is root's; nobody else's."""
USERS: Final = 0x0FFFFFFF
SHORT: Final = 16
"""Digits of a version's digest in the name of a file; one deployment has few of them."""


@dataclass(frozen=True, slots=True)
class Host:
    """Folders of the driver and the program path of services (not the host's own ``PATH``).

    ``walls`` is what the keeper can put around a service; ``shown`` is what each may read beside
    what is its own: absolute paths.
    """

    work: Path
    logs: Path
    path: str
    walls: str = NONE
    shown: tuple[str, ...] = ()


def owner(host: Host, deployment: str) -> tuple[int, int] | None:
    """Return the user and group that a deployment runs as; ``None``: who we are.

    Where we are root each has an id of its own. What is outside its cell could not be reached by
    such a user, so without cells it stays root, and has none of its rights.
    """
    if os.geteuid() != 0 or host.walls != CELL:
        return None
    number = int.from_bytes(hashlib.sha256(deployment.encode()).digest()[:4]) & USERS
    return FIRST_USER + number, FIRST_USER + number


def view_of(host: Host, workload: Workload) -> View | None:
    """Return all that a deployment sees of this host; ``None`` where there can be no walls."""
    if host.walls == NONE:
        return None
    deployment = workload.deployment
    home = home_folder(host, deployment)
    code = code_folder(host, deployment, workload.artifact.digest)
    return View(
        read=(*host.shown, *_runtime(workload.artifact.runtime)),
        write=tuple(str(each) for each in (*_own_folders(host, deployment), code)),
        home=str(home),
    )


def _runtime(python: str | None) -> tuple[str, ...]:
    """Return the folder of an environment."""
    return () if python is None else (str(Path(python).parent.parent),)


def home_folder(host: Host, deployment: str) -> Path:
    """Return a deployment's ``HOME``."""
    return host.work / deployment / "home"


def temporary_folder(host: Host, deployment: str) -> Path:
    """Return what a deployment has for what is temporary, as ``TMPDIR``."""
    return host.work / deployment / "tmp"


def preload_folder(host: Host, deployment: str) -> Path:
    """Return the ``HOME`` of a deployment's parents, which have nothing to do with its own."""
    return host.work / "preload" / deployment


def remove_folders(host: Host, deployment: str) -> None:
    """Delete everything of a deployment, its logs too."""
    for folder in (host.work, host.work / "preload", host.logs):
        shutil.rmtree(folder / deployment, ignore_errors=True)


def _own_folders(host: Host, deployment: str) -> tuple[Path, ...]:
    kinds = (home_folder, temporary_folder, preload_folder)
    return tuple(kind(host, deployment) for kind in kinds)


def own_folders(host: Host, deployment: str, versions: Collection[str]) -> list[Path]:
    """Return all folders that a deployment can write to when these versions run."""
    codes = (code_folder(host, deployment, version) for version in versions)
    return [*_own_folders(host, deployment), *codes]


def provide_folders(host: Host, deployment: str) -> None:
    """Make the folders that are a deployment's own, unless they are there."""
    user = owner(host, deployment)
    for place in _own_folders(host, deployment):
        if not place.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            _give(place, user)


def _give(path: Path, user: tuple[int, int] | None) -> None:
    if user is not None:
        os.chown(path, *user, follow_symlinks=False)


def imports_file(host: Host, deployment: str, version: str) -> Path:
    """Return where an instance writes down which libraries it had loaded when it was ready."""
    return home_folder(host, deployment) / f".imports-{version[:SHORT]}.json"


def provide_code(host: Host, workload: Workload) -> Path:
    """Return a version's copy of the code, made when it is not there yet.

    A service may write beside its code. The sealed tree stays as it was pushed, and no other
    deployment sees what this one wrote.
    """
    place = code_folder(host, workload.deployment, workload.artifact.digest)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="code-new-", dir=place.parent))
    shutil.copytree(workload.artifact.code, fresh, symlinks=True, dirs_exist_ok=True)
    user = owner(host, workload.deployment)
    for folder, _, files in os.walk(fresh):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)
                _give(path, user)
    try:
        fresh.rename(place)
    except OSError:  # somebody else was quicker
        shutil.rmtree(fresh, ignore_errors=True)
        if not place.exists():
            raise
    return place


def code_folder(host: Host, deployment: str, version: str) -> Path:
    """Return where a deployment's copy of a version's code is."""
    return host.work / deployment / f"code-{version[:SHORT]}"


def clear_code(host: Host, deployment: str, keep: Collection[str]) -> None:
    """Delete the copies of versions other than these."""
    kept = {code_folder(host, deployment, version) for version in keep}
    for place in (host.work / deployment).glob("code-*"):
        if place not in kept:
            shutil.rmtree(place, ignore_errors=True)
    known = {imports_file(host, deployment, version) for version in keep}
    for file in home_folder(host, deployment).glob(".imports-*"):
        if file not in known:
            file.unlink(missing_ok=True)
