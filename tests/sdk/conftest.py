import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House
from nursery import Nursery, Parent, adopt_orphans

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
def nursery() -> Iterator[Nursery]:
    """The process of the tests is the keeper that forks fall to, until the test is over."""
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        found = Nursery(Path(folder))
        adopt_orphans(True)
        yield found
        found.close()
        adopt_orphans(False)


@pytest.fixture
def parent(nursery: Nursery) -> Parent:
    return nursery.load(["wave"])


@pytest.fixture
def plain() -> Path:
    return SERVICES / "plain"


@pytest.fixture
def mirror() -> Path:
    return SERVICES / "mirror"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """The GraphQL template as `service:create` lays it out."""
    return Path(shutil.copytree(TEMPLATES / "graphql", tmp_path / "hello"))
