"""The session's server, for the suites that run on every implementation of a door."""

from tests.support.postgres import own_server, postgres_server

__all__ = ["own_server", "postgres_server"]
