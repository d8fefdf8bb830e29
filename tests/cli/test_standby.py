"""How long it takes to fall asleep, and what is told of sleep while a change is watched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.cli.view import span
from codestore.cli.views.standby import resting, woken
from codestore.domain.document import Document
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Stage, stream, told


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0s"),
        (0.5, "0.5s"),
        (1, "1s"),
        (59, "59s"),
        (60, "1m"),
        (90, "90s"),
        (300.0, "5m"),
        (3_600, "1h"),
        (5_400, "90m"),
        (86_400, "1d"),
        (90_000, "25h"),
    ],
)
def test_a_time_is_said_as_people_say_it(value: float, expected: str) -> None:
    assert span(value) == expected


@given(st.integers(1, 86_400))
def test_a_time_is_said_as_a_manifest_takes_it(value: int) -> None:
    assert Document(span(value), "codestore.yaml").duration(1, 86_400) == value


def test_what_never_sleeps_is_said_to() -> None:
    assert resting(None, 1800) == resting(None, None) == "never"
    assert resting(2, 10) == "after 2s, stopped after 10s"


def test_one_that_never_woke_has_no_line_of_it() -> None:
    assert list(woken({})) == []


def test_how_the_version_before_slept_is_no_step_of_a_change(cs: Cs, stage: Stage) -> None:
    accepted = samples.change(samples.release("demo", "deploying"), "demo")
    stage.on("POST", "/api/services/blog/promote", told(accepted, 202))
    night = [("event", each) for each in samples.NIGHT]
    step = ("event", samples.event("step_done", "demo"))
    stage.on("GET", "/api/watch", stream(*night, step, ("end", samples.conclusion("demo"))))
    run = cs("promote", "blog")
    assert run.code == 0
    assert run.err.splitlines() == ["demo         run the migrations…  0.12 s"]


def test_a_wake_that_failed_is_followed_and_said_once(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/events", told({"items": [], "next": None}))
    stage.on("GET", "/api/events/stream", stream(("event", samples.NIGHT[-1])))
    run = cs("events", "-f")
    assert run.out.count("The service did not start: exit code 1.") == 1
    assert "wake_failed" in run.out
