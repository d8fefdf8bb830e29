"""A PostgreSQL server for the services."""

from collections.abc import Mapping
from typing import Protocol

from codestore.domain.secret import Secret


class Databases(Protocol):
    """A PostgreSQL server: one database and one role, of the same name, per deployment."""

    async def observe(self, name: str) -> bool:
        """Whether the database and its role are there, whole."""

    async def create(self, name: str, password: Secret) -> None:
        """Create both; only this role may connect. Half created: finished."""

    async def drop(self, name: str) -> None:
        """Drop both, whoever is connected; what is not there is gone already."""

    async def names(self) -> list[str]:
        """Return the names of all databases made by :meth:`create`."""

    def settings(self, name: str, password: Secret) -> Mapping[str, Secret]:
        """Return the variables by which a service connects (``DATABASE_URL`` and its parts)."""
