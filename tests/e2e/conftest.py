"""One real platform for all end-to-end tests of a session."""

from collections.abc import Iterator

import pytest

from tests.support.platform import Platform
from tests.support.postgres import own_server

__all__ = ["own_server"]


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A platform that runs; each test makes services of its own on it."""
    made = Platform(hurried=True)
    try:
        made.up()
        yield made
    finally:
        made.close()
