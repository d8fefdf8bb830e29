"""How commands fail: the letter, its JSON, the exit code."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from codestore.cli.profile import Profile, write_profile
from tests.cli.conftest import Cs
from tests.cli.stage import Answer, Stage, refusal


@pytest.mark.parametrize(
    ("status", "code"), [(401, 5), (403, 5), (404, 1), (409, 1), (422, 1), (500, 1), (503, 4)]
)
def test_each_kind_of_refusal_has_its_exit_code(
    cs: Cs, stage: Stage, status: int, code: int
) -> None:
    stage.on("GET", "/api/services/blog", refusal(status))
    run = cs("service:info", "blog")
    assert (run.code, run.out) == (code, "")


def test_a_refusal_is_a_short_letter(
    cs: Cs, stage: Stage, golden: Callable[[str, str], None]
) -> None:
    stage.on("GET", "/api/services/blog", refusal(409))
    golden("letter.err", cs("service:info", "blog").err)


def test_a_refusal_is_problem_json_for_scripts(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/services/blog", refusal(409, "conflict"))
    run = cs("service:info", "blog", "-o", "json")
    problem = json.loads(run.err)
    assert set(problem) == {"type", "title", "detail", "status", "code", "hint", "where"}
    assert (problem["status"], problem["code"]) == (409, "conflict")


def test_nothing_at_the_address_exits_with_4_and_says_how_to_start(
    cs: Cs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CODESTORE_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    run = cs("service:list")
    assert run.code == 4
    assert "cs up" in run.err


def test_no_profile_exits_with_4(cs: Cs, tmp_path: Path) -> None:
    run = cs("status", "--data", str(tmp_path / "nowhere"))
    assert run.code == 4
    assert "cs up" in run.err


def test_a_damaged_profile_is_a_letter(cs: Cs, tmp_path: Path) -> None:
    (tmp_path / "data" / "profile.json").write_text("{")
    assert cs("status").code == 1


def test_an_answer_of_something_else_is_not_believed(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/status", Answer(b"<html>", 200, "text/html"))
    assert cs("status").code == 4


def test_a_refusal_by_something_else_is_told_by_its_status(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/status", Answer(b"<html>", 418, "text/html"))
    run = cs("status")
    assert (run.code, "The platform answered 418" in run.err) == (1, True)


@pytest.mark.parametrize("arguments", ["service:info ..", "service:remove --yes .", "logs -n x"])
def test_words_that_mean_nothing_are_wrong_usage(cs: Cs, stage: Stage, arguments: str) -> None:
    assert cs(*arguments.split()).code == 2
    assert stage.requests == []


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("service:create", "NAME"),
        ("service:info", "SERVICE"),
        ("promote", "SERVICE"),
        ("service:remove", "SERVICE"),
        ("service:remove blog", "--yes"),
        ("project:delete shop", "--yes"),
        ("project:service:remove shop blog", "--yes"),
        ("project:service:promote shop blog", "--to"),
        ("project:service:roll shop blog --version latest", "--env"),
        ("project:service:roll shop blog --env staging", "--version"),
        ("rollout:status shop blog", "--env"),
        ("rollout:pause --env production", "PROJECT"),
        ("rollout:resume shop --env staging", "SERVICE"),
        ("rollout:abort --env demo", "SERVICE"),
        ("hold shop blog", "--env"),
        ("unhold --env staging", "PROJECT"),
        ("project:info", "PROJECT"),
        ("env:show", "PROJECT/ENV"),
        ("logs", "SERVICE"),
    ],
)
def test_what_a_terminal_is_asked_a_pipe_must_name(
    cs: Cs, stage: Stage, command: str, named: str
) -> None:
    run = cs(*command.split())
    assert run.code == 2
    assert named in run.err
    assert stage.requests == []


def test_the_token_of_a_profile_goes_to_its_own_address_only(
    cs: Cs, stage: Stage, tmp_path: Path
) -> None:
    write_profile(tmp_path / "data", Profile("http://127.0.0.1:1", "of-another-platform"))
    assert cs("whoami", "--url", stage.url).code == 5
    assert "authorization" not in stage.requests[0].headers


def test_a_token_with_letters_that_no_token_has_is_wrong_usage(cs: Cs) -> None:
    assert cs("whoami", "--token", "a\r\nX-Evil: 1").code == 2


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:7080", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_wrong_usage(cs: Cs, url: str) -> None:
    assert cs("whoami", "--url", url, "--token", "t").code == 2


def test_problem_json_stays_json_whatever_the_detail_has(cs: Cs, stage: Stage) -> None:
    odd = {"title": "T", "detail": "\x1b[31m\u200b\u202e", "code": "c", "status": 409}
    stage.on("GET", "/api/status", Answer(json.dumps(odd).encode(), 409))
    assert json.loads(cs("status", "-o", "json").err)["detail"] == odd["detail"]
    assert "\x1b" not in cs("status").err
