"""Logging in by an OpenID provider: only who was added before, and always the same person."""

from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from codestore.actions.devices import Provider
from codestore.domain.secret import Secret
from codestore.ports import Asked, Identity, Pending
from tests.api.stage import Stage

CARL = Identity("subject-1", "carl@example.org")


@dataclass
class Browser:
    """An OpenID provider where somebody enters codes; the door in memory."""

    found: Identity | Pending = field(default_factory=Pending)

    async def ask(self) -> Asked:
        return Asked(Secret("device-code"), "WDJB", "https://id.example.org", None, 600, 5)

    async def collect(self, device_code: Secret) -> Identity | Pending:
        assert device_code.reveal() == "device-code"
        return self.found


@pytest.fixture
def browser(stage: Stage) -> Browser:
    made = Browser()
    desk = stage.app.state.desk
    stage.app.state.desk = replace(desk, provider=Provider(made, "engines"))
    return made


async def collect(stage: Stage, **words: Any) -> httpx.Response:
    async with stage.client(None) as nobody:
        body = {"device_code": "device-code", **words}
        return await nobody.post("/api/login/device/token", json=body)


async def test_without_a_provider_there_is_none(stage: Stage) -> None:
    async with stage.client(None) as nobody:
        answer = await nobody.post("/api/login/device")
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")
    assert (await collect(stage)).json()["code"] == "provider_not_found"


async def test_a_user_logs_in_when_the_code_was_entered(
    stage: Stage, web: httpx.AsyncClient, browser: Browser
) -> None:
    await web.post("/api/users", json={"name": "carl", "email": "Carl@example.org"})
    async with stage.client(None) as nobody:
        asked = (await nobody.post("/api/login/device")).json()
    assert (asked["device_code"], asked["user_code"], asked["interval"]) == (
        "device-code",
        "WDJB",
        5,
    )
    assert (await collect(stage)).json() == {"logged_in": None, "slower": False}
    browser.found = Pending(slower=True)
    assert (await collect(stage)).json() == {"logged_in": None, "slower": True}
    browser.found = CARL
    told = (await collect(stage)).json()["logged_in"]
    assert told["profile"]["name"] == "carl"
    async with stage.client(None) as carl:
        carl.headers["authorization"] = f"Bearer {told['token']['token']}"
        assert (await carl.get("/api/whoami")).json()["role"] == "maker"
    assert (await web.get("/api/audit")).json()["items"][-1]["act"] == "login"


async def test_nobody_joins_by_themselves(stage: Stage, browser: Browser) -> None:
    browser.found = CARL
    answer = await collect(stage)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_a_user")


async def test_an_address_that_is_given_to_another_opens_nothing(
    stage: Stage, web: httpx.AsyncClient, browser: Browser
) -> None:
    await web.post("/api/users", json={"name": "carl", "email": CARL.email})
    browser.found = CARL
    assert (await collect(stage)).status_code == 200
    browser.found = replace(CARL, subject="subject-2")
    assert (await collect(stage)).json()["code"] == "not_a_user"


async def test_a_code_that_is_none_is_not_asked_about(stage: Stage, browser: Browser) -> None:
    for code in ("", "x" * 5000):
        assert (await collect(stage, device_code=code)).json()["code"] == "not_a_user"
    assert (await collect(stage, label="")).json()["code"] == "bad_label"
