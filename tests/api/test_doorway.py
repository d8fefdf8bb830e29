"""A page of somebody else's, open in the browser of somebody who may: it gets nowhere."""

import httpx
import pytest

from tests.api.stage import Stage

OURS = (
    *("platform", "platform:7080", "PLATFORM", "platform.", "localhost", "localhost:7080"),
    *("127.0.0.1", "127.0.0.1:7080", "[::1]:7080", "10.1.2.3", "blog.localhost:7080"),
)
FOREIGN = (
    *("evil.example", "evil.example:7080", "platform.evil.example", "xplatform", "", ":7080"),
    *("127.0.0.1.evil.example", "localhost.evil.example", "evillocalhost", "[::1", "[x]", "1.2.3"),
    *("127.1", "2130706433", "0x7f000001", "user@evil.example", "codestore"),
)


@pytest.mark.parametrize("host", OURS)
async def test_the_platform_answers_to_its_names_and_addresses(stage: Stage, host: str) -> None:
    async with stage.client() as web:
        answer = await web.get("/api/services", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/api/services", "/openapi.json", "/docs", "/metrics", "/"])
async def test_a_name_that_was_made_to_lead_here_is_not_answered(
    stage: Stage, host: str, path: str
) -> None:
    async with stage.client() as web:
        answer = await web.get(path, headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unknown_host"
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "http://platform.evil.example", "null", "", "http://platform:81"),
        *("https://platform:80", "http://platform@evil.example", "platform", "file://", "http://["),
        *("http://localhost", "chrome-extension://abcdef", "http://127.0.0.1"),
    ],
)
async def test_a_foreign_page_asks_for_nothing_and_changes_nothing(
    stage: Stage, web: httpx.AsyncClient, origin: str
) -> None:
    for method, path in (
        ("POST", "/api/projects"),
        ("OPTIONS", "/api/projects"),
        ("GET", "/api/services"),
    ):
        asked = {"origin": origin, "access-control-request-method": "POST"}
        answer = await web.request(method, path, json={"name": "shop"}, headers=asked)
        assert answer.status_code == 403, (method, answer.text)
        assert answer.json()["code"] == "foreign_origin"
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (await web.get("/api/projects")).json()["items"] == []


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://platform", "platform"),
        ("http://platform:7080", "platform:7080"),
        ("https://PLATFORM", "platform:443"),
        ("http://127.0.0.1:7080", "127.0.0.1:7080"),
    ],
)
async def test_a_page_of_our_own_may_ask(stage: Stage, origin: str, host: str) -> None:
    async with stage.client() as web:
        headers = {"origin": origin, "host": host}
        answer = await web.post("/api/projects", json={"name": "shop"}, headers=headers)
    assert answer.status_code == 201


async def test_of_two_origins_each_must_be_ours(stage: Stage) -> None:
    headers = [("origin", "http://platform"), ("origin", "http://evil.example")]
    async with stage.client() as web:
        answer = await web.get("/api/services", headers=headers)
    assert answer.status_code == 403
