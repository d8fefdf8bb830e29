"""Lists come in pages: limit, after, next."""

from typing import Any

import httpx
import pytest

from tests.api.stage import Stage

NAMES = [f"service-{number}" for number in "53142"]


async def walk(web: httpx.AsyncClient, path: str, limit: int) -> list[dict[str, Any]]:
    """Return a whole list, page by page; no page may be longer than asked for."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    for _ in range(100):
        query = {"limit": limit} | ({} if after is None else {"after": after})
        answer = await web.get(path, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        assert page["next"] != after
        after = page["next"]
    raise AssertionError("the list never ends")


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 500])
async def test_services_and_projects_in_pages_of_any_size(
    stage: Stage, web: httpx.AsyncClient, limit: int
) -> None:
    for name in NAMES:
        await stage.create(web, name)
        assert (await web.post("/api/projects", json={"name": name})).status_code == 201
    for path in ("/api/services", "/api/projects"):
        assert [held["name"] for held in await walk(web, path, limit)] == NAMES
    environments = await walk(web, "/api/environments", limit)
    assert len(environments) == len(NAMES) * 5
    assert len({held["id"] for held in environments}) == len(environments)


async def test_what_is_in_a_project_comes_by_name(stage: Stage, web: httpx.AsyncClient) -> None:
    await web.post("/api/projects", json={"name": "shop"})
    for name in NAMES:
        await stage.create(web, name)
        answer = await web.post("/api/projects/shop/services", json={"service": name})
        assert (await stage.concluded(web, answer.json()))["succeeded"]
    for limit in (1, 2, 5, 7):
        found = await walk(web, "/api/projects/shop/services", limit)
        assert [held["name"] for held in found] == sorted(NAMES)
        assert all(len(held["environments"]) == 3 for held in found)


async def test_versions_and_events_in_pages(stage: Stage, web: httpx.AsyncClient) -> None:
    await stage.create(web, "blog")
    for _ in range(4):
        answer = await web.post("/api/services/blog/versions", content=b"archive")
        assert (await stage.concluded(web, answer.json()))["succeeded"]
    for limit in (1, 3, 5):
        found = await walk(web, "/api/services/blog/versions", limit)
        assert [held["version"] for held in found] == [f"0.0.{n}" for n in range(1, 6)]
    newest = (await web.get("/api/events?service=blog&limit=7")).json()["items"]
    every: list[dict[str, Any]] = []
    while page := (
        await web.get(
            "/api/events",
            params={
                "service": "blog",
                "limit": 7,
                "after": every[-1]["sequence"] if every else 0,
            },
        )
    ).json()["items"]:
        every += page
    numbers = [event["sequence"] for event in every]
    assert numbers == sorted(set(numbers))
    assert every[-7:] == newest


async def test_a_page_after_something_that_is_gone_says_so(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    """Rather than starting again from the beginning, for ever."""
    made = [await stage.create(web, name) for name in NAMES[:3]]
    answer = await web.delete(f"/api/services/{NAMES[1]}")
    assert (await stage.concluded(web, answer.json()))["succeeded"]
    lost = await web.get("/api/services", params={"after": made[1]["service"]})
    assert (lost.status_code, lost.json()["code"]) == (422, "page_lost")


async def test_a_page_of_a_project_after_something_that_is_gone_says_so(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await web.post("/api/projects", json={"name": "shop"})
    lost = await web.get("/api/projects/shop/services", params={"after": "svc-gone"})
    assert (lost.status_code, lost.json()["code"]) == (422, "page_lost")
