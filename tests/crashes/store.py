"""The store in memory, where the process can die before and after each commit."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, TypeVar

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.events import Event
from codestore.domain.keys import Client, Key, Usage
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet
from codestore.domain.services import Project, Service
from codestore.domain.versions import Version
from codestore.ports import N, Noun, Records
from codestore.store.memory import MemoryStore
from tests.crashes.fuse import Fuse
from tests.support.fakes import CrashError

KINDS: Final[tuple[type[Any], ...]] = (
    *(Project, Service, Environment, Version, Key, Client, Usage, Deployment),
    *(DataKey, SealedSecret, SecretSet),
)
T = TypeVar("T")


@dataclass
class Written:
    """What a transaction wrote: each deployment before and after, what else came and went."""

    before: dict[str, Deployment | None] = field(default_factory=dict)
    after: dict[str, Deployment | None] = field(default_factory=dict)
    put: list[Noun] = field(default_factory=list)
    removed: list[Noun] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.before or self.put or self.removed or self.events)


class GuardedRecords:
    """Implements the Records door over another one; remembers what is written."""

    def __init__(self, inner: Records) -> None:
        self.written = Written()
        self._inner = inner
        self.get, self.find, self.events = inner.get, inner.find, inner.events
        self.lock, self.tallies, self.trail = inner.lock, inner.tallies, inner.trail
        self.forget = inner.forget

    async def put(self, *nouns: Noun) -> None:
        for noun in nouns:
            if isinstance(noun, Deployment):
                await self._note(noun, noun)
            else:
                self.written.put.append(noun)
        await self._inner.put(*nouns)

    async def remove(self, *nouns: Noun) -> None:
        for noun in nouns:
            if isinstance(noun, Deployment):
                await self._note(noun, None)
            else:
                self.written.removed.append(noun)
        await self._inner.remove(*nouns)

    async def emit(self, *events: Event) -> None:
        self.written.events += events
        await self._inner.emit(*events)

    async def _note(self, noun: Deployment, after: Deployment | None) -> None:
        if noun.id not in self.written.before:
            self.written.before[noun.id] = await self._inner.get(Deployment, noun.id)
        self.written.after[noun.id] = after


class GuardedStore:
    """Implements the Store door in memory. ``committed`` is told of what was written."""

    def __init__(self, fuse: Fuse) -> None:
        self.inner = MemoryStore()
        self.changed: dict[str, None] = {}
        self.busy = False
        self.committed: Any = None
        self._fuse = fuse

    def begin(self) -> AbstractAsyncContextManager[Records]:
        return _Transaction(self, self._fuse)

    def watch(self, *, events: bool = True) -> AsyncIterator[str]:
        return self.inner.watch(events=events)

    async def lead(self) -> None:
        """Nobody else is there."""

    async def close(self) -> None:
        """Nothing is open."""

    async def all(self, kind: type[N], **equal: str) -> list[N]:
        """Look, as nobody of the platform does: where nobody can die."""
        async with self.inner.begin() as records:
            return await records.find(kind, **equal)

    async def told(self) -> list[Event]:
        """Return every event."""
        async with self.inner.begin() as records:
            return await records.events(0, 1_000_000)

    async def pour(self, nouns: list[Noun]) -> None:
        """Take over what another store held."""
        async with self.inner.begin() as records:
            await records.put(*nouns)

    async def everything(self) -> list[Noun]:
        """Return all nouns."""
        async with self.inner.begin() as records:
            return [noun for kind in KINDS for noun in await records.find(kind)]


class _Transaction(AbstractAsyncContextManager[Records]):
    def __init__(self, store: GuardedStore, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    async def __aenter__(self) -> Records:
        fuse, store = self._fuse, self._store
        if not store.busy:
            await fuse.pause()
        if fuse.dead:
            raise CrashError
        self._inner = store.inner.begin()
        self._records = GuardedRecords(await self._inner.__aenter__())
        store.busy = True
        return self._records

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        store, written = self._store, self._records.written
        store.busy = False
        if error is not None or not written:
            return await self._inner.__aexit__(kind, error, traceback)
        try:
            self._fuse.point("before commit")
        except CrashError as crash:
            await self._inner.__aexit__(CrashError, crash, None)
            raise
        await self._inner.__aexit__(None, None, None)
        store.changed.update(dict.fromkeys(written.before))
        self._fuse.note("written:", *(f"{e.kind}: {e.message};" for e in written.events))
        store.committed(written)
        self._fuse.point("after commit")
        return None
