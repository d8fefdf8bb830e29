"""What another organization has does not exist: same answer, same work, whatever is asked.

Each route of the OpenAPI document is tried with the ids and names of what another organization
has, and with ones that nobody has. Answers must be equal but for what was asked for, and so must
the statements that the store was given: who measures time learns nothing either.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from codestore.store.postgres import PostgresStore
from tests.api.shop import Shop
from tests.api.stage import EVE, Stage, opened
from tests.support.postgres import RunningServer, postgres_server

__all__ = ["postgres_server"]
BODIES: dict[str, dict[str, Any]] = {
    "Inclusion": {"service": "{service}"},
    "Promotion": {"to": "staging"},
    "Roll": {"environment": "{kind}", "version": "0.0.1"},
    "NewHold": {"reason": "a fair"},
    "NewRole": {"role": "viewer"},
    "NewClient": {"email": "mine@example.org"},
    "Rotation": {"overlap": 0},
    "NewSecret": {"key": "A", "value": "x", "service": "{service}"},
    "NewProject": {"name": "mine"},
    "NewToken": {"label": "mine"},
    "NewUser": {"name": "mine"},
    "NewPassword": {"password": "a sentence of mine"},
    "NewOrganization": {"name": "mine", "owner": "mine"},
}
NOT_ABOUT_THINGS = {  # of oneself alone: nothing of anybody's can be named
    "/api/login",
    "/api/login/device",
    "/api/login/device/token",
    "/api/logout",
    "/api/password",
    "/api/whoami",
    "/api/status",
    "/api/organizations",
    "/api/audit/verification",
    "/api/secrets/rekey",
    "/metrics",
}
CURSORS = ("svc", "prj", "env", "ver", "tok", "usr")


@dataclass(frozen=True)
class Things:
    """What can be named: ``refs`` in paths, ``ids`` by kind in lists."""

    service: tuple[str, str]
    project: tuple[str, str]
    deployment: str
    user: tuple[str, str]
    token: str
    ids: dict[str, str]


@dataclass
class Work:
    """What the store was given to do, and what was answered."""

    statements: list[str] = field(default_factory=list)
    answer: tuple[int, str] = (0, "")


@pytest.fixture
async def stage(tmp_path: Path, postgres_server: RunningServer) -> AsyncIterator[Stage]:
    name = "foreign_" + re.sub(r"\W", "_", tmp_path.name.lower())
    store = await PostgresStore.open(postgres_server.database(name))
    async with opened(tmp_path, store) as made:
        yield made
    await store.close()


async def things(stage: Stage, web: httpx.AsyncClient) -> Things:
    """Return what Ada's organization has: some of everything."""
    shop = await Shop(stage, web).open()
    await shop.done(await web.post("/api/services/blog/versions", content=b"archive"))
    service = (await web.get("/api/services/blog")).json()
    project = (await web.get("/api/projects/shop")).json()
    token = (await web.post("/api/tokens", json={"label": "ci"})).json()["id"]
    user = (await web.get("/api/users")).json()["items"][1]
    environment = (await web.get("/api/environments")).json()["items"][0]["id"]
    deployment = project["environments"]["production"]["services"][service["service"]]["id"]
    return Things(
        (service["service"], "blog"),
        (project["project"], "shop"),
        deployment,
        (user["id"], user["name"]),
        token,
        {
            "svc": service["service"],
            "prj": project["project"],
            "env": environment,
            "tok": token,
            "usr": user["id"],
        },
    )


def nothing_like(there: Things) -> Things:
    """Return names and ids of the same form that nobody has."""
    gone = {kind: f"{kind}-{'0' * 12}" for kind in there.ids}
    return Things(
        (gone["svc"], "nope"),
        (gone["prj"], "nuxx"),
        "dep-" + "0" * 12,
        (gone["usr"], "zed"),
        gone["tok"],
        gone,
    )


def questions(document: dict[str, Any], held: Things) -> Iterator[tuple[str, str, Any]]:
    """Yield a request for each route and each way to name what is held."""
    for path, methods in document["paths"].items():
        if path in NOT_ABOUT_THINGS:
            continue
        for method, operation in methods.items():
            for place, query in ways(path, operation, held):
                yield method.upper(), place + query, body_of(operation, held)


def ways(path: str, operation: dict[str, Any], held: Things) -> Iterator[tuple[str, str]]:
    """Yield paths with names put in, and queries."""
    for which in (0, 1):
        for kind in ("private", "demo", "production"):
            owner = held.project if kind == "production" else held.service
            words = {
                "key": "KEY",
                "client": "cli-x",
                "name": kind,
                "service": held.service[which],
                "owner": owner[which],
            }
            words["ref"] = held.service[which] if "services/" in path else held.project[which]
            words["id_"] = held.token if "tokens" in path else held.deployment
            if "users" in path:
                words["ref"] = held.user[which]
            if "projects" in path:
                words["ref"] = held.project[which]
            place = path.format_map(words)
            for query in queries(operation, held, which):
                yield place, query
            if "{name}" not in path:
                break
        if "{" not in path and which:
            break


def queries(operation: dict[str, Any], held: Things, which: int) -> Iterator[str]:
    """Yield queries by which a route can be asked about what is held."""
    named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    yield "?name=mine" if {"name", "notes"} <= named else ""
    if "service" in named:
        yield f"?service={held.service[which]}"
        yield f"?service={held.service[which]}&environment=private"
    if "project" in named:
        yield f"?project={held.project[which]}"
    if "wait" in named:
        yield f"?wait={held.deployment}:1"
    if "heir" in named:
        yield f"?heir={held.user[which]}"
    if {"after", "limit"} <= named and "service" not in named:
        yield from (f"?after={id_}" for id_ in held.ids.values())


def body_of(operation: dict[str, Any], held: Things) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    shape = content["schema"]["$ref"].rpartition("/")[2]
    words = {"service": held.service[0], "kind": "production"}
    return {
        name: value.format_map(words) if isinstance(value, str) else value
        for name, value in BODIES[shape].items()
    }


@contextmanager
def noted(store: Any, work: Work) -> Iterator[None]:
    """Note every statement that the store is given meanwhile."""

    def note(*given: Any) -> None:
        work.statements.append(str(given[2]))

    engine = store._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)


def blind(text: str, held: Things) -> str:
    """Return an answer without what was asked for, and without what differs each time."""
    names = (*held.service, *held.project, held.deployment, *held.user, held.token)
    for name in sorted({*names, *held.ids.values()}, key=len, reverse=True):
        text = text.replace(name, "X")
    text = re.sub(r"\b(tok|prj|usr|svc|env|dep)-[0-9a-f]{12}\b", "fresh", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)|[0-9a-f]{24,}", "fresh", text)


async def ask(stage: Stage, eve: httpx.AsyncClient, question: Any, held: Things) -> Work:
    method, place, body = question
    work = Work()
    if method == "POST" and place.startswith("/api/services?"):
        place = place.replace("name=mine", "name=Not-A-Name")
    with noted(stage.world.doors.store, work):
        given: dict[str, Any] = {"content": b"archive"} if body is None else {"json": body}
        answer = await eve.request(method, place, **(given if method in ("POST", "PUT") else {}))
    work.answer = answer.status_code, blind(answer.text, held)
    if method != "GET" and answer.is_success:
        await undone(eve)
    return work


@pytest.mark.timeout(400)  # some hundred requests on a real database
async def test_nothing_tells_what_another_organization_has_from_what_nobody_has(
    stage: Stage,
) -> None:
    async with stage.client() as web, stage.client(EVE) as eve:
        there = await things(stage, web)
        document = (await web.get("/openapi.json")).json()
        gone = nothing_like(there)
        pairs = list(zip(questions(document, there), questions(document, gone), strict=True))
        assert len(pairs) > 80
        await stage.quiet()
        for foreign, absent in pairs:
            if foreign == absent:  # it names nothing
                continue
            one = await ask(stage, eve, foreign, there)
            other = await ask(stage, eve, absent, gone)
            assert one.answer == other.answer, foreign
            assert one.statements == other.statements, foreign
            assert one.answer[0] != 403, foreign


async def undone(eve: httpx.AsyncClient) -> None:
    """Take back what Eve may do in her own organization, so that the next try is the same."""
    await eve.delete("/api/projects/mine")
    await eve.delete("/api/users/mine")
    for token in (await eve.get("/api/tokens")).json()["items"][1:]:
        await eve.delete(f"/api/tokens/{token['id']}")


async def test_every_route_names_what_it_is_about(stage: Stage) -> None:
    """So that a new route is tried above, or is told not to be about anything."""
    document = stage.app.openapi()
    held = Things(("a", "b"), ("c", "d"), "e", ("f", "g"), "h", {"svc": "i"})
    tried = {path for _, path, _ in questions(document, held)}
    for path, kind in product(document["paths"], ("x",)):
        if path not in NOT_ABOUT_THINGS:
            shape = re.sub(r"\{\w+\}", r"[^/]+", path)
            assert any(re.fullmatch(shape + r"(\?.*)?", each) for each in tried), (path, kind)
