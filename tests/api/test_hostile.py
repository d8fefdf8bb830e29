"""What people send who mean no good: refused with a reason, and nothing is left of it."""

import asyncio
import contextlib
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from codestore.api import uploads
from tests.api.stage import Stage

JSON = {"content-type": "application/json"}
NAMES = [
    "",
    "a",
    "A",
    "-blog",
    "blog-",
    "1blog",
    "blog ",
    "blog\n",
    "bl og",
    "bl.og",
    "bl/og",
    "..",
    "../blog",
    "blog\0",
    "\0",
    "ünïcode",
    "блог",
    "blоg",  # the o is Cyrillic
    "blog\u202e",
    "ｂｌｏｇ",
    "日本語",
    "🙂",
    "a" * 41,
    "a" * 300,
    "'; DROP TABLE codestore.services; --",
    '" OR ""="',
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "blog\r\nx-evil: 1",
]
REFS = [
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f",
    "..%5c..%5c",
    "blog%00",
    "%00",
    "' OR 1=1 --",
    "svc-' OR 1=1 --",
    "svc-%00",
    "prj-*",
    "blog;DELETE",
    "%25%32%66",
    "ünïcode",
    "%ff%fe",
    "a" * 300,
    "*",
    "null",
    "blog%0d%0ax-evil:%201",
]


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x-evil" not in answer.headers
    told: dict[str, Any] = answer.json()
    assert told["code"] != "internal"
    assert len(answer.text) < 1000  # what was sent is not sent back whole
    return told


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_is_none_makes_nothing(
    stage: Stage, web: httpx.AsyncClient, name: str
) -> None:
    answer = await web.post("/api/services", params={"name": name}, content=b"archive")
    assert refused(answer, 422)["code"] == "bad_name"
    assert "a-z, 0-9 and -" in answer.json()["hint"]
    answer = await web.post("/api/projects", json={"name": name})
    assert refused(answer, 422)["code"] == "bad_name"
    for path in ("services", "projects", "environments"):
        assert (await web.get(f"/api/{path}")).json()["items"] == []
    assert not list(stage.uploads.iterdir())


@pytest.mark.parametrize("ref", REFS)
async def test_a_reference_that_is_none_finds_nothing(
    stage: Stage, web: httpx.AsyncClient, ref: str
) -> None:
    await stage.create(web, "blog")
    await web.post("/api/projects", json={"name": "shop"})
    for method, path in (
        ("GET", f"/api/services/{ref}"),
        ("DELETE", f"/api/services/{ref}"),
        ("GET", f"/api/services/{ref}/versions"),
        ("GET", f"/api/services/{ref}/source"),
        ("POST", f"/api/services/{ref}/promote"),
        ("GET", f"/api/projects/{ref}"),
        ("DELETE", f"/api/projects/{ref}"),
        ("GET", f"/api/projects/shop/services/{ref}"),
        ("DELETE", f"/api/projects/shop/services/{ref}"),
        ("GET", f"/api/deployments/{ref}"),
        ("GET", f"/api/environments/{ref}/private"),
        ("GET", f"/api/environments/blog/{ref}"),
    ):
        refused(await web.request(method, path), 404, 405)
    for query in ({"service": "svc-\0'"}, {"project": "prj-\0'"}, {"environment": "\0"}):
        for path in ("events", "logs", "plan", "events/stream", "logs/stream"):
            refused(await web.get(f"/api/{path}", params=query), 404, 422)
    names = [held["name"] for held in (await web.get("/api/services")).json()["items"]]
    assert names == ["blog"]
    assert len((await web.get("/api/projects")).json()["items"]) == 1


@pytest.mark.parametrize("notes", ["a\0b", "\0", "a" * 10_001])
async def test_notes_that_are_no_text_are_refused(
    stage: Stage, web: httpx.AsyncClient, notes: str
) -> None:
    await stage.create(web, "blog")
    answer = await web.post(
        "/api/services/blog/versions", params={"notes": notes}, content=b"archive"
    )
    refused(answer, 422)
    assert len((await web.get("/api/services/blog/versions")).json()["items"]) == 1


@pytest.mark.parametrize("notes", ["a\r\nx-evil: 1", "\x1b[2J", "🙂", "<b>'\"$(id)`id`{{7*7}}"])
async def test_notes_stay_as_they_were_written(
    stage: Stage, web: httpx.AsyncClient, notes: str
) -> None:
    await stage.create(web, "blog")
    answer = await web.post(
        "/api/services/blog/versions", params={"notes": notes}, content=b"archive"
    )
    assert "x-evil" not in answer.headers
    assert (await stage.concluded(web, answer.json()))["succeeded"]
    listed = await web.get("/api/services/blog/versions")
    assert [held["notes"] for held in listed.json()["items"]] == ["", notes]


@pytest.mark.parametrize("description", ["a\0b", "a" * 1001, "\ud800", "a\udfffb"])
async def test_a_description_that_is_no_text_is_refused(
    web: httpx.AsyncClient, description: str
) -> None:
    """Half a character, once stored, would break every list that it is in."""
    body = json.dumps({"name": "shop", "description": description}).encode()
    answer = await web.post("/api/projects", content=body, headers=JSON)
    assert refused(answer, 422)["code"] == "bad_description"
    listed = await web.get("/api/projects")
    assert (listed.status_code, listed.json()["items"]) == (200, [])


@pytest.mark.parametrize("word", ["\ud800", "svc-\ud800", "\0", "svc-\0", "x" * 5000])
async def test_words_in_a_body_that_are_no_names(
    stage: Stage, web: httpx.AsyncClient, word: str
) -> None:
    await stage.create(web, "blog")
    await web.post("/api/projects", json={"name": "shop"})
    for path, body in (
        ("projects", {"name": word}),
        ("projects/shop/services", {"service": word}),
        ("projects/shop/services/blog/promote", {"to": word}),
        ("projects/shop/services/blog/roll", {"environment": word, "version": "0.0.1"}),
        ("projects/shop/services/blog/roll", {"environment": "staging", "version": word}),
        ("services/blog/roll", {"environment": word, "version": "0.0.1"}),
        ("services/blog/roll", {"environment": "private", "version": word}),
    ):
        content = json.dumps(body).encode()
        refused(await web.post(f"/api/{path}", content=content, headers=JSON), 404, 422)


@pytest.mark.parametrize("number", ["1", "1.2", "01.0.0", "1.0.0-rc1", "-1.0.0", "٣.0.0", "v1.0.0"])
async def test_a_version_that_is_no_number(
    stage: Stage, web: httpx.AsyncClient, number: str
) -> None:
    await stage.create(web, "blog")
    body = {"environment": "private", "version": number}
    assert refused(await web.post("/api/services/blog/roll", json=body), 422)["code"]


async def zeros(mebibytes: int) -> AsyncIterator[bytes]:
    yield b'{"name": "'
    for _ in range(mebibytes):
        yield bytes(2**20)


@pytest.mark.parametrize("name", [None, "ada"])
async def test_a_huge_json_body_is_refused_without_keeping_it(
    stage: Stage, name: str | None
) -> None:
    async with stage.client(name) as web:
        tracemalloc.start()
        answer = await web.post("/api/projects", content=zeros(32), headers=JSON)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    refused(answer, 401, 413)
    assert peak < 8 * 2**20


async def test_a_body_that_announces_too_much_is_refused_at_once(stage: Stage) -> None:
    async with stage.client(None) as web:
        headers = {**JSON, "content-length": str(2**21)}
        answer = await web.post("/api/projects", content=b"{}", headers=headers)
    assert refused(answer, 413)["code"] == "content_too_large"


async def test_a_huge_upload_is_refused_and_nothing_is_kept(
    stage: Stage, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD", 2**20)
    answer = await web.post("/api/services", params={"name": "blog"}, content=zeros(3))
    assert refused(answer, 413)["code"] == "archive_too_large"
    assert not list(stage.uploads.iterdir())
    assert (await web.get("/api/services")).json()["items"] == []


async def test_an_upload_without_an_end_is_cut(
    stage: Stage, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD", 2**20)
    monkeypatch.setattr(uploads, "MAX_IGNORED", 4 * 2**20)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**20
            yield bytes(2**20)

    answer = await web.post("/api/services", params={"name": "blog"}, content=endless())
    assert refused(answer, 413)["code"] == "archive_too_large"
    assert sent < 8 * 2**20
    assert not list(stage.uploads.iterdir())


async def test_an_upload_that_stalls_is_given_up(
    stage: Stage, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "IDLE", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    await stage.create(web, "blog")
    answer = await web.post("/api/services/blog/versions", content=stalled())
    assert refused(answer, 422)["code"] == "upload_stalled"
    assert not list(stage.uploads.iterdir())
    assert len((await web.get("/api/services/blog/versions")).json()["items"]) == 1


async def test_an_upload_that_breaks_off_leaves_nothing(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    await stage.create(web, "blog")
    answer = None
    with contextlib.suppress(ConnectionResetError):
        answer = await web.post("/api/services/blog/versions", content=broken())
    assert answer is None or answer.status_code >= 400
    assert not list(stage.uploads.iterdir())
    assert len((await web.get("/api/services/blog/versions")).json()["items"]) == 1
    private = (await web.get("/api/services/blog")).json()["environments"]["private"]
    assert (private["generation"], private["state"]) == (1, "ready")


async def test_a_compressed_json_body_is_not_unpacked(web: httpx.AsyncClient) -> None:
    body = gzip.compress(b'{"name": "shop"}')
    answer = await web.post(
        "/api/projects", content=body, headers={**JSON, "content-encoding": "gzip"}
    )
    refused(answer, 400, 415, 422)


async def test_the_same_name_at_the_same_time_is_taken_once(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    asked = [
        web.post("/api/services", params={"name": "blog"}, content=b"archive") for _ in range(5)
    ]
    asked += [web.post("/api/projects", json={"name": "shop"}) for _ in range(5)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*asked))
    assert statuses == [201, 202] + [409] * 8
    assert len((await web.get("/api/services")).json()["items"]) == 1
    assert len((await web.get("/api/projects")).json()["items"]) == 1
