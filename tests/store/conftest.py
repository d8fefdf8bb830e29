"""The session's server, for the tests of the store on PostgreSQL."""

from tests.support.postgres import own_server, postgres_server

__all__ = ["own_server", "postgres_server"]
