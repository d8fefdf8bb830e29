"""A real keeper for each module, tidied after each test, and a driver over it."""

from collections.abc import AsyncIterator

import pytest

from tests.drivers.stage import Stage, opened
from tests.keeper.conftest import empty_house, house, own_house, shared_house
from tests.keeper.house import House

__all__ = ["empty_house", "house", "own_house", "shared_house"]


@pytest.fixture
async def stage(house: House) -> AsyncIterator[Stage]:
    async with opened(house) as found:
        yield found
