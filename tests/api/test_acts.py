"""Every route is an act, and every act has a least role that the API holds to."""

import re

import httpx
import pytest
from fastapi import FastAPI

from codestore.actions.rekeying import MASTER
from codestore.api.acts import ACTS, PUBLIC
from codestore.domain.roles import LEAST, OF_THE_PLATFORM, Role
from tests.api.stage import ADA, BOB, OPAL, VIC, Stage


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Return what the documentation tells of: every method and path."""
    return {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


async def test_every_route_has_an_act_and_every_act_a_role(stage: Stage) -> None:
    assert routes(stage.app) == set(ACTS) | PUBLIC
    assert not PUBLIC & set(ACTS)
    assert {*ACTS.values(), MASTER} == set(LEAST)  # the one act that is an option of another


@pytest.mark.parametrize(("name", "role"), [(VIC, Role.VIEWER), (BOB, Role.MAKER)])
async def test_a_role_is_refused_what_is_above_it_before_anything_is_looked_at(
    stage: Stage, name: str, role: Role
) -> None:
    rank = [Role.VIEWER, Role.MAKER, Role.OWNER]
    async with stage.client(name) as client:
        for (method, path), act in ACTS.items():
            if rank.index(LEAST[act]) <= rank.index(role):
                continue
            answer = await client.request(method, re.sub(r"\{\w+\}", "nothing", path))
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), path


async def test_a_viewer_asks_every_question(stage: Stage, web: httpx.AsyncClient) -> None:
    await stage.create(web, "blog")
    async with stage.client(VIC) as vic:
        for path in ("whoami", "status", "services", "services/blog", "projects", "environments"):
            assert (await vic.get(f"/api/{path}")).status_code == 200, path
        for path in ("events", "logs", "plan"):
            answer = await vic.get(
                f"/api/{path}", params={"service": "blog", "environment": "demo"}
            )
            assert answer.status_code == 200, path


async def test_what_is_about_every_organization_is_refused_to_owners_of_others(
    stage: Stage,
) -> None:
    for (method, path), act in ACTS.items():
        if act not in OF_THE_PLATFORM:
            continue
        async with stage.client(ADA) as ada, stage.client(OPAL) as opal:
            assert (await ada.request(method, path)).status_code == 403
            assert (await opal.request(method, path)).status_code in (200, 422)


async def test_a_private_environment_is_its_owners_alone(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    """Also before colleagues, and before an owner of the organization."""
    async with stage.client(BOB) as bob:
        blog = await stage.create(bob, "blog")
        mine = (await bob.get("/api/environments/blog/private")).json()["deployments"][0]
    assert mine["url"]
    assert mine["key"]
    private = blog["environments"]["private"]["id"]
    for path in ("services/blog", f"deployments/{private}", "environments/blog/private"):
        answer = await web.get(f"/api/{path}")
        assert answer.status_code == 200, path
        for hidden in (mine["url"], mine["key"], mine["database"]):
            assert hidden not in answer.text, path
    seen = (await web.get(f"/api/deployments/{private}")).json()
    assert seen["state"] == "ready"
    assert [seen[name] for name in ("url", "key", "database", "failure", "reason")] == [None] * 5
    only = {"service": "blog", "environment": "private"}
    for path in ("logs", "logs/stream", "events", "events/stream", "plan"):
        answer = await web.get(f"/api/{path}", params=only)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_owner"), path
    for path in ("services/blog/source", "environments/blog/private/services/blog/rollout"):
        assert (await web.get(f"/api/{path}")).json()["code"] == "not_owner", path
    watched = await web.get("/api/watch", params={"wait": f"{private}:1"})
    assert watched.json()["code"] == "not_owner"
    for path in ("logs", "events", "plan"):
        told = (await web.get(f"/api/{path}", params={"service": "blog"})).json()["items"]
        assert {item["environment"] for item in told} <= {"demo"}, path
