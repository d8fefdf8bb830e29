"""A PostgreSQL server for the services."""

from collections.abc import Mapping
from typing import Protocol

from codestore.domain.environments import DatabaseLimits
from codestore.domain.secret import Secret


class Databases(Protocol):
    """A PostgreSQL server: one database and one role, of the same name, per deployment.

    Its logins are numbered: two of them, in a row, may be open at once, so that instances can
    change over from one password to the next. Without limits, those of the server hold.
    """

    async def observe(self, name: str) -> bool:
        """Whether the database and its role are there, whole."""

    async def create(
        self, name: str, password: Secret, login: int = 0, limits: DatabaseLimits | None = None
    ) -> None:
        """Create both, with this login; only this role may connect. Half created: finished."""

    async def drop(self, name: str) -> None:
        """Drop both, whoever is connected; what is not there is gone already."""

    async def names(self) -> list[str]:
        """Return the names of all databases made by :meth:`create`."""

    async def logins(self, name: str) -> frozenset[int]:
        """Return the numbers of the logins that are open."""

    async def open_login(
        self, name: str, password: Secret, login: int, limits: DatabaseLimits | None = None
    ) -> None:
        """Open one more login; the one before the last is closed by that."""

    async def close_logins(self, name: str, but: int) -> None:
        """Close all but one, and end whatever is connected by them."""

    def settings(self, name: str, password: Secret, login: int = 0) -> Mapping[str, Secret]:
        """Return the variables by which a service connects (``DATABASE_URL`` and its parts)."""
