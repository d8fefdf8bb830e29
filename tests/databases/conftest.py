"""The session's server and a door to it."""

from collections.abc import AsyncIterator

import pytest

from codestore.databases.postgres import PostgresDatabases
from tests.support.postgres import RunningServer, own_server, postgres_server

__all__ = ["own_server", "postgres_server"]


@pytest.fixture
async def databases(postgres_server: RunningServer) -> AsyncIterator[PostgresDatabases]:
    found = PostgresDatabases(postgres_server.embedded.admin_url)
    yield found
    await found.close()
