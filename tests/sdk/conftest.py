import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House

REPOSITORY = Path(__file__).parents[2]
TEMPLATES = REPOSITORY / "src/codestore/cli/templates"
SERVICES = Path(__file__).parent / "services"


@pytest.fixture
def house() -> Iterator[House]:
    # Unix socket paths are at most 107 bytes long: tmp_path may be longer.
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        found = House(Path(folder))
        yield found
        found.close()


@pytest.fixture
def plain() -> Path:
    return SERVICES / "plain"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """The GraphQL template as `service:create` lays it out."""
    return Path(shutil.copytree(TEMPLATES / "graphql", tmp_path / "hello"))
