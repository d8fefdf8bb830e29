"""How promises were kept: whose, in which month, the worst minutes, and what happened then."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from codestore.domain.budgeting import BURNS, mark_budget
from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.events import EventKind, event_of
from codestore.domain.looks import Look, spread
from codestore.domain.promise import MINUTE, month_of
from tests.api.stage import BOB, EVE, Stage
from tests.api.test_problems import problem

NOW = datetime.now(UTC)
SINCE = month_of(NOW)
SECOND = timedelta(seconds=1)


async def include(stage: Stage, web: httpx.AsyncClient, service: str, project: str) -> Deployment:
    """Create a service and a project, and bring it to production; return that deployment."""
    await stage.create(web, service)
    if (await web.get(f"/api/projects/{project}")).status_code == 404:
        await web.post("/api/projects", json={"name": project})
    answer = await web.post(f"/api/projects/{project}/services", json={"service": service})
    assert (await stage.concluded(web, answer.json()))["succeeded"]
    where = answer.json()["document"]["environments"]["production"]
    async with stage.world.doors.store.begin() as records:
        (found,) = await records.find(Deployment, id=where["id"])
    return found


async def counted(
    stage: Stage, deployment: Deployment, minutes: Mapping[datetime, tuple[int, int]]
) -> None:
    """Let requests have come in some minutes."""
    hours = [
        hour
        for at, pair in minutes.items()
        for hour in spread(deployment.id, Tally(*pair), at, at + SECOND)
    ]
    async with stage.world.doors.store.begin() as records:
        await records.tallies.add(hours, Look(NOW, "test"), {})


async def sla(web: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await web.get("/api/sla", params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_without_production_there_is_nothing_to_keep(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    told = await sla(web)
    assert (told["services"], told["worst"]) == ([], [])
    assert told["month"] == f"{SINCE:%Y-%m}"
    assert datetime.fromisoformat(told["since"]) == SINCE
    assert NOW - SECOND < datetime.fromisoformat(told["until"]) <= datetime.now(UTC)


async def test_before_the_first_request_all_of_the_budget_is_left(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    shop = await include(stage, web, "blog", "shop")
    (told,) = (await sla(web))["services"]
    assert told == {
        "project": "shop",
        "service": "blog",
        "environment": "production",
        "deployment": shop.id,
        "promise": 0.999,
        "requests": 0,
        "failures": 0,
        "availability": None,
        "allowed": 0,
        "budget_left": 1,
        "burning": None,
    }


async def test_the_month_to_date_of_each_in_order_of_its_names(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    wiki = await include(stage, web, "wiki", "shop")
    blog = await include(stage, web, "blog", "shop")
    other = await include(stage, web, "zoo", "app")
    before = SINCE - MINUTE
    await counted(stage, blog, {SINCE: (10_000, 5), NOW: (10_000, 0), before: (99, 99)})
    await counted(stage, wiki, {NOW: (100, 2)})
    told = await sla(web)
    assert [
        (each["project"], each["service"], each["requests"], each["failures"])
        for each in told["services"]
    ] == [("app", "zoo", 0, 0), ("shop", "blog", 20_000, 5), ("shop", "wiki", 100, 2)]
    assert told["services"][0]["deployment"] == other.id
    assert told["services"][1]["availability"] == pytest.approx(0.99975)
    assert told["services"][1]["allowed"] == pytest.approx(20)
    assert told["services"][1]["budget_left"] == pytest.approx(0.75)
    assert told["services"][2]["budget_left"] == pytest.approx(-19)
    only = await sla(web, project="app")
    assert [each["service"] for each in only["services"]] == ["zoo"]
    assert only["worst"] == []


async def test_the_worst_minutes_of_all_with_what_happened_then(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    blog = await include(stage, web, "blog", "shop")
    wiki = await include(stage, web, "wiki", "shop")
    start = month_of(NOW)
    bad = {start + n * MINUTE: (100, n) for n in range(8)}
    await counted(stage, blog, bad)
    await counted(stage, wiki, {start + n * MINUTE: (50, 5) for n in range(8)})
    at = start + 7 * MINUTE
    story = [
        (at - MINUTE - SECOND, EventKind.LIVE, "too early"),
        (at - MINUTE, EventKind.ASKED, "roll 0.0.2"),
        (at - SECOND, EventKind.STEP_STARTED, "start instance 2.0"),
        (at - SECOND, EventKind.STEP_DONE, "start instance 2.0"),
        (at, EventKind.INSTANCE_ENDED, "exit code 1"),
        (at + 59 * SECOND, EventKind.DEGRADED, "1 of 2"),
        (at + 59 * SECOND, EventKind.BUDGET_BURNING, "it burns"),
        (at + MINUTE, EventKind.RECOVERED, "too late"),
    ]
    async with stage.world.doors.store.begin() as records:
        for when, kind, text in story:
            await records.emit(event_of(blog, kind, text, when), event_of(wiki, kind, "-", when))
    told = (await sla(web))["worst"]
    assert len(told) == 10
    assert [(each["service"], each["failures"]) for each in told[:2]] == [("blog", 7), ("blog", 6)]
    assert told[0]["requests"] == 100
    assert datetime.fromisoformat(told[0]["at"]) == at
    assert [each["message"] for each in told[0]["events"]] == [
        "roll 0.0.2",
        "exit code 1",
        "1 of 2",
    ]
    assert {each["service"] for each in told[0]["events"]} == {"blog"}
    assert [each["failures"] for each in told] == sorted(
        (each["failures"] for each in told), reverse=True
    )


async def test_what_burns_is_told_with_since_when_and_why(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    blog = await include(stage, web, "blog", "shop")
    for burn, pace in ((BURNS[0], "fast"), (BURNS[2], "slowly")):
        async with stage.world.doors.store.begin() as records:
            current = await records.get(Deployment, blog.id)
            assert current is not None
            await records.put(mark_budget(current, burn, "5 of 9 failed", NOW))
        (told,) = (await sla(web))["services"]
        assert told["burning"]["pace"] == pace
        assert told["burning"]["message"] == "5 of 9 failed"
        assert datetime.fromisoformat(told["burning"]["since"]) == NOW
    (before,) = (await sla(web, month=f"{month_of(NOW, -1):%Y-%m}"))["services"]
    assert before["burning"] is None
    async with stage.world.doors.store.begin() as records:
        current = await records.get(Deployment, blog.id)
        assert current is not None
        await records.put(mark_budget(current, None, "calm", NOW))
    (told,) = (await sla(web))["services"]
    assert told["burning"] is None


async def test_a_month_that_is_over_is_told_whole(stage: Stage, web: httpx.AsyncClient) -> None:
    blog = await include(stage, web, "blog", "shop")
    month, later = month_of(NOW, -2), month_of(NOW, -1)
    await counted(stage, blog, {month: (10, 1), later - MINUTE: (20, 1), later: (500, 5)})
    told = await sla(web, month=f"{month:%Y-%m}", project="shop")
    assert told["month"] == f"{month:%Y-%m}"
    assert datetime.fromisoformat(told["until"]) == later
    (kept,) = told["services"]
    assert (kept["requests"], kept["failures"]) == (30, 2)
    assert [datetime.fromisoformat(each["at"]) for each in told["worst"]] == [
        month,
        later - MINUTE,
    ]


@pytest.mark.parametrize("month", ["2001-01", "9999-12", "yesterday", "2026-13", "\0"])
async def test_a_month_that_is_not_kept_is_refused(web: httpx.AsyncClient, month: str) -> None:
    told = problem(await web.get("/api/sla", params={"month": month}), 422)
    assert told["code"] == "bad_month"
    assert told["hint"]


@pytest.mark.parametrize("name", ["nothing", "prj-1", "", "\0", "' OR ''='"])
async def test_a_project_that_is_not_there_is_not_found(web: httpx.AsyncClient, name: str) -> None:
    answer = await web.get("/api/sla", params={"project": name})
    assert problem(answer, 404)["code"] == "project_not_found"


async def test_only_your_organization_sees_its_promises(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    blog = await include(stage, web, "blog", "shop")
    await counted(stage, blog, {NOW: (10, 10)})
    async with stage.client(EVE) as eve:
        told = await sla(eve)
        assert (told["services"], told["worst"]) == ([], [])
        id_ = (await web.get("/api/projects/shop")).json()["project"]
        for ref in ("shop", id_):
            assert (await eve.get("/api/sla", params={"project": ref})).status_code == 404
    async with stage.client(BOB) as bob:
        assert len((await sla(bob, project="shop"))["services"]) == 1


async def test_what_was_removed_is_not_told_any_more(stage: Stage, web: httpx.AsyncClient) -> None:
    blog = await include(stage, web, "blog", "shop")
    await counted(stage, blog, {NOW: (10, 10)})
    answer = await web.delete("/api/projects/shop/services/blog")
    await stage.concluded(web, answer.json())
    told = await sla(web, project="shop")
    assert (told["services"], told["worst"]) == ([], [])
