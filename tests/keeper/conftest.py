"""A house is a run folder with a real keeper. Tests must leave nobody in it.

``house`` and its ``client`` are shared by the tests of a module and tidied after each one;
``own_house`` is for tests that stop, kill or confuse the keeper; nobody lives in ``empty_house``.
"""

import asyncio
import resource
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codestore.keeper.protocol.client import KeeperClient
from tests.keeper.house import SIGNALS_ONLY, House


@pytest.fixture
def many_files() -> Iterator[None]:
    """Have room for more than a thousand descriptors: all that an ordinary user has at first."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2048), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def built() -> Iterator[House]:
    # In /tmp itself: a socket's path has at most 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    root.chmod(0o755)  # for the tests with another user
    house = House(root)
    yield house
    house.expect_only()
    shutil.rmtree(root)


@pytest.fixture
async def empty_house() -> AsyncIterator[House]:
    with built() as house:
        yield house
        await house.end()


@pytest.fixture
async def own_house(empty_house: House) -> House:
    await empty_house.start()
    return empty_house


@pytest.fixture(params=["signal", "cgroup"])
async def sleepers(
    request: pytest.FixtureRequest, empty_house: House
) -> AsyncIterator[KeeperClient]:
    """A client of a keeper that freezes in either way."""
    if request.param == "signal":
        command = [sys.executable, "-c", SIGNALS_ONLY, *empty_house.arguments()]
        client = await empty_house.started(command)
    else:
        client = await empty_house.start()
    listing = await client.list()
    if listing.freezer != request.param:
        pytest.skip("control groups are not ours to make here")
    yield client


@pytest.fixture(scope="module")
def shared_house() -> Iterator[House]:
    with built() as house:
        asyncio.run(house.open())
        yield house
        asyncio.run(house.end())


@pytest.fixture
async def house(shared_house: House) -> AsyncIterator[House]:
    yield shared_house
    await shared_house.tidy()


@pytest.fixture
async def client(house: House) -> KeeperClient:
    return await house.connect()
