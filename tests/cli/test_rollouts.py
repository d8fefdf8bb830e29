"""How a canary is asked for, looked at, paused, resumed and given up; and what is held."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
