"""The platform of this machine, and the profile that leads to it."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from codestore.cli import platform
from codestore.cli.platform import Launch
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import TOKEN, Stage, refusal, told


def pretend(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let this program stand for the platform."""
    command = lambda act, data: [sys.executable, "-c", program, act, str(data)]  # noqa: E731
    monkeypatch.setattr(platform, "platform_command", command)
    monkeypatch.setattr("codestore.cli.commands.host.platform_command", command)


def test_the_command_says_only_what_was_said(tmp_path: Path) -> None:
    start = [sys.executable, "-m", "codestore", "up", "--data", str(tmp_path)]
    assert Launch(tmp_path, None, None).command == start
    assert Launch(tmp_path, "::1", 80).command == [*start, "--host", "::1", "--port", "80"]


def test_up_where_a_platform_answers_starts_nothing(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/status", told(samples.STATUS))
    run = cs("up", "--detach", "-o", "json")
    assert (run.code, json.loads(run.out)["state"]) == (0, "ready")
    assert "already" in run.err


def test_up_detached_waits_until_the_platform_is_ready(
    cs: Cs, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_yet = samples.STATUS.__class__(**{**vars_of(samples.STATUS), "state": "starting"})
    stage.on("GET", "/api/status", told(not_yet), told(not_yet), told(samples.STATUS))
    profile = json.dumps({"url": stage.url, "token": TOKEN})
    data = tmp_path / "fresh"
    program = (
        "import os, pathlib, sys, time\n"
        "print(os.environ['CODESTORE_DATABASE_URL'], sys.argv)\n"
        "fresh = pathlib.Path(sys.argv[2], 'profile.new')\n"
        f"fresh.write_text({profile!r})\n"
        "fresh.replace(fresh.with_name('profile.json'))\n"
        "time.sleep(5)"
    )
    pretend(monkeypatch, program)
    run = cs("up", "--detach", "--data", str(data), "--database-url", "postgresql://secret")
    os.unsetenv("CODESTORE_DATABASE_URL")
    assert run.code == 0
    assert "is ready in" in run.err
    log = data / "logs" / "up.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def vars_of(view: object) -> dict[str, object]:
    return {name: getattr(view, name) for name in view.__dataclass_fields__}  # type: ignore[attr-defined]


def test_a_platform_that_ends_at_once_shows_its_last_lines(
    cs: Cs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "import sys; print('no port left'); sys.exit(7)")
    run = cs("up", "--detach", "--data", str(tmp_path / "fresh"))
    assert (run.code, run.out) == (1, "")
    assert "exit code 7" in run.err
    assert "no port left" in run.err


def test_down_passes_the_exit_code_on(cs: Cs, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "import sys; sys.exit(9)")
    assert cs("down").code == 9


def test_login_keeps_what_works_for_its_owner_only(cs: Cs, stage: Stage, tmp_path: Path) -> None:
    stage.on("GET", "/api/whoami", told(samples.PROFILE))
    data = tmp_path / "mine"
    run = cs("login", "--url", f"{stage.url}/", "--token", TOKEN, "--data", str(data))
    assert run.code == 0
    file = data / "profile.json"
    assert json.loads(file.read_text()) == {"url": stage.url, "token": TOKEN}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cs("whoami", "--data", str(data)).code == 0
    stage.on("POST", "/api/logout", told({"ended": True}))
    assert cs("logout", "--data", str(data)).code == 0
    assert stage.asked("POST", "/api/logout")
    assert not file.exists()


def test_login_keeps_nothing_that_is_refused(cs: Cs, stage: Stage, tmp_path: Path) -> None:
    data = tmp_path / "mine"
    run = cs("login", "--url", stage.url, "--token", "wrong", "--data", str(data))
    assert (run.code, data.exists()) == (5, False)


def test_login_without_a_token_is_wrong_usage_in_a_pipe(cs: Cs, stage: Stage) -> None:
    stage.on("POST", "/api/login/device", refusal(404, "provider_not_found"))
    assert cs("login", "--url", stage.url).code == 2
