"""Where things of a deployment are on this host, whose they are, and what it sees of the rest.

Below its own folder, which it cannot change, a deployment has a home and a folder for what is
temporary. The code it runs is the sealed tree of the version itself, which nobody can change.
"""

import hashlib
import os
import shutil
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
    deployment, artifact = workload.deployment, workload.artifact
    return View(
        read=(*host.shown, artifact.code, *_runtime(artifact.runtime)),
        write=tuple(map(str, own_folders(host, deployment))),
        home=str(home_folder(host, deployment)),
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


def own_folders(host: Host, deployment: str) -> list[Path]:
    """Return all folders that a deployment can write to."""
    kinds = (home_folder, temporary_folder, preload_folder)
    return [kind(host, deployment) for kind in kinds]


def provide_folders(host: Host, deployment: str) -> None:
    """Make the folders that are a deployment's own, unless they are there."""
    user = owner(host, deployment)
    for place in own_folders(host, deployment):
        if not place.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            _give(place, user)


def _give(path: Path, user: tuple[int, int] | None) -> None:
    if user is not None:
        os.chown(path, *user, follow_symlinks=False)


def imports_file(host: Host, deployment: str, version: str) -> Path:
    """Return where an instance writes down which libraries it had loaded when it was ready."""
    return home_folder(host, deployment) / f".imports-{version[:SHORT]}.json"


def clear_imports(host: Host, deployment: str, keep: Collection[str]) -> None:
    """Delete what instances of versions other than these have written down."""
    known = {imports_file(host, deployment, version) for version in keep}
    for file in home_folder(host, deployment).glob(".imports-*"):
        if file not in known:
            file.unlink(missing_ok=True)
