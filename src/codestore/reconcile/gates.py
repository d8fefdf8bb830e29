"""One at a time through each gate: who publishes a route must know the newest keys."""

import asyncio
from weakref import WeakValueDictionary


class Gates:
    """One lock for each route, for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, hash_: str) -> asyncio.Lock:
        """Return the lock of a route."""
        return self._locks.setdefault(hash_, asyncio.Lock())
