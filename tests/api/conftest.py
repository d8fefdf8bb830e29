"""A stage for each test, and Ada's way to ask it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from tests.api.stage import Stage, opened


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
async def web(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with stage.client() as client:
        yield client


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """The log is not looked at, and drawing traces for a terminal takes seconds."""
    with capture_logs():
        yield
