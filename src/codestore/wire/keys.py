"""Keys and clients, as they are told of."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class IssuedKeyView:
    """A fresh key. The key of a client is shown this once.

    ``owner`` is the name of the service or project it belongs to. From ``old_until`` on the one
    before opens nothing; null: it does not now, or there was none.
    """

    key: str
    kind: str
    owner: str
    created_at: datetime
    client: str | None = None
    email: str | None = None
    old_until: datetime | None = None


@dataclass(slots=True)
class HeldKeyView:
    """A key that opens now: how it begins, and until when if it has been replaced."""

    hint: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(slots=True)
class ClientView:
    """A client of a project: its keys, and how many requests were made with them.

    They are counted within half a minute; ``used_at`` is about when the last one came.
    """

    client: str
    email: str
    created_at: datetime
    created_by: str
    keys: list[HeldKeyView]
    requests: int
    used_at: datetime | None
