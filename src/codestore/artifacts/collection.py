"""Deleting what no version that is kept needs. All of it blocks; the builder calls it in threads.

An environment lives as long as a version that was ever made runnable with it: after an upgrade
of the platform instances may still run in the one before.
"""

import time
from pathlib import Path

from codestore.artifacts.folders import Folders


def note_use(folders: Folders, digest: str, runtime: str, key: str) -> None:
    """Write down that a version runs in an environment, when this is the runtime."""
    place = folders.uses / digest
    place.mkdir(exist_ok=True)
    with folders.workspace() as workspace:
        (workspace / "use").write_text(key)
        (workspace / "use").replace(place / runtime)


def noted_use(folders: Folders, digest: str, runtime: str) -> str | None:
    """Return the key of the environment a version runs in, when this is the runtime."""
    try:
        return (folders.uses / digest / runtime).read_text()
    except FileNotFoundError:
        return None


def condemned_versions(folders: Folders, keep: frozenset[str], grace: float) -> list[str]:
    """Return the digests to delete: not kept, and not sealed within ``grace`` seconds."""
    places = (*folders.bundles.iterdir(), *folders.trees.iterdir(), *folders.uses.iterdir())
    digests = {place.name.removesuffix(".tar") for place in places} - keep
    return sorted(digest for digest in digests if not _new(folders.bundle(digest), grace))


def resting_versions(folders: Folders, ready: frozenset[str], grace: float) -> list[str]:
    """Return the digests that need not be runnable: not ``ready``, and not sealed just now."""
    digests = {place.name for place in (*folders.trees.iterdir(), *folders.uses.iterdir())} - ready
    return sorted(digest for digest in digests if not _new(folders.bundle(digest), grace))


def drop_tree(folders: Folders, digest: str, grace: float) -> None:
    """Delete what makes a version runnable; its bundle, from which it can be made again, stays."""
    if not _new(folders.bundle(digest), grace):
        folders.discard(folders.tree(digest))
        folders.discard(folders.uses / digest)


def drop_version(folders: Folders, digest: str, grace: float) -> None:
    """Delete a version, unless it was sealed again meanwhile."""
    with folders.moving:
        if _new(folders.bundle(digest), grace):
            return
        folders.discard(folders.bundle(digest))
    folders.discard(folders.tree(digest))
    folders.discard(folders.uses / digest)


def unused_environments(folders: Folders) -> list[str]:
    """Return the keys of the environments that no version there is runs in."""
    used = {use.read_text() for use in folders.uses.glob("*/*")}
    return sorted({place.name for place in folders.environments.iterdir()} - used)


def drop_environment(folders: Folders, key: str) -> None:
    """Delete an environment, unless a version was made runnable with it meanwhile."""
    if key in unused_environments(folders):
        folders.discard(folders.environments / key)


def drop_runtimes(folders: Folders, current: str) -> None:
    """Delete the runtimes of earlier platforms that no environment names any more."""
    used = {use.name for use in folders.uses.glob("*/*")} | {current}
    for place in folders.runtimes.iterdir():
        if place.name not in used:
            folders.discard(place)


def _new(bundle: Path, grace: float) -> bool:
    try:
        return time.time() - bundle.stat().st_mtime < grace
    except FileNotFoundError:
        return False
