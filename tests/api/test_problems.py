"""Every error is a problem, as RFC 9457 has it, whoever made it."""

from typing import Any

import httpx
import pytest

from codestore.domain.faults import unavailable
from tests.api.stage import Stage

MEMBERS = {"type", "title", "detail", "status", "code", "hint", "where"}
JSON = {"content-type": "application/json"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert set(told) == MEMBERS
    assert told["status"] == status
    assert told["type"] == f"urn:codestore:problem:{told['code']}"
    assert told["title"]
    assert told["detail"]
    return told


async def test_a_path_that_is_not_there(web: httpx.AsyncClient) -> None:
    for path in ("/api", "/api/nothing", "/api/services/blog/nothing", "/nothing", "/"):
        assert problem(await web.get(path), 404)["code"] == "not_found"


async def test_a_method_that_is_not_there(web: httpx.AsyncClient) -> None:
    for method, path in (
        ("PUT", "/api/services"),
        ("PATCH", "/api/services/blog"),
        ("POST", "/api/status"),
        ("DELETE", "/api/projects"),
        ("TRACE", "/api/whoami"),
    ):
        answer = await web.request(method, path)
        assert problem(answer, 405)["code"] == "method_not_allowed"
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("services?limit=0", "query.limit"),
        ("services?limit=501", "query.limit"),
        ("services?limit=x", "query.limit"),
        ("services?limit=1e2", "query.limit"),
        ("services?after=" + "a" * 101, "query.after"),
        ("events?after=-1", "query.after"),
        ("events?after=" + "9" * 30, "query.after"),
        ("events?limit=99999", "query.limit"),
        ("logs?count=0", "query.count"),
        ("logs?count=10001", "query.count"),
        ("logs?service=" + "a" * 101, "query.service"),
        ("watch", "query.wait"),
        ("services/blog/source?version=" + "1" * 101, "query.version"),
    ],
)
async def test_a_question_that_is_wrong(web: httpx.AsyncClient, path: str, where: str) -> None:
    told = problem(await web.get(f"/api/{path}"), 422)
    assert (told["code"], told["where"]) == ("bad_request", where)
    assert told["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"name"',
        b"{}",
        b'{"name": 1}',
        b'{"name": null}',
        b'{"name": ["shop"]}',
        b"\xff\xfe",
        b"\x00",
        b'{"name": "\xff"}',
        b"NaN",
        b"[" * 100_000,
        b'{"name": ' + b"9" * 10_000 + b"}",
    ],
)
async def test_a_body_that_is_not_what_is_expected(web: httpx.AsyncClient, body: bytes) -> None:
    answer = await web.post("/api/projects", content=body, headers=JSON)
    assert answer.status_code in (400, 422), answer.text
    assert problem(answer, answer.status_code)["code"] == "bad_request"
    assert (await web.get("/api/projects")).json()["items"] == []


async def test_a_body_of_another_type(web: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        answer = await web.post(
            "/api/projects", content=b'{"name":"shop"}', headers={"content-type": kind}
        )
        problem(answer, 422)


async def test_a_mistake_of_ours_tells_nothing_of_the_inside(
    stage: Stage, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the password is hunter2")

    await stage.create(web, "blog")
    monkeypatch.setattr(stage.world.doors.vault, "open", broken)
    answer = await web.get("/api/services/blog")
    assert problem(answer, 500)["code"] == "internal"
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["connection"] == "close"  # the server closes it; a proxy must know


async def test_what_may_pass_says_when_to_ask_again(
    web: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise unavailable("away", "The database server is away", "no answer")

    monkeypatch.setattr(stage.world.doors.store, "begin", away)
    answer = await web.get("/api/services")
    assert problem(answer, 503)["code"] == "away"
    assert answer.headers["retry-after"] == "1"
