"""What a turn changes: patience with what may pass, and what people hear of trouble in a change."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from codestore.domain.deployments import Deployment, State
from codestore.domain.events import EventKind
from codestore.domain.faults import failed, unavailable
from codestore.domain.marking import mark_available, mark_standby
from codestore.domain.standby import Depth, Standby
from codestore.plan.fold import News, fold
from codestore.plan.model import Plan, Verdict
from codestore.plan.outcomes import Done, Failed, Outcome
from codestore.plan.steps import CreateDatabase, GiveUp, Migrate, Step, Stop
from tests.plan.test_canary import NOW, rolling

AWAY = unavailable("database_away", "The database does not answer", "It is away.")
ASLEEP = Standby(Depth.STOPPED, NOW, NOW)
WORKING = Plan(serving=4, wanted=4)


def turn(
    held: Deployment, minutes: float, *outcomes: Outcome, plan: Plan = WORKING
) -> tuple[Deployment, list[News]]:
    return fold(held, plan, outcomes, NOW + timedelta(minutes=minutes))


def away(step: Step = CreateDatabase("blog")) -> Outcome:  # noqa: B008 - it is a value
    return Failed(step, AWAY, False, 0.0)


def kinds(news: Sequence[News]) -> list[EventKind]:
    return [kind for kind, _, _ in news]


def test_patience_counts_from_the_first_time_that_something_failed() -> None:
    held, _ = turn(rolling(None), 11, away())
    assert held.busy and held.status.attempts == 1
    held, _ = turn(held, 20.9, away())
    assert held.busy and held.status.attempts == 2
    held, news = turn(held, 21, away())
    assert not held.busy and kinds(news) == [EventKind.FAILED]


def test_what_failed_and_was_done_since_is_forgotten() -> None:
    held, _ = turn(rolling(None), 1, away())
    held, _ = turn(held, 11, Done(Migrate("d2"), 600.0))
    assert (held.status.attempts, held.status.retry_at) == (0, None)
    held, _ = turn(held, 11.1, away())
    assert held.busy and held.status.attempts == 1


def test_a_turn_without_steps_makes_nothing_of_what_failed_forgotten() -> None:
    held, _ = turn(rolling(None), 1, away())
    held, _ = turn(held, 2)
    assert held.status.attempts == 1


def looping() -> Deployment:
    """What serves began to crash again and again while another version comes."""
    held = mark_available(rolling(None), 4, 4, None, NOW - timedelta(minutes=1))
    for minute in range(1, 4):
        held, news = turn(held, minute, Done(Stop("dep-1.1.0", "exit code 1"), 0.0))
        assert EventKind.DEGRADED not in kinds(news)
    assert held.state is State.DEPLOYING
    return held


def test_trouble_that_outlasts_a_change_is_told_when_it_is_over_and_once() -> None:
    fault = failed("start_failed", "The new version does not start", "exit code 1")
    ended = Failed(GiveUp(fault.letter, ""), fault, True, 0.0)
    held, news = turn(looping(), 4, ended)
    assert held.state is State.DEGRADED
    assert kinds(news) == [EventKind.FAILED, EventKind.DEGRADED]
    assert "3 crashes in a row" in news[-1][1]
    assert turn(held, 5)[1] == []


def test_trouble_that_a_change_ends_is_not_told_and_what_it_brings_is() -> None:
    arrived = Plan(verdict=Verdict.REACHED, serving=4, wanted=4)
    held, news = turn(looping(), 4, plan=arrived)
    assert held.state is State.READY and EventKind.DEGRADED not in kinds(news)
    sick = replace(arrived, failing="dep-1.2.0: /health answered 500")
    held, news = turn(looping(), 4, plan=sick)
    assert held.state is State.DEGRADED and kinds(news) == [EventKind.LIVE, EventKind.DEGRADED]


def test_what_slept_before_a_change_that_failed_is_in_no_trouble() -> None:
    held = mark_standby(mark_available(rolling(None), 1, 1, None, NOW), ASLEEP, NOW)
    held, _ = turn(held, 1, plan=Plan(wanted=1))  # the new one comes, and nobody serves
    fault = failed("start_failed", "The new version does not start", "exit code 1")
    held, news = turn(held, 1, Failed(GiveUp(fault.letter, ""), fault, True, 0.0))
    assert kinds(news) == [EventKind.FAILED]


def test_trouble_from_before_a_change_was_told_before_it() -> None:
    held = mark_available(rolling(None), 3, 4, None, NOW - timedelta(minutes=1))
    fault = failed("start_failed", "The new version does not start", "exit code 1")
    held, news = turn(held, 1, Failed(GiveUp(fault.letter, ""), fault, True, 0.0))
    assert held.state is State.DEGRADED and kinds(news) == [EventKind.FAILED]
