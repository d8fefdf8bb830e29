"""How a change, a hold and limits are said to people."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.cli.output import Output
from codestore.cli.steps import Steps
from codestore.cli.view import size
from codestore.cli.views.platform import event
from codestore.cli.views.rollouts import limits, progress, rollout, scale
from codestore.domain.document import Document
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Stage, told
from tests.cli.test_rollouts import AT, HERE, spoken


def plain(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(value).body)
    return found


@pytest.mark.parametrize(
    ("unanswered", "said"),
    [
        ({}, "120, of which 1 failed; at most 1 % may"),
        ({"left": 2, "waiting": 7}, "1 % may; unanswered: 2 left, 7 waiting"),
        ({"waiting": 7}, "1 % may; unanswered: 7 waiting"),
    ],
)
def test_requests_of_a_canary_that_got_no_answer_are_shown(
    unanswered: dict[str, int], said: str
) -> None:
    found = dict(rollout(plain(samples.rollout(**unanswered))).facts)
    assert found["requests"].endswith(said)


def test_how_far_a_canary_has_come_is_said_in_a_sentence() -> None:
    first = samples.canary(since=None, percent=0, next_percent=5, next_at=None)
    assert progress(plain(first)) == "its first share of the requests is being prepared for 0.0.3"
    paused = samples.canary(since=None, percent=0, next_percent=5, next_at=None, paused=True)
    said = "paused before its first share: no request goes to 0.0.3"
    assert progress(plain(paused)) == said
    last = samples.canary(percent=100, next_percent=None, next_at=None)
    assert progress(plain(last)) == "100 % of the requests go to 0.0.3 since 2026-03-01 12:30:15"
    assert progress(plain(samples.canary())).endswith("; 25 % at 2026-03-01 12:31:15")
    told = progress(plain(samples.canary()), waiting=True)
    assert told.endswith("; 25 % at 2026-03-01 12:31:15, if those who wait are answered")


def test_many_marks_are_a_few_lines_the_newest_first(cs: Cs, stage: Stage) -> None:
    marks = [replace(samples.MARKS[0], version=f"0.0.{number}") for number in range(20)]
    stage.on("GET", f"{AT}rollout", told(samples.calm(samples.stayer(marks=marks))))
    lines = cs("rollout:status", *HERE.split()).out.splitlines()
    told_ = [line.split()[1] for line in lines if line.startswith("marked")]
    assert told_ == ["0.0.19", "0.0.18", "0.0.17", "and"]
    assert "17 more" in next(line for line in lines if " more " in line)


def test_what_a_reason_has_cannot_steer_the_terminal(cs: Cs, stage: Stage) -> None:
    evil = replace(samples.HELD, reason="a\x1b[31m\u202eb")
    mark = replace(samples.MARKS[0], reason="first\n  second\x1b[0m")
    held = samples.stayer(hold=evil, marks=[mark])
    stage.on("GET", f"{AT}rollout", told(samples.calm(held)))
    out = cs("rollout:status", *HERE.split()).out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "second" not in out


def test_instances_and_limits_are_said_as_people_say_them() -> None:
    production = plain(samples.stayer())
    assert scale(production) == "3 of 4; 2 to 8 by load"
    assert limits(production["limits"]) == "silence of 5m, 1GiB of memory, 2 cores, 8GiB of files"
    small = plain(samples.deployment("private"))
    assert scale(small) == "1 of 1"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, "1"),
        (1000, "1000"),
        (1024, "1KiB"),
        (1536, "1536"),
        (2**20 * 100, "100MiB"),
        (2**30, "1GiB"),
    ],
)
def test_a_size_is_said_in_round_numbers(value: int, said: str) -> None:
    assert size(value) == said


@given(st.integers(1, 2**40))
def test_a_size_is_said_as_a_manifest_takes_it(value: int) -> None:
    assert Document(size(value), "codestore.yaml").size(1, 2**40) == value


def test_nothing_that_is_usual_has_a_line_of_its_own(cs: Cs, stage: Stage) -> None:
    free = samples.deployment("production")
    stage.on("GET", f"{AT}rollout", told(samples.calm(free)))
    out = cs("rollout:status", *HERE.split()).out
    assert [line.split()[0] for line in out.splitlines()] == [
        "service",
        "environment",
        "change",
        "serves",
    ]


def test_a_failure_is_told_where_nothing_is_under_way(cs: Cs, stage: Stage) -> None:
    held = samples.deployment("production", failure=samples.problem())
    stage.on("GET", f"{AT}rollout", told(samples.calm(held)))
    assert "GET /health answered 500." in cs("rollout:status", *HERE.split()).out


def test_a_removal_is_no_change_that_comes_to_an_end_here(cs: Cs, stage: Stage) -> None:
    leaving = samples.calm(samples.deployment("production", "removing"))
    stage.on("GET", f"{AT}rollout", told(leaving))
    assert "change       it is being removed" in cs("rollout:status", *HERE.split()).out


def test_while_a_share_is_held_a_terminal_says_which() -> None:
    share = spoken("canary", "5 % of the requests go to 0.0.3")
    turned: list[str] = []

    class Teller:
        def start(self) -> None: ...
        def stop(self) -> None: ...
        def keep(self, line: str) -> None: ...
        def turn(self, line: str) -> None:
            turned.append(line)

    steps = Steps(Output(), {"dep-production": "production"})
    steps._teller = Teller()
    with steps:
        steps.show(plain(share[1]))
        step = samples.event("step_started", "production", message="start instance 3.1")
        steps.show(plain(step))
        steps.show({**plain(step), "kind": "step_done", "duration": 0.1})
    assert turned == [
        "waiting for the platform…",
        "production   5 % of the requests go to 0.0.3…",
        "production   start instance 3.1…",
        "production   5 % of the requests go to 0.0.3…",
    ]


@pytest.mark.parametrize(
    ("message", "times"),
    [("return to 0.0.1: 0.0.2 failed 3 times in a row", 1), ("0.0.2 failed: it does badly", 2)],
)
def test_why_something_happened_is_said_once(message: str, times: int) -> None:
    happened = {
        "at": "2026-01-01T00:00:00Z",
        "service": "blog",
        "environment": "production",
        "kind": "returning",
        "message": message,
        "duration": None,
        "problem": {"detail": "failed 3 times in a row"},
    }
    assert event(happened).count("failed") == times
