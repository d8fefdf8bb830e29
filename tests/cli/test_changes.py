"""A change is called done when the platform said so, and not before."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from codestore.cli.steps import Steps
from tests.cli import samples
from tests.cli.conftest import Cs, Run
from tests.cli.stage import Stage, refusal, stream, told

PROMOTE = ("POST", "/api/services/blog/promote")
WATCH = ("GET", "/api/watch")
STEPS = (
    ("event", samples.event("asked", "demo")),
    ("event", samples.event("step_started", "demo")),
    ("event", samples.event("step_done", "demo")),
    ("event", samples.event("live", "demo", message="0.0.2 is live")),
)
END = ("end", samples.conclusion("demo"))
FAILED_END = ("end", samples.conclusion("demo", problem=samples.problem()))


@pytest.fixture
def promote(cs: Cs, stage: Stage) -> Callable[..., Run]:
    """Ask for a change, which the platform accepts."""
    accepted = samples.change(samples.release("demo", "deploying"), "demo", undo="cs undo-it")
    stage.on(*PROMOTE, told(accepted, 202))
    return lambda *more: cs("promote", "blog", *more)


def no_green(run: Run) -> bool:
    return run.out == "" and "ready" not in run.err and "live" not in run.err


def test_a_change_shows_its_steps_then_what_is_live_and_the_way_back(
    promote: Callable[..., Run], stage: Stage, golden: Callable[[str, str], None]
) -> None:
    stage.on(*WATCH, stream(*STEPS, END))
    run = promote()
    assert run.code == 0
    golden("promote.out", run.out)
    golden("promote.err", run.err)
    assert stage.asked(*WATCH)[0].query == {"wait": ["dep-demo:2"]}


def test_json_is_exactly_the_document_with_its_deployments_as_they_are_now(
    promote: Callable[..., Run], stage: Stage
) -> None:
    stage.on(*WATCH, stream(*STEPS, END))
    run = promote("-o", "json")
    expected = json.loads(told(asdict(samples.release("demo", "ready"))).body)
    assert json.loads(run.out) == expected
    assert "Undo: cs undo-it" in run.err


def test_a_failed_change_is_a_letter_and_no_green(
    promote: Callable[..., Run], stage: Stage, golden: Callable[[str, str], None]
) -> None:
    stage.on(*WATCH, stream(*STEPS, FAILED_END))
    run = promote()
    assert run.code == 1
    assert no_green(run)
    golden("promote-failed.err", run.err)


def test_a_failed_change_without_a_reason_still_fails(
    promote: Callable[..., Run], stage: Stage
) -> None:
    ended = {"succeeded": False, "deployments": {}, "problems": []}
    stage.on(*WATCH, stream(("end", ended)))
    run = promote()
    assert (run.code, run.out) == (1, "")
    assert "The change failed" in run.err


def test_a_stream_that_breaks_is_taken_up_where_it_broke(
    promote: Callable[..., Run], stage: Stage
) -> None:
    stage.on(*WATCH, stream(*STEPS[:2]), refusal(503), stream(*STEPS[2:], END))
    run = promote()
    assert run.code == 0
    again = stage.asked(*WATCH)[1:]
    assert [each.headers["last-event-id"] for each in again] == ["2", "2"]


@pytest.mark.parametrize("broken", [stream(), stream(*STEPS), refusal(503)])
def test_a_platform_that_stays_away_is_no_success(
    promote: Callable[..., Run], stage: Stage, broken: Any
) -> None:
    stage.on(*WATCH, broken, refusal(503))
    run = promote()
    assert run.code == 4
    assert run.out == ""
    assert "Lost sight of the change" in run.err


@pytest.mark.parametrize(("status", "code"), [(500, 1), (403, 5), (404, 1)])
def test_a_refusal_in_the_middle_is_no_success(
    promote: Callable[..., Run], stage: Stage, status: int, code: int
) -> None:
    stage.on(*WATCH, stream(*STEPS), refusal(status))
    run = promote()
    assert (run.code, run.out) == (code, "")


def test_detach_tells_the_generation_and_does_not_wait(
    promote: Callable[..., Run], stage: Stage
) -> None:
    run = promote("--detach", "-o", "json")
    assert run.code == 0
    deployment = json.loads(run.out)["deployment"]
    assert (deployment["state"], deployment["generation"]) == ("deploying", 2)
    assert "cs events -e demo -f" in run.err
    assert stage.asked(*WATCH) == []


def test_ctrl_c_ends_the_watching_and_says_how_to_go_on(
    promote: Callable[..., Run], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Steps, event: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Steps, "show", interrupted)
    stage.on(*WATCH, stream(*STEPS, END))
    run = promote()
    assert run.code == 130
    assert "the change goes on" in run.err
    assert "cs events -e demo -f" in run.err
    assert run.out == ""


CHANGES = {
    "project:service:add shop blog": (
        ("POST", "/api/projects/shop/services"),
        {"service": "blog"},
        samples.inclusion("deploying"),
    ),
    "project:service:promote shop blog --to staging": (
        ("POST", "/api/projects/shop/services/blog/promote"),
        {"to": "staging", "canary": None, "force": False},
        samples.release("staging", "deploying"),
    ),
    "project:service:roll shop blog --env production --version latest": (
        ("POST", "/api/projects/shop/services/blog/roll"),
        {"environment": "production", "version": "latest"},
        samples.release("production", "deploying"),
    ),
    "service:roll blog --env demo --version 0.0.1": (
        ("POST", "/api/services/blog/roll"),
        {"environment": "demo", "version": "0.0.1"},
        samples.release("demo", "deploying"),
    ),
    "project:service:remove shop blog --yes": (
        ("DELETE", "/api/projects/shop/services/blog"),
        None,
        samples.inclusion("removing"),
    ),
    "service:remove blog --yes": (
        ("DELETE", "/api/services/blog"),
        None,
        samples.service("removing"),
    ),
}


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_asks_for_what_was_said_and_prints_its_end(
    cs: Cs, stage: Stage, golden: Callable[[str, str], None], command: str
) -> None:
    route, body, document = CHANGES[command]
    names = samples.KINDS if "project" in command else ("private", "demo")
    stage.on(*route, told(samples.change(document, *names), 202))
    ended = samples.conclusion() if "remove" in command else samples.conclusion(*names)
    stage.on(*WATCH, stream(("end", ended)))
    run = cs(*command.split())
    assert run.code == 0
    sent = stage.asked(*route)[0].body
    assert (json.loads(sent) if sent else None) == body
    golden(f"{command.partition(' ')[0].replace(':', '-')}.out", run.out)


def test_a_new_project_is_there_at_once(cs: Cs, stage: Stage) -> None:
    stage.on("POST", "/api/projects", told(samples.project(empty=True), 201))
    run = cs("project:create", "shop", "-d", "Where we sell", "-o", "json")
    assert (run.code, json.loads(run.out)["developer_key"]) == (0, "key-of-shop")
    assert json.loads(stage.requests[0].body) == {"name": "shop", "description": "Where we sell"}


def test_a_project_is_deleted_without_an_answer_to_print(cs: Cs, stage: Stage) -> None:
    stage.on("DELETE", "/api/projects/shop", told("", 204))
    run = cs("project:delete", "shop", "--yes")
    assert (run.code, run.out) == (0, "The project shop is gone.\n")
