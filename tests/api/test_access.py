"""Who may ask what: nobody without a token, nobody across organizations, only owners change."""

import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from codestore.api.acts import PUBLIC
from tests.api.stage import BOB, EVE, Stage


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return every method and path that wants a token, with names put in."""
    return [
        (method.upper(), re.sub(r"\{\w+\}", "blog", path))
        for path, methods in document["paths"].items()
        for method in methods
        if (method.upper(), path) not in PUBLIC
    ]


async def test_the_documentation_answers_without_a_token(stage: Stage) -> None:
    async with stage.client(None) as nobody:
        page, document = await nobody.get("/docs"), await nobody.get("/openapi.json")
    assert page.status_code == document.status_code == 200
    assert "openapi.json" in page.text
    assert document.json()["info"]["title"] == "codestore"
    assert len(document.json()["paths"]) > 15


@pytest.mark.parametrize("token", [None, "", "wrong", "cs_tok_adaa", "é", "a" * 5000, "\0"])
async def test_every_path_wants_a_token(stage: Stage, token: str | None) -> None:
    async with stage.client(None) as nobody:
        found = operations((await nobody.get("/openapi.json")).json())
        assert len(found) > 20
        assert all(path.startswith("/api/") or path == "/metrics" for _, path in found)
        for method, path in found:
            headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
            answer = await nobody.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["code"] == "unauthenticated"


async def test_a_stranger_learns_nothing_of_what_is_expected(stage: Stage) -> None:
    async with stage.client(None) as nobody:
        answer = await nobody.post("/api/projects", json={"nonsense": 1})
    assert answer.status_code == 401


async def test_other_schemes_are_no_tokens(stage: Stage) -> None:
    async with stage.client(None) as nobody:
        for value in ("Basic YWRhOmFkYQ==", "cs_tok_ada", "Token cs_tok_ada", "Bearer"):
            answer = await nobody.get("/api/whoami", headers={"authorization": value})
            assert answer.status_code == 401
        answer = await nobody.get("/api/whoami?token=cs_tok_ada")
        assert answer.status_code == 401


@dataclass(frozen=True)
class Theirs:
    """What another organization has: a service in a project, by the ids of each."""

    service: str
    project: str
    deployment: str


@pytest.fixture
async def theirs(stage: Stage, web: httpx.AsyncClient) -> Theirs:
    blog = await stage.create(web, "blog")
    project = (await web.post("/api/projects", json={"name": "shop"})).json()
    change = (await web.post("/api/projects/shop/services", json={"service": "blog"})).json()
    assert (await stage.concluded(web, change))["succeeded"]
    return Theirs(blog["service"], project["project"], blog["environments"]["private"]["id"])


@pytest.mark.usefixtures("theirs")
async def test_nothing_of_another_organization_is_in_a_list(stage: Stage) -> None:
    async with stage.client(EVE) as eve:
        for path in ("services", "projects", "environments", "events", "logs", "plan"):
            answer = await eve.get(f"/api/{path}")
            assert answer.status_code == 200
            assert answer.json()["items"] == [], path
        figures = (await eve.get("/metrics")).text
    assert "blog" not in figures
    assert "shop" not in figures


async def test_what_another_organization_has_does_not_exist_by_name_nor_by_id(
    stage: Stage, theirs: Theirs
) -> None:
    hidden = [
        ("GET", f"/api/deployments/{theirs.deployment}"),
        ("GET", f"/api/watch?wait={theirs.deployment}:1"),
        ("GET", "/api/events/stream?service=blog"),
        ("GET", "/api/logs/stream?service=blog"),
        ("GET", "/api/events?project=shop"),
    ]
    for ref in ("blog", theirs.service):
        hidden += [
            ("GET", f"/api/services/{ref}"),
            ("GET", f"/api/services/{ref}/versions"),
            ("GET", f"/api/services/{ref}/source"),
            ("GET", f"/api/environments/{ref}/private"),
            ("POST", f"/api/services/{ref}/versions"),
            ("POST", f"/api/services/{ref}/promote"),
            ("DELETE", f"/api/services/{ref}"),
            ("GET", f"/api/logs?service={ref}"),
            ("GET", f"/api/plan?service={ref}"),
        ]
    for ref in ("shop", theirs.project):
        hidden += [
            ("GET", f"/api/projects/{ref}"),
            ("DELETE", f"/api/projects/{ref}"),
            ("GET", f"/api/projects/{ref}/services"),
            ("GET", f"/api/projects/{ref}/services/blog"),
            ("DELETE", f"/api/projects/{ref}/services/blog"),
            ("GET", f"/api/environments/{ref}/production"),
        ]
    async with stage.client(EVE) as eve:
        for method, path in hidden:
            answer = await eve.request(method, path)
            assert answer.status_code == 404, (method, path, answer.text)
            other = await eve.request(method, path.replace("blog", "blag").replace("shop", "shap"))
            assert other.status_code == 404  # nothing tells what is there from what is not


async def test_what_another_organization_has_cannot_be_touched(
    stage: Stage, web: httpx.AsyncClient, theirs: Theirs
) -> None:
    back = {"environment": "production", "version": "0.0.1"}
    async with stage.client(EVE) as eve:
        for path, body in (
            ("services/blog/roll", back | {"environment": "private"}),
            ("projects/shop/services", {"service": "blog"}),
            ("projects/shop/services/blog/promote", {"to": "staging"}),
            ("projects/shop/services/blog/roll", back),
        ):
            assert (await eve.post(f"/api/{path}", json=body)).status_code == 404
        own = await eve.post("/api/projects", json={"name": "shop"})
        assert own.status_code == 201  # names are taken within an organization only
        stolen = await eve.post("/api/projects/shop/services", json={"service": theirs.service})
        assert stolen.status_code == 404
    after = (await web.get("/api/services/blog")).json()
    assert after["environments"]["private"]["generation"] == 1


async def test_a_list_of_another_organization_cannot_be_started_in_the_middle(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    blog = await stage.create(web, "blog")
    async with stage.client(EVE) as eve:
        answer = await eve.get("/api/services", params={"after": blog["service"]})
    assert answer.json().get("items", []) == []


async def test_a_colleague_sees_but_has_no_key_and_changes_nothing(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    blog = await stage.create(web, "blog")
    assert blog["environments"]["private"]["key"].startswith("cs_dev_")
    assert blog["environments"]["demo"]["key"] is None
    async with stage.client(BOB) as bob:
        seen = (await bob.get("/api/services/blog")).json()
        assert seen["environments"]["private"]["key"] is None
        for method, path in (
            ("POST", "versions"),
            ("POST", "promote"),
            ("DELETE", ""),
            ("GET", "source"),
        ):
            answer = await bob.request(method, f"/api/services/blog/{path}".rstrip("/"))
            assert answer.status_code == 403, path
            assert answer.json()["code"] == "not_owner"
        roll = {"environment": "demo", "version": "0.0.1"}
        assert (await bob.post("/api/services/blog/roll", json=roll)).status_code == 403
        project = await web.post("/api/projects", json={"name": "shop"})
        assert project.json()["developer_key"].startswith("cs_dev_")
        assert (await bob.get("/api/projects/shop")).json()["developer_key"] is None
        taken = await bob.post("/api/services", params={"name": "blog"}, content=b"archive")
        assert (taken.status_code, taken.json()["code"]) == (409, "service_exists")


async def test_nobodys_key_or_token_is_in_any_answer_to_a_colleague(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    blog = await stage.create(web, "blog")
    key = blog["environments"]["private"]["key"]
    async with stage.client(BOB) as bob:
        for path in ("services", "services/blog", "environments/blog/private", "events", "plan"):
            text = (await bob.get(f"/api/{path}")).text
            assert key not in text
            assert "cs_tok_" not in text
