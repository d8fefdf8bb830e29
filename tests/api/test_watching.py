"""Streams: a wait ends with ``end``, and ``end`` tells the truth whenever it is asked for."""

import asyncio
import contextlib
from typing import Any

import httpx
import pytest

from codestore.actions import queries
from codestore.domain.deployments import Deployment
from codestore.domain.events import EventKind, event_of
from tests.api.stage import Stage, messages_of

PUSH = "/api/services/blog/versions"


async def breaks(stage: Stage, web: httpx.AsyncClient) -> dict[str, Any]:
    """Push a version that cannot be built; return the change that was accepted."""
    stage.world.builder.unbuildable.add("digest1")
    answer = await web.post(PUSH, content=b"archive")
    assert answer.status_code == 202, answer.text
    change: dict[str, Any] = answer.json()
    return change


async def failed_already(web: httpx.AsyncClient, change: dict[str, Any]) -> None:
    """Return when the platform says that nothing is under way any more."""
    async with asyncio.timeout(10):
        while (await web.get("/api/services/blog")).json()["environments"]["private"][
            "state"
        ] == "deploying":
            await asyncio.sleep(0)
        for _ in range(50):  # the turns after the last one that is told of
            await asyncio.sleep(0)


def query(change: dict[str, Any]) -> dict[str, list[str]]:
    return {"wait": [f"{wait['deployment']}:{wait['generation']}" for wait in change["waits"]]}


async def test_a_wait_tells_the_steps_and_ends_with_end(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    answer = await web.post("/api/services", params={"name": "blog"}, content=b"archive")
    watched = await web.get("/api/watch", params=query(answer.json()))
    assert watched.headers["content-type"].startswith("text/event-stream")
    kinds = [kind for kind, _ in messages_of(watched.text)]
    assert kinds.count("end") == 1
    assert kinds[-1] == "end"
    messages = [message for kind, message in messages_of(watched.text) if kind == "event"]
    numbers = [message["sequence"] for message in messages]
    assert numbers == sorted(set(numbers))
    assert {message["kind"] for message in messages} >= {"asked", "step_done", "live"}
    _, end = messages_of(watched.text)[-1]
    assert end["succeeded"] is True
    states = {held["state"] for held in end["deployments"].values()}
    assert states == {"ready"}


async def test_a_wait_goes_on_after_the_last_event_that_was_seen(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    answer = await web.post("/api/services", params={"name": "blog"}, content=b"archive")
    first = messages_of((await web.get("/api/watch", params=query(answer.json()))).text)
    middle = first[len(first) // 2][1]["sequence"]
    again = await web.get(
        "/api/watch", params=query(answer.json()), headers={"last-event-id": str(middle)}
    )
    rest = [m["sequence"] for kind, m in messages_of(again.text) if kind == "event"]
    seen = [m["sequence"] for kind, m in first if kind == "event"]
    assert rest == [number for number in seen if number > middle]
    assert messages_of(again.text)[-1][0] == "end"


async def test_the_steps_of_a_change_are_told_however_much_has_happened_before(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    private = (await web.get("/api/services/blog")).json()["environments"]["private"]["id"]
    async with stage.doors.store.begin() as records:
        held = await records.get(Deployment, private)
        assert held is not None
        past = (event_of(held, EventKind.ASKED, f"once, {n}", held.created_at) for n in range(700))
        await records.emit(*past)
    answer = await web.post("/api/services/blog/versions", content=b"archive")
    await stage.concluded(web, answer.json())
    watched = messages_of((await web.get("/api/watch", params=query(answer.json()))).text)
    told = [message["kind"] for kind, message in watched if kind == "event"]
    assert told[0] == "asked"
    assert {"step_started", "step_done", "live"} <= set(told)


async def test_a_failed_change_is_no_success_for_whoever_asks_later(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    """A watcher may come late: ``--detach``, or a stream that broke just then."""
    await stage.create(web, "blog")
    change = await breaks(stage, web)
    await failed_already(web, change)
    end = await stage.concluded(web, change)
    assert end["succeeded"] is False
    assert [problem["code"] for problem in end["problems"]] == ["build_failed"]
    (held,) = end["deployments"].values()
    assert (held["version"], held["state"]) == ("0.0.1", "ready")


async def test_the_failure_of_the_last_change_stays_to_be_seen(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    await failed_already(web, await breaks(stage, web))
    private = (await web.get("/api/services/blog")).json()["environments"]["private"]
    assert (private["version"], private["state"]) == ("0.0.1", "ready")
    assert private["failure"]["code"] == "build_failed"


async def test_one_of_several_that_fails_fails_the_whole(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    """Success is told only when every environment has it."""
    await stage.create(web, "blog")
    await web.post("/api/projects", json={"name": "shop"})
    stage.world.driver.unhealthy.add("digest0")  # it was well until now
    answer = await web.post("/api/projects/shop/services", json={"service": "blog"})
    end = await stage.concluded(web, answer.json())
    assert end["succeeded"] is False
    assert {problem["code"] for problem in end["problems"]} == {"unhealthy"}
    assert {held["state"] for held in end["deployments"].values()} == {"failed"}


async def test_a_removal_that_is_waited_for_ends_when_it_is_gone(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    answer = await web.delete("/api/services/blog")
    end = await stage.concluded(web, answer.json())
    assert end == {"succeeded": True, "deployments": {}, "problems": []}
    assert (await web.get("/api/services/blog")).status_code == 404


@pytest.mark.parametrize(
    ("wait", "status"),
    [
        ("dep-x", 422),
        ("dep-x:", 422),
        ("dep-x:-1", 422),
        ("dep-x:1e3", 422),
        ("dep-x:٣", 422),
        ("dep-x:99999999999999999999", 422),
        ("dep-x:1", 404),
        ("\0:1", 404),
    ],
)
async def test_what_cannot_be_waited_for_is_refused_before_the_stream(
    web: httpx.AsyncClient, wait: str, status: int
) -> None:
    answer = await web.get("/api/watch", params={"wait": wait})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_too_many_waits_are_refused(web: httpx.AsyncClient) -> None:
    answer = await web.get("/api/watch", params={"wait": ["dep-x:1"] * 51})
    assert answer.status_code == 422


async def test_a_watcher_who_leaves_is_forgotten(stage: Stage, web: httpx.AsyncClient) -> None:
    made = await stage.create(web, "blog")
    bulletin = stage.app.state.desk.bulletin
    private = made["environments"]["private"]
    ask = web.get("/api/watch", params={"wait": f"{private['id']}:{private['generation'] + 1}"})
    watching = asyncio.create_task(ask)
    async with asyncio.timeout(10):
        while not bulletin._waiting:
            await asyncio.sleep(0)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert not bulletin._waiting


async def test_a_plan_leaves_out_what_goes_while_it_is_made(
    stage: Stage, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await web.post("/api/services", params={"name": "blog"}, content=b"archive")
    gone, left = (wait["deployment"] for wait in created.json()["waits"])
    select = queries.select

    async def late(*asked: Any) -> list[queries.Seen]:
        found = await select(*asked)
        async with stage.world.doors.store.begin() as records:
            held = await records.get(Deployment, gone)
            if held is not None:
                await records.remove(held)
        return found

    monkeypatch.setattr(queries, "select", late)
    answer = await web.get("/api/plan")
    assert answer.status_code == 200
    assert [plan["deployment"] for plan in answer.json()["items"]] == [left]
