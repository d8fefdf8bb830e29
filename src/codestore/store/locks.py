"""The numbers of the advisory locks in the platform's database; each guards one thing."""

import hashlib
from typing import Final

_BASE: Final = 0x636F6465  # "code", so that they can be told from locks of others

MIGRATE: Final = _BASE + 1
"""Held while the tables are brought up to date."""
EVENTS: Final = _BASE + 2
"""Held from numbering events until they are committed."""
LEADER: Final = _BASE + 3
"""Held by the one process that acts."""
TALLIES: Final = _BASE + 4
"""Held from reading what was last counted until what came since is committed."""


def named(name: str) -> int:
    """Return the number of a lock that has a name: 64 bits, so that no two names meet."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
