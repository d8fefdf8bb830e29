"""On a terminal: questions, colours, and a spinner."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from codestore.cli.session import Session
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import TOKEN, Stage, stream, told


def run_on_a_terminal(typed: str, *arguments: str) -> tuple[int, str]:
    """Run the command as on a terminal; return its exit code and everything it showed."""
    ours, theirs = pty.openpty()
    program = "from codestore.cli.main import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how the end of a terminal is told
        pass
    finally:
        os.close(ours)
    return process.wait(), shown.decode()


def test_a_terminal_is_asked_and_sees_colours_and_steps(stage: Stage, tmp_path: Path) -> None:
    change = samples.change(samples.release("staging", "deploying"), "staging")
    stage.on("POST", "/api/projects/shop/services/blog/promote", told(change, 202))
    steps = [("event", samples.event(kind, "staging")) for kind in ("step_started", "step_done")]
    stage.on("GET", "/api/watch", stream(*steps, ("end", samples.conclusion("staging"))))
    access = ("--url", stage.url, "--token", TOKEN)
    code, shown = run_on_a_terminal("staging\n", "project:service:promote", "shop", "blog", *access)
    assert code == 0
    assert "In which environment" in shown
    assert "run the migrations…  0.12 s" in shown
    assert "\x1b[32mready\x1b[0m" in shown


def test_a_removal_that_is_not_wanted_after_all_removes_nothing(
    cs: Cs, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "can_ask", True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    run = cs("service:remove", "blog")
    assert run.code == 1
    assert "Nothing was changed" in run.err
    assert stage.requests == []
