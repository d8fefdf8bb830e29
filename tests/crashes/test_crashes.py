"""The process dies between any two effects, and goes on: nothing is lost, nothing is left."""

import pytest

from tests.crashes.histories import ASGI, FIXED
from tests.crashes.intrusions import intrusions
from tests.crashes.ops import Op
from tests.crashes.playing import History
from tests.crashes.random_histories import random_histories
from tests.crashes.running import Tally, run, systematic

RANDOM, PARTS = 300, 3


def nothing_failed(tally: Tally) -> None:
    failures = "\n".join(f"{history.name}: {said}\n{history}" for history, said in tally.failures)
    assert not tally.failures, failures


@pytest.mark.parametrize("history", FIXED, ids=lambda history: history.name)
def test_a_kill_at_every_point_of_a_history(history: History) -> None:
    nothing_failed(run(systematic([history]), most=3))


@pytest.mark.parametrize("part", range(PARTS))
def test_random_histories_with_random_kills(part: int) -> None:
    count = RANDOM // PARTS
    tally = run(random_histories(part * count, count), most=3)
    nothing_failed(tally)
    assert tally.kills > count / 2


def test_people_and_the_world_in_the_middle_of_a_change() -> None:
    nothing_failed(run(intrusions((ASGI,), step=7), most=3))


def test_a_key_ends_while_the_end_of_a_history_is_checked() -> None:
    spans = (milliseconds / 1000 for milliseconds in range(1, 40))
    ops = ((Op("rotate_key", ("service", span)),) for span in spans)
    nothing_failed(run(History("service", ASGI, each) for each in ops))
