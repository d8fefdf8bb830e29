"""Logging in, and the commands about people."""

import io
import json
from pathlib import Path

import pytest

from codestore.wire import ServiceView
from codestore.wire.people import DeviceLogin, DeviceView, LoggedIn, OrganizationView, Verification
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import TOKEN, Stage, refusal, told

SECRET = "a password that nobody sees"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\nanother one\n"))


@pytest.mark.usefixtures("typed")
def test_login_to_an_account_keeps_the_fresh_token(cs: Cs, stage: Stage, tmp_path: Path) -> None:
    token = samples.token(TOKEN)
    stage.on("POST", "/api/login", told(LoggedIn(samples.PROFILE, token), 201))
    stage.on("GET", "/api/whoami", told(samples.PROFILE))
    data = tmp_path / "mine"
    run = cs("login", "acme/ann", "--url", stage.url, "--data", str(data))
    assert run.code == 0, run.err
    asked = json.loads(stage.asked("POST", "/api/login")[0].body)
    assert (asked["organization"], asked["name"], asked["password"]) == ("acme", "ann", SECRET)
    assert asked["label"].startswith("cs on ")
    held = json.loads((data / "profile.json").read_text())
    assert held == {"url": stage.url, "token": TOKEN}
    assert SECRET not in run.out + run.err
    assert TOKEN not in run.out + run.err


@pytest.mark.usefixtures("typed")
def test_a_name_alone_is_of_the_first_organization(cs: Cs, stage: Stage) -> None:
    stage.on("POST", "/api/login", refusal(401, "wrong_password"))
    run = cs("login", "ann", "--url", stage.url)
    assert run.code == 5
    asked = json.loads(stage.asked("POST", "/api/login")[0].body)
    assert (asked["organization"], asked["name"]) == ("local", "ann")


def test_somebody_elses_private_environment_is_shown_as_such(cs: Cs, stage: Stage) -> None:
    hidden = samples.deployment("private", url=None, key=None, database=None, reason=None)
    view = ServiceView("svc-1", "blog", "usr-2", "org-1", {"private": hidden})
    stage.on("GET", "/api/services/blog", told(view))
    run = cs("service:info", "blog")
    assert run.code == 0, run.err
    assert "its owner's alone" in run.out
    assert "key" not in run.out


def test_logout_forgets_also_what_cannot_be_ended(cs: Cs, tmp_path: Path) -> None:
    file = tmp_path / "data" / "profile.json"
    file.write_text(json.dumps({"url": "http://127.0.0.1:1", "token": TOKEN}))
    run = cs("logout", "-o", "json")
    assert (run.code, json.loads(run.out)) == (0, {"forgotten": True, "ended": False})
    assert "until it expires" in run.err
    assert not file.exists()


@pytest.mark.usefixtures("typed")
def test_a_password_comes_from_the_pipe(cs: Cs, stage: Stage) -> None:
    stage.on("PUT", "/api/password", told(None, 204))
    assert cs("password").code == 0
    body = json.loads(stage.asked("PUT", "/api/password")[0].body)
    assert body == {"before": SECRET, "password": "another one"}


def test_what_is_drawn_is_shown_once_with_the_way_on(cs: Cs, stage: Stage) -> None:
    stage.on("POST", "/api/users", told(samples.user("drawn-password"), 201))
    run = cs("user:add", "bob", "--role", "maker", "--email", "bob@example.org")
    assert "drawn-password" in run.out
    assert "cs login acme/bob" in run.out
    assert "Undo: cs user:remove bob" in run.out
    stage.on("POST", "/api/tokens", told(samples.token("cs_pat_1"), 201))
    assert "cs_pat_1" in cs("token:add", "ci", "--days", "3").out
    assert json.loads(stage.asked("POST", "/api/tokens")[0].body) == {"label": "ci", "days": 3}
    made = OrganizationView("acme", samples.AT, samples.user("drawn-password"))
    stage.on("POST", "/api/organizations", told(made, 201))
    run = cs("organization:add", "acme", "--owner", "bob")
    assert "drawn-password" in run.out
    assert "cs login acme/bob" in run.out


def test_people_change_and_go(cs: Cs, stage: Stage) -> None:
    stage.on("PUT", "/api/users/bob/role", told(samples.USER))
    assert cs("user:role", "bob", "maker").code == 0
    assert json.loads(stage.asked("PUT", "/api/users/bob/role")[0].body) == {"role": "maker"}
    stage.on("POST", "/api/users/bob/password", told(samples.user("drawn-password"), 201))
    assert "drawn-password" in cs("user:password", "bob", "--yes").out
    stage.on("DELETE", "/api/users/bob", told(None, 204))
    assert cs("user:remove", "bob").code == 2  # nobody is here to ask
    assert cs("user:remove", "bob", "--heir", "ann", "--yes").code == 0
    assert stage.asked("DELETE", "/api/users/bob")[0].query == {"heir": ["ann"]}
    stage.on("DELETE", "/api/tokens/tok-1", told(None, 204))
    assert "opens nothing" in cs("token:revoke", "tok-1").out


def test_a_log_that_is_not_whole_fails(cs: Cs, stage: Stage) -> None:
    broken = Verification(False, 1, "ab" * 32, 2, False)
    stage.on("GET", "/api/audit/verification", told(broken))
    run = cs("audit:verify", "--seal", "cd" * 32)
    assert run.code == 1
    assert "NOT whole" in run.out
    assert "entry 2" in run.out
    assert "is NOT in it" in run.out
    assert stage.asked("GET", "/api/audit/verification")[0].query == {"noted": ["cd" * 32]}


def test_login_by_the_provider_waits_until_the_code_is_entered(cs: Cs, stage: Stage) -> None:
    asked = DeviceView("device-code", "WDJB", "https://id.example.org", None, 30, 0)
    stage.on("POST", "/api/login/device", told(asked, 201))
    in_ = LoggedIn(samples.PROFILE, samples.token(TOKEN))
    waiting = told(DeviceLogin(None, False))
    stage.on("POST", "/api/login/device/token", waiting, waiting, told(DeviceLogin(in_, False)))
    stage.on("GET", "/api/whoami", told(samples.PROFILE))
    run = cs("login", "--url", stage.url)
    assert run.code == 0, run.err
    assert "Open https://id.example.org" in run.err
    assert "the code WDJB" in run.err
    assert "device-code" not in run.out + run.err
    assert len(stage.asked("POST", "/api/login/device/token")) == 3


def test_a_code_that_nobody_enters_expires(cs: Cs, stage: Stage) -> None:
    asked = DeviceView("device-code", "WDJB", "https://id.example.org", None, 0.1, 0)
    stage.on("POST", "/api/login/device", told(asked, 201))
    stage.on("POST", "/api/login/device/token", told(DeviceLogin(None, False)))
    run = cs("login", "--url", stage.url, "-o", "json")
    assert run.code == 1
    assert "code_expired" in run.err
