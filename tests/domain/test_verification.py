"""What answers mean, how findings are put together, and when a deployment is due."""

from datetime import UTC, datetime, timedelta

import pytest

from codestore.domain.verification import (
    CONTROLS,
    WALL_OF,
    Aim,
    Attempt,
    Finding,
    Verdict,
    Wall,
    count,
    due_at,
    judge,
    judged,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_every_aim_is_at_a_wall_and_every_wall_is_tried() -> None:
    assert set(WALL_OF) == set(Aim)
    assert {WALL_OF[aim] for aim in set(Aim) - CONTROLS} == set(Wall)


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        ("reached", Verdict.REACHED, "reached"),
        ("reached: 312 processes", Verdict.REACHED, "312 processes"),
        ("ENOENT", Verdict.REFUSED, "not there"),
        ("EACCES", Verdict.REFUSED, "not allowed"),
        ("timeout", Verdict.REFUSED, "no answer"),
        ("sql 42501", Verdict.REFUSED, "not allowed to connect"),
        ("sql 28P01", Verdict.REFUSED, "wrong password"),
        ("http 401", Verdict.REFUSED, "401"),
        ("http 403", Verdict.REFUSED, "403"),
        ("http 200", Verdict.REACHED, "answered 200"),
        ("http 405", Verdict.REACHED, "answered 405"),
        # What may be no refusal at all proves nothing.
        ("http 503", Verdict.NOT_TRIED, "http 503"),
        ("sql 53300", Verdict.NOT_TRIED, "sql 53300"),
        ("sql 3D000", Verdict.NOT_TRIED, "sql 3D000"),
        ("EMFILE", Verdict.NOT_TRIED, "EMFILE"),
        ("skipped: there is none", Verdict.NOT_TRIED, "there is none"),
        ("", Verdict.NOT_TRIED, "no answer of the probe"),
        ("http ²00", Verdict.NOT_TRIED, "http ²00"),
    ],
)
def test_an_answer_has_one_meaning(answer: str, verdict: Verdict, words: str) -> None:
    assert judge(answer) == (verdict, words)


def test_an_answer_is_short_and_cannot_steer_a_terminal() -> None:
    _, words = judge("reached: \x1b[31m" + "x" * 5000)
    assert "\x1b" not in words
    assert len(words) <= 200


def test_what_ended_alike_is_one_finding() -> None:
    tried = [Attempt(Aim.HOME, id_) for id_ in ("a", "b", "c")]
    unproved, found = judged(tried, ["ENOENT", "reached", "ENOENT"])
    assert unproved == ""
    assert found == (
        Finding(Aim.HOME, Verdict.REFUSED, "not there", ("a", "c")),
        Finding(Aim.HOME, Verdict.REACHED, "reached", ("b",)),
    )
    assert [count(found, verdict) for verdict in Verdict] == [2, 1, 0]


@pytest.mark.parametrize(
    ("home", "database", "unproved"),
    [
        ("reached", "reached", ""),
        ("reached", "skipped: it has none", ""),
        ("EACCES", "reached", "it could not write in our own home: not allowed"),
        ("reached", "sql 28P01", "it could not log in to our own database: wrong password"),
        ("", "", "it could not write in our own home: no answer of the probe"),
    ],
)
def test_nothing_is_proved_unless_what_must_succeed_does(
    home: str, database: str, unproved: str
) -> None:
    tried = [Attempt(Aim.OWN_HOME, "a"), Attempt(Aim.OWN_DATABASE, "a"), Attempt(Aim.HOME, "b")]
    said, found = judged(tried, [home, database, "ENOENT"])
    assert said == unproved
    assert [each.aim for each in found] == [Aim.HOME]


@pytest.mark.parametrize("id_", [f"dep-{n}" for n in range(20)])
def test_it_is_due_once_a_night_at_a_time_of_its_own(id_: str) -> None:
    first = due_at(id_, NOON, None)
    assert first - NOON < DAY
    assert 1 <= first.hour < 5
    assert due_at(id_, first, None) == first + DAY
    assert due_at(id_, first - timedelta(seconds=1), None) == first


def test_the_nights_of_deployments_are_spread() -> None:
    assert len({due_at(f"dep-{n}", NOON, None).minute for n in range(100)}) > 20


@pytest.mark.parametrize("id_", ["dep-1", "dep-2", "dep-3"])
def test_after_an_upgrade_it_is_due_soon_and_once(id_: str) -> None:
    soon = due_at(id_, NOON - timedelta(hours=1), NOON)
    assert timedelta(minutes=1) <= soon - NOON <= timedelta(minutes=11)
    assert due_at(id_, soon, NOON) > NOON + timedelta(hours=12)
    assert due_at(id_, NOON + timedelta(hours=1), NOON) > NOON + timedelta(hours=12)
