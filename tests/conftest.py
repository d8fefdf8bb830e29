"""What holds for all tests."""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """See that groups stay together: of one that is torn, each worker makes a platform of its own.

    Nothing else would tell: xdist hands groups over in the names of tests, or not at all.
    """
    yield
    if getattr(config.option, "loadgroup", False):
        grouped = [item for item in items if item.get_closest_marker("xdist_group")]
        torn = [item.nodeid for item in grouped if "@" not in item.nodeid.rpartition("]")[2]]
        if torn:
            raise AssertionError(f"not kept in its group: {torn[0]}, and {len(torn) - 1} more")
