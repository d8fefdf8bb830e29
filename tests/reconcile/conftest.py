"""A house, and a deployment of production in it."""

import pytest

from codestore.domain.deployments import Deployment
from tests.reconcile.house import House, make_house, production


@pytest.fixture
def house() -> House:
    return make_house()


@pytest.fixture
async def shop(house: House) -> Deployment:
    made = production()
    await house.put(made)
    return made
