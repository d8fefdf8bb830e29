"""How a canary is asked for, looked at, paused, resumed and given up; and what is held."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
from codestore.wire import Problem
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Stage, refusal, stream, told

Golden = Callable[[str, str], None]
AT = "/api/environments/shop/production/services/blog/"
WATCH = ("GET", "/api/watch")
HERE = "shop blog --env production"
ABORTED = Problem(
    type="urn:codestore:problem:aborted",
    title="The change was aborted",
    detail="ada aborted the change to 0.0.3.\nLast lines:\n  hello",
    status=500,
    code="aborted",
    where="production",
)


def spoken(kind: str, message: str) -> tuple[str, Any]:
    return "event", samples.event(kind, "production", message=message, step=None)


@pytest.mark.parametrize(
    ("words", "canary", "force"),
    [
        ("", None, False),
        ("--canary", True, False),
        ("--no-canary", False, False),
        ("--force", None, True),
        ("--canary --force", True, True),
    ],
)
def test_a_promotion_says_how_it_is_let_in(
    cs: Cs, stage: Stage, words: str, canary: bool | None, force: bool
) -> None:
    route = ("POST", "/api/projects/shop/services/blog/promote")
    stage.on(*route, told(samples.change(samples.release("production"), "production"), 202))
    stage.on(*WATCH, stream(("end", samples.conclusion("production"))))
    run = cs("project:service:promote", "shop", "blog", "--to", "production", *words.split())
    assert run.code == 0
    wish = {"to": "production", "canary": canary, "force": force}
    assert json.loads(stage.asked(*route)[0].body) == wish


def test_a_canary_is_watched_step_by_step(cs: Cs, stage: Stage, golden: Golden) -> None:
    undo = "cs project:service:roll shop blog --env production --version 0.0.2"
    accepted = samples.change(samples.release("production", "deploying"), "production", undo=undo)
    stage.on("POST", "/api/projects/shop/services/blog/promote", told(accepted, 202))
    step = samples.event(
        "step_done", "production", message="route 5 % of the requests to the new version"
    )
    stage.on(
        *WATCH,
        stream(
            ("event", step),
            spoken("canary", "5 % of the requests go to 0.0.3"),
            spoken("canary", "ada paused the canary of 0.0.3"),
            spoken("held", "held by ada: the fair"),
            spoken("canary", "25 % of the requests go to 0.0.3"),
            ("end", samples.conclusion("production")),
        ),
    )
    run = cs("project:service:promote", "shop", "blog", "--to", "production", "--canary")
    assert run.code == 0
    assert run.out.endswith(f"Undo: {undo}\n")
    golden("canary.err", run.err)


def test_a_canary_that_fails_is_a_letter(cs: Cs, stage: Stage, golden: Golden) -> None:
    accepted = samples.change(samples.release("production", "deploying"), "production")
    stage.on("POST", "/api/projects/shop/services/blog/promote", told(accepted, 202))
    problem = Problem(
        type="urn:codestore:problem:canary_failed",
        title="The canary failed",
        detail="3 of 12 requests that 0.0.3 got as a canary failed; at most 0.01 of them may.",
        status=500,
        code="canary_failed",
        hint="Mend it and promote again; cs logs shows what it printed.",
        where="production",
    )
    share = spoken("canary", "5 % of the requests go to 0.0.3")
    stage.on(*WATCH, stream(share, ("end", samples.conclusion("production", problem=problem))))
    run = cs("project:service:promote", "shop", "blog", "--to", "production")
    assert (run.code, run.out) == (1, "")
    golden("canary-failed.err", run.err)


@pytest.mark.parametrize(
    ("command", "undo"), [("pause", "cs rollout:resume"), ("resume", "cs rollout:pause")]
)
def test_to_pause_is_undone_by_resuming(cs: Cs, stage: Stage, command: str, undo: str) -> None:
    paused = replace(
        samples.rollout(),
        deployment=replace(
            samples.rollout().deployment, canary=samples.canary(paused=True, next_at=None)
        ),
    )
    stage.on("POST", f"{AT}rollout/{command}", told(paused))
    run = cs(f"rollout:{command}", *HERE.split())
    assert run.code == 0
    assert "5 % of the requests go to 0.0.3 since 2026-03-01 12:30:15; paused" in run.out
    assert run.out.endswith(f"Undo: {undo} {HERE}\n")
    assert stage.asked(*WATCH) == []
    script = cs("rollout", command, *HERE.split(), "-o", "json")
    assert json.loads(script.out)["deployment"]["canary"]["paused"] is True
    assert script.err == f"Undo: {undo} {HERE}\n"


AGAIN = "cs project:service:roll shop blog --env production --version 0.0.3"


def accept_abort(stage: Stage, *ends: Any, undo: str = AGAIN, **how: Any) -> None:
    change = samples.change(samples.rollout(**how), "production", undo=undo)
    stage.on("POST", f"{AT}rollout/abort", told(change, 202))
    stage.on(*WATCH, stream(("event", samples.event("step_done", "production")), *ends))
    marked = samples.stayer(hold=None, instances=2, scale=samples.ScaleView(2, 2, 8))
    stage.on("GET", f"{AT}rollout", told(samples.calm(marked)))


def test_an_abort_waits_for_the_end_and_is_done_when_the_change_has_failed(
    cs: Cs, stage: Stage, golden: Golden
) -> None:
    accept_abort(stage, ("end", samples.conclusion("production", problem=ABORTED)))
    run = cs("rollout:abort", *HERE.split())
    assert run.code == 0
    assert run.err == ""  # the steps were told to whoever asked for the change
    golden("rollout-abort.out", run.out)
    assert stage.asked(*WATCH)[0].query == {"wait": ["dep-production:2"]}


def test_an_abort_of_what_failed_by_itself_is_done_as_well(cs: Cs, stage: Stage) -> None:
    accept_abort(stage, ("end", samples.conclusion("production", problem=samples.problem())))
    assert cs("rollout:abort", *HERE.split()).code == 0


@pytest.mark.parametrize(
    ("before", "hint"),
    [
        (
            "0.0.2",
            "hint  To go back: cs project:service:roll shop blog --env production --version 0.0.2",
        ),
        (None, "code"),
        ("0.0.3", "code"),  # it was given other secrets
    ],
)
def test_an_abort_that_comes_too_late_is_refused_with_the_way_back(
    cs: Cs, stage: Stage, before: str | None, hint: str
) -> None:
    accept_abort(stage, ("end", samples.conclusion("production")), from_version=before)
    run = cs("rollout:abort", *HERE.split())
    assert (run.code, run.out) == (1, "")
    assert "0.0.3 serves in production." in run.err
    assert hint in run.err
    assert ("--version" in run.err) is ("To go back" in hint)
    assert "too_late" in run.err


@pytest.mark.parametrize("how", [(), ("-o", "json")])
def test_an_abort_that_leaves_nothing_to_undo_says_so_by_silence(
    cs: Cs, stage: Stage, how: tuple[str, ...]
) -> None:
    ended = ("end", samples.conclusion("production", problem=ABORTED))
    accept_abort(stage, ended, undo="", from_version="0.0.3")
    run = cs("rollout:abort", *HERE.split(), *how)
    assert (run.code, run.err) == (0, "")
    assert "Undo" not in run.out


def test_a_detached_abort_does_not_wait(cs: Cs, stage: Stage) -> None:
    accept_abort(stage, aborted_by="ada")
    run = cs("rollout:abort", *HERE.split(), "--detach")
    assert run.code == 0
    assert "ada gave it up; it ends as soon as it can" in run.out
    assert "cs events -e production -f" in run.out
    assert stage.asked(*WATCH) == []


def test_a_platform_that_goes_away_leaves_it_open_whether_it_was_given_up(
    cs: Cs, stage: Stage
) -> None:
    accept_abort(stage)
    stage.on(*WATCH, refusal(503))
    run = cs("rollout:abort", *HERE.split())
    assert (run.code, run.out) == (4, "")


def test_a_hold_says_why_and_how_it_ends(cs: Cs, stage: Stage, golden: Golden) -> None:
    stage.on("POST", f"{AT}hold", told(samples.stayer()))
    run = cs("hold", *HERE.split(), "--reason", "until the fair is over")
    assert run.code == 0
    assert json.loads(stage.asked("POST", f"{AT}hold")[0].body) == {
        "reason": "until the fair is over"
    }
    golden("hold.out", run.out)
    assert cs("hold", *HERE.split()).code == 0
    assert json.loads(stage.asked("POST", f"{AT}hold")[1].body) == {"reason": ""}


def test_what_undoes_an_unhold_has_the_reason_that_was_given(cs: Cs, stage: Stage) -> None:
    odd = replace(samples.HELD, reason="it's $HOME; rm -rf /")
    stage.on("GET", f"{AT}rollout", told(samples.calm(samples.stayer(hold=odd))))
    stage.on("DELETE", f"{AT}hold", told(samples.stayer(hold=None)))
    run = cs("unhold", *HERE.split(), "-o", "json")
    assert (run.code, json.loads(run.out)["hold"]) == (0, None)
    assert run.err == f"Undo: cs hold {HERE} --reason 'it'\"'\"'s $HOME; rm -rf /'\n"


def test_where_nothing_was_held_nothing_is_to_undo(cs: Cs, stage: Stage) -> None:
    free = samples.stayer(hold=None)
    stage.on("GET", f"{AT}rollout", told(samples.calm(free)))
    stage.on("DELETE", f"{AT}hold", told(free))
    run = cs("unhold", *HERE.split())
    assert (run.code, "Undo" in run.out + run.err) == (0, False)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("shop blog --env production", "shop/production/services/blog"),
        ("shop --env staging", "shop/staging/services/wiki"),
        ("blog --env private", "blog/private/services/blog"),
        ("--env demo", "wiki/demo/services/wiki"),
        ("prj-1 svc-1 --env development", "prj-1/development/services/svc-1"),
    ],
)
def test_a_place_is_named_or_found_in_the_folder(
    cs: Cs, stage: Stage, place: Path, words: str, where: str
) -> None:
    (place / "codestore.yaml").write_text("service: wiki\n")
    stage.on("GET", f"/api/environments/{where}/rollout", told(samples.calm()))
    assert cs("rollout:status", *words.split()).code == 0


@pytest.mark.parametrize(
    "words",
    ["shop blog --env private", "shop blog --env demo", ".. blog --env staging", ". --env demo"],
)
def test_a_place_that_is_none_is_wrong_usage(cs: Cs, stage: Stage, words: str) -> None:
    assert cs("rollout:status", *words.split()).code == 2
    assert stage.requests == []


@pytest.mark.parametrize("command", ["rollout:status", "rollout:abort", "hold", "unhold"])
def test_a_refusal_is_a_letter(cs: Cs, stage: Stage, command: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        for what in ("rollout", "rollout/abort", "hold"):
            stage.on(method, f"{AT}{what}", refusal(409, "nothing_under_way", "cs rollout:status"))
    run = cs(command, *HERE.split())
    assert (run.code, run.out) == (1, "")
    assert "nothing_under_way" in run.err


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
