"""Where things lie below the data folder, and how they appear and vanish there: all at once."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_ASIDE = "scratch-"


@dataclass(frozen=True, slots=True)
class Folders:
    """The room's own part of the data folder. One process owns it at a time.

    ``bundles/DIGEST.tar`` the sealed versions · ``trees/DIGEST/`` their code, read-only ·
    ``environments/KEY/`` what they import · ``runtimes/DIGEST/`` what the platform adds ·
    ``uses/DIGEST/KEY`` which version was made runnable with which environment ·
    ``scratch/`` what is being made, emptied at every start.
    """

    root: Path
    # Held while a bundle takes its place or leaves it: a push may bring back what is just going.
    moving: threading.Lock = field(default_factory=threading.Lock, compare=False)

    @classmethod
    def open(cls, root: Path) -> "Folders":
        """Make the folders, and clear what an earlier process left half-made."""
        folders = cls(root.absolute())
        folders._clear()
        # Instances run as other users: they enter these three and no other.
        for path in (folders.trees, folders.environments, folders.runtimes):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        for path in (folders.bundles, folders.uses, folders.scratch):
            path.mkdir(mode=0o700, exist_ok=True)
        return folders

    def _clear(self) -> None:
        """Put aside what is half-made, and delete it.

        A program that the earlier process had started may be writing there still. Whatever it adds
        behind us is deleted at the next start.
        """
        if self.scratch.exists():
            self.scratch.rename(tempfile.mkdtemp(prefix=_ASIDE, dir=self.root))
        for aside in self.root.glob(f"{_ASIDE}*"):
            with suppress(OSError):
                delete(aside)

    @property
    def bundles(self) -> Path:
        """Sealed versions."""
        return self.root / "bundles"

    @property
    def trees(self) -> Path:
        """Code laid out."""
        return self.root / "trees"

    @property
    def environments(self) -> Path:
        """Virtual environments, shared by versions with the same lock."""
        return self.root / "environments"

    @property
    def runtimes(self) -> Path:
        """What the platform runs services under, shared by environments."""
        return self.root / "runtimes"

    @property
    def uses(self) -> Path:
        """Which environments a version was made runnable with."""
        return self.root / "uses"

    @property
    def scratch(self) -> Path:
        """Half-made things."""
        return self.root / "scratch"

    def bundle(self, digest: str) -> Path:
        """Return where a version is kept."""
        return self.bundles / f"{digest}.tar"

    def tree(self, digest: str) -> Path:
        """Return where the code of a version lies."""
        return self.trees / digest

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Lend an empty folder; whatever is still in it at the end is deleted."""
        path = Path(tempfile.mkdtemp(dir=self.scratch))
        try:
            yield path
        finally:
            delete(path)

    @asynccontextmanager
    async def workplace(self) -> AsyncIterator[Path]:
        """Lend an empty folder as :meth:`workspace` does, to those who must not block."""
        path = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self.scratch))
        try:
            yield path
        finally:
            await asyncio.to_thread(delete, path)

    def discard(self, path: Path) -> None:
        """Take a file or folder away at once, then delete it; what is not there is gone."""
        with self.workspace() as workspace, suppress(FileNotFoundError):
            if path.is_dir():
                path.chmod(0o755)  # a folder that may not be written to cannot move either
            path.rename(workspace / "gone")


def publish(made: Path, place: Path) -> None:
    """Make a folder visible at its place. If it is there already, that one stays."""
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        return
    sync(place.parent)


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete(path: Path) -> None:
    """Delete a folder with everything in it, read-only folders included."""
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o700)
    shutil.rmtree(path)
