"""The door: :class:`UvBuilder` keeps versions, and makes them runnable on this host."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path

from codestore.artifacts import collection
from codestore.artifacts.bundle import open_bundle
from codestore.artifacts.environments import (
    environment_key,
    interpreter,
    make_environment,
    tidy_cache,
)
from codestore.artifacts.folders import Folders
from codestore.artifacts.inventory import Inventory
from codestore.artifacts.locks import recipe
from codestore.artifacts.refusals import bundle_damaged
from codestore.artifacts.runtime import Runtimes
from codestore.artifacts.sealing import seal_upload
from codestore.artifacts.trees import provide_tree
from codestore.artifacts.turns import Turns
from codestore.artifacts.uv_command import Uv
from codestore.domain.instances import Artifact
from codestore.domain.manifest import Manifest, RunKind
from codestore.domain.versions import Seal

_PIECE = 1 << 18
_GZIP = 31  # zlib's word for: with gzip's header, which then carries no time and no name


class UvBuilder:
    """A Builder (see the doors) over one folder, which no other process uses meanwhile.

    ``grace`` is in seconds: how long a bundle or environment stays although nobody names it yet
    (who pushed may still be writing it down).
    """

    def __init__(self, root: Path, uv: Uv, *, grace: float = 3600.0) -> None:
        self._folders = Folders.open(root)
        self._uv = uv
        self._runtimes = Runtimes(self._folders, uv.environment)
        self._turns = Turns()
        self._grace = grace

    async def seal(self, upload: Path, service: str) -> Seal:
        """Check an uploaded archive (tar, plain or gzip) and store it as a sealed bundle.

        Raises a Fault: ``archive_too_large``, ``too_many_files``, ``broken_archive``,
        ``bad_path``, ``bad_link``, ``bad_file``, ``bad_lock``, ``no_manifest``,
        ``bad_manifest``, ``wrong_service``.
        """
        return await asyncio.to_thread(seal_upload, self._folders, upload, service)

    async def prepare(self, seal: Seal) -> Artifact:
        """Verify bundle and code, install what it needs; do again only what is not there.

        Raises a FAILED fault: ``bundle_damaged``, ``build_failed``, ``runtime_incomplete``.
        """
        async with self._turns.take(seal.digest):
            inventory = await asyncio.to_thread(self._verified, seal.digest)
            if not _needs_python(seal.manifest):
                return self._artifact(seal.digest, None)
            return self._artifact(seal.digest, await self._environment(seal, inventory))

    async def prepared(self, seal: Seal) -> Artifact | None:
        """Return the artifact if all of it is in place; nothing is read to make sure."""
        runtime = await self._runtimes.digest() if _needs_python(seal.manifest) else None
        return await asyncio.to_thread(self._found, seal.digest, runtime)

    async def source(self, seal: Seal) -> AsyncIterator[bytes]:
        """Yield the source as a tar.gz. Raises a ``bundle_damaged`` fault before the first byte."""
        pieces = self._packed(seal.digest)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    async def collect(self, keep: Iterable[str], ready: Iterable[str]) -> None:
        """Delete what only other versions need; what is being made or is new stays."""
        kept, runnable = frozenset(keep), frozenset(ready)
        current = await self._runtimes.digest()
        condemned = partial(collection.condemned_versions, self._folders, kept, self._grace)
        for digest in await asyncio.to_thread(condemned):
            await self._drop(collection.drop_version, digest)
        resting = partial(collection.resting_versions, self._folders, runnable, self._grace)
        for digest in await asyncio.to_thread(resting):
            await self._drop(collection.drop_tree, digest)
        for key in await asyncio.to_thread(collection.unused_environments, self._folders):
            async with self._turns.take(key):
                await asyncio.to_thread(collection.drop_environment, self._folders, key)
        await asyncio.to_thread(collection.drop_runtimes, self._folders, current)
        await tidy_cache(self._folders, self._uv)

    async def _drop(self, drop: Callable[[Folders, str, float], None], digest: str) -> None:
        if not self._turns.busy(digest):
            async with self._turns.take(digest):
                await asyncio.to_thread(drop, self._folders, digest, self._grace)

    def _verified(self, digest: str) -> Inventory:
        with self._opened(digest) as file:
            bundle = open_bundle(file, digest)
            provide_tree(self._folders, digest, bundle)
            return bundle.inventory

    async def _environment(self, seal: Seal, inventory: Inventory) -> str:
        runtime = await self._runtimes.provide()
        lock = seal.manifest.lock
        key = environment_key(runtime, lock, inventory)
        async with self._turns.take(key):
            if not await asyncio.to_thread((self._folders.environments / key).is_dir):
                read = partial(_read, self._folders.tree(seal.digest), inventory)
                how = await asyncio.to_thread(recipe, lock, read)
                await make_environment(self._folders, self._uv, key, runtime, how)
            await asyncio.to_thread(collection.note_use, self._folders, seal.digest, runtime, key)
        return key

    def _found(self, digest: str, runtime: str | None) -> Artifact | None:
        folders = self._folders
        if not folders.tree(digest).is_dir():
            return None
        if runtime is None:
            return self._artifact(digest, None)
        key = collection.noted_use(folders, digest, runtime)
        there = (
            key and (folders.environments / key).is_dir() and (folders.runtimes / runtime).is_dir()
        )
        return self._artifact(digest, key) if there else None

    def _artifact(self, digest: str, key: str | None) -> Artifact:
        python = str(interpreter(self._folders.environments / key)) if key else None
        return Artifact(digest, str(self._folders.tree(digest)), python)

    def _packed(self, digest: str) -> Iterator[bytes]:
        """Yield what follows the seal in the bundle, which is a tar archive in itself."""
        packer = zlib.compressobj(wbits=_GZIP)
        with self._opened(digest) as file:
            file.seek(open_bundle(file, digest).source)
            while piece := file.read(_PIECE):
                if packed := packer.compress(piece):
                    yield packed
        yield packer.flush()

    def _opened(self, digest: str) -> BufferedReader:
        try:
            return self._folders.bundle(digest).open("rb")
        except FileNotFoundError as error:
            raise bundle_damaged(digest, "its bundle is not there.") from error


def _needs_python(manifest: Manifest) -> bool:
    return manifest.run.kind is not RunKind.COMMAND or manifest.lock is not None


def _read(tree: Path, inventory: Inventory, path: str) -> bytes | None:
    return (tree / path).read_bytes() if path in inventory.files else None
