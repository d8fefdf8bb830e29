"""The harness is tested: mistakes that somebody could make can still be made, and are caught."""

import pytest

from tests.crashes.bugs import BUGS
from tests.crashes.hunting import SOURCE, catch

QUICK = ("told in a second transaction", "a database is left behind", "the old are stopped")


def test_there_are_enough_bugs() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 30


def test_every_bug_can_still_be_made() -> None:
    """That each of them is caught is seen by ``python -m bench.crashes --bugs``."""
    found = {bug.name: (SOURCE / bug.file).read_text().count(bug.old) for bug in BUGS}
    assert {name: count for name, count in found.items() if count != 1} == {}


@pytest.mark.parametrize("name", QUICK)
def test_a_bug_is_caught(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == name)
    caught = catch(bug, most=0)
    assert caught.sort, "nothing was noticed"
