"""A short run over what users send; ``python -m bench.fuzz`` is the long one."""

import pytest

from tests.support.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_is_sent_is_taken_or_refused(target: str) -> None:
    fuzz(target, 60)
