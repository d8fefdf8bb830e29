"""What people changed, in memory: the same door as on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from codestore.domain.audit import Entry


@dataclass(slots=True)
class Pages:
    """All entries, of every organization; replaced as a whole by a transaction that appends."""

    entries: Sequence[Entry] = ()


class MemoryTrail:
    """Implements the Trail door on pages; transactions run one after the other."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._before = pages.entries

    async def last(self, organization: str) -> Entry | None:
        """Return the newest entry."""
        found = await self.entries(organization, 0, 1, newest=True)
        return found[0] if found else None

    async def append(self, entry: Entry) -> None:
        """Append an entry."""
        self._pages.entries = (*self._pages.entries, entry)

    async def entries(
        self, organization: str, after: int, limit: int, newest: bool = False
    ) -> list[Entry]:
        """Return at most ``limit`` entries with numbers above ``after``, in order."""
        found = [
            each
            for each in self._pages.entries
            if each.organization == organization and each.sequence > after
        ]
        return found[max(0, len(found) - limit) :] if newest else found[:limit]

    def undo(self) -> None:
        """Put everything back as it was."""
        self._pages.entries = self._before
