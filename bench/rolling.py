"""Two services that are rolled over and over: every answer says which version it is from.

``rest`` is an ASGI application: small answers, bodies that come back or are summed up, streams,
a WebSocket, events without end. ``graph`` is a GraphQL schema. Neither has a database. Both are in
a project; a version may ask for more instances in production than the usual two.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.common import client_of
from codestore.cli.client import path
from codestore.cli.pack import packed
from codestore.wire.asks import Inclusion, NewProject, Promotion, Roll
from tests.support.platform import Platform

PROJECT = "rolling"
REST, GRAPH = "rest", "graph"
MEGABYTES = 5
CANARY = "{steps: [20, 60, 100], hold: 2s}"
DRAIN = 30.0  # seconds, the policy of production
APP = """
import asyncio, hashlib, json

VERSION = "@VERSION@"
TOLD = [(b"x-version", VERSION.encode()), (b"cache-control", b"no-store")]
LARGE = bytes(range(256)) * 4096 * @MEGABYTES@


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await talk(receive, send)
    elif scope["type"] == "http":
        await ROUTES[scope["path"]](receive, send)


async def answer(send, body, *headers):
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*TOLD, length]})
    await send({"type": "http.response.body", "body": body})


async def bodies(receive):
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def small(receive, send):
    await answer(send, json.dumps({"version": VERSION}).encode())


async def echo(receive, send):
    await answer(send, b"".join([body async for body in bodies(receive)]))


async def digest(receive, send):
    length, found = 0, hashlib.sha256()
    async for body in bodies(receive):
        length += len(body)
        found.update(body)
    told = {"version": VERSION, "length": length, "sha256": found.hexdigest()}
    await answer(send, json.dumps(told).encode())


async def large(receive, send):
    await answer(send, LARGE)


async def piecewise(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TOLD})
    for number in range(20):
        body = f"{number}\\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"end\\n"})


async def events(receive, send):
    headers = [*TOLD, (b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    number = 0
    while True:
        body = f"data: {number}\\n\\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        number += 1
        await asyncio.sleep(0.25)


async def talk(receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": TOLD})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": f"{VERSION} {message['text']}"})


ROUTES = {"/": small, "/echo": echo, "/digest": digest, "/large": large,
          "/stream": piecewise, "/events": events}
"""
SCHEMA = """
type Query { version: String! }
type Mutation { add(left: Int!, right: Int!): Sum! }
type Sum { version: String!, sum: Int! }
"""
QUERY = "def resolve(obj, info):\n    return '@VERSION@'\n"
MUTATION = (
    "def resolve(obj, info, left, right):\n"
    "    return {'version': '@VERSION@', 'sum': left + right}\n"
)
FILES: Mapping[str, Mapping[str, str]] = {
    REST: {"app/main.py": APP},
    GRAPH: {
        "src/schema.graphql": SCHEMA,
        "src/resolvers/queries/version.py": QUERY,
        "src/resolvers/mutations/add.py": MUTATION,
    },
}
RUNS = {REST: "{asgi: 'app.main:app'}", GRAPH: "{graphql: src}"}


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a service, and how many instances it wants in production."""

    service: str
    version: str
    instances: int = 2


class Rolled(Exception):
    """A change that the platform could not carry out."""


class Shop:
    """The platform's API, as far as rolling needs it. Every change is waited for."""

    def __init__(self, platform: Platform) -> None:
        self._client = client_of(platform)
        self._home = platform.home

    def write(self, release: Release) -> Path:
        """Write the folder of a version."""
        folder = self._home / release.service
        many = f"{{min: {release.instances}, max: 5}}"
        manifest = (
            f"service: {release.service}\nversion: {release.version}\ndatabase: false\n"
            f"run: {RUNS[release.service]}\nhealth: {{timeout: 60s}}\n"
            f"environments: {{production: {{instances: {many}, canary: {CANARY}}}}}\n"
        )
        for name, text in {**FILES[release.service], "codestore.yaml": manifest}.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = text.replace("@VERSION@", release.version)
            file.write_text(text.replace("@MEGABYTES@", str(MEGABYTES)))
        return folder

    def create(self, release: Release) -> None:
        """Create a service; its first version is on demo at once."""
        with packed(self.write(release)) as archive:
            query = {"name": release.service, "notes": None}
            self.conclude(self._client.upload(path("services"), query, archive))

    def publish(self, release: Release) -> None:
        """Make another version, and put it on demo."""
        with packed(self.write(release)) as archive:
            where = path("services", release.service, "versions")
            self.conclude(self._client.upload(where, {"notes": None}, archive))
        self.conclude(self._client.post(path("services", release.service, "promote")))

    def project(self) -> None:
        self._client.post(path("projects"), NewProject(PROJECT))

    def include(self, service: str) -> Mapping[str, Any]:
        """Put a service in the project; return its place in production."""
        change = self._client.post(path("projects", PROJECT, "services"), Inclusion(service))
        self.conclude(change)
        where = path("projects", PROJECT, "services", service)
        place: Mapping[str, Any] = self._client.get(where)["environments"]["production"]
        return place

    def promote(self, service: str, to: str, *, canary: bool = False) -> None:
        """Promote whatever is in the environment before, and was perhaps left behind here."""
        where = path("projects", PROJECT, "services", service, "promote")
        self.conclude(self._client.post(where, Promotion(to, canary, force=True)))

    def free(self, service: str, environment: str) -> None:
        """Let a version move on that is held, as it is after a rollback."""
        where = ("environments", PROJECT, environment, "services", service)
        if self._client.get(path(*where, "rollout"))["deployment"]["hold"] is not None:
            self._client.delete(path(*where, "hold"))

    def begin_roll(self, release: Release, environment: str) -> Any:
        """Ask for a version in an environment; return the change that is to be waited for."""
        where = path("projects", PROJECT, "services", release.service, "roll")
        return self._client.post(where, Roll(environment, release.version))

    def roll(self, release: Release, environment: str) -> None:
        self.conclude(self.begin_roll(release, environment))

    def place(self, service: str, environment: str = "production") -> Mapping[str, Any]:
        where = path("projects", PROJECT, "services", service)
        found: Mapping[str, Any] = self._client.get(where)["environments"][environment]
        return found

    def private(self, service: str) -> str:
        """Return the deployment in the private environment of a service."""
        return str(self._client.get(path("services", service))["environments"]["private"]["id"])

    def control(self) -> int:
        """Return the process that answers; raise CommandError when none does."""
        return int(self._client.get(path("status"))["processes"]["control"])

    def conclude(self, change: Any) -> None:
        """Wait until a change is told to be live; raise Rolled when it is not to be."""
        waits = [f"{wait['deployment']}:{wait['generation']}" for wait in change["waits"]]
        for message in self._client.stream("/api/watch", {"wait": waits}):
            if message.event == "end":
                if not json.loads(message.data)["succeeded"]:
                    raise Rolled(message.data)
                return
        raise Rolled("the stream of events broke")
