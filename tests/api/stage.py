"""The API on a world in memory: the real loop, the real actions, nothing behind the doors."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from codestore.actions.office import Office
from codestore.actions.waiting import Bulletin
from codestore.api.app import create_app
from codestore.api.desk import Desk
from codestore.clock import SystemClock
from codestore.domain.canary import Trial
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.people import Organization, Token, token_digest
from codestore.domain.roles import HOME, Role
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.ports import Noun, Store
from codestore.reconcile.doors import Doors
from codestore.reconcile.letting_in import let_in
from codestore.reconcile.loop import Loop
from codestore.reconcile.verifying import Verifier
from codestore.store.memory import MemoryStore
from codestore.wire.status import Processes, StatusView
from codestore.wiring.telling import next_plan
from tests.support.fakes import World, make_world

# Ada, Bob and Vic are colleagues, Eve works elsewhere, Opal runs the platform.
ADA, BOB, VIC, EVE, OPAL = "ada", "bob", "vic", "eve", "opal"
HOMES = {ADA: "engines", BOB: "engines", VIC: "engines", EVE: "elsewhere", OPAL: HOME}
ROLES = {
    ADA: Role.OWNER,
    BOB: Role.MAKER,
    VIC: Role.VIEWER,
    EVE: Role.OWNER,
    OPAL: Role.OWNER,
}


def token_of(name: str) -> str:
    return f"cs_tok_{name}"


@dataclass
class Stage:
    """The application, its world, and a way to ask it as somebody."""

    app: FastAPI
    world: World
    uploads: Path
    doors: Doors
    running: list[asyncio.Task[None]]

    async def quiet(self) -> None:
        """End what runs beside the requests."""
        for task in self.running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def client(self, name: str | None = ADA) -> httpx.AsyncClient:
        """Return a client of a person's, or of nobody's."""
        headers = {"authorization": f"Bearer {token_of(name)}"} if name else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport, base_url="http://platform", headers=headers, timeout=20
        )

    async def concluded(self, web: httpx.AsyncClient, change: dict[str, Any]) -> dict[str, Any]:
        """Wait until a change has ended; return how."""
        waits = [f"{wait['deployment']}:{wait['generation']}" for wait in change["waits"]]
        answer = await web.get("/api/watch", params={"wait": waits})
        messages = messages_of(answer.text)
        kind, conclusion = messages[-1]
        assert kind == "end", messages
        return conclusion

    async def create(self, web: httpx.AsyncClient, name: str) -> dict[str, Any]:
        """Create a service and wait until it lives."""
        answer = await web.post("/api/services", params={"name": name}, content=b"archive")
        assert answer.status_code == 202, answer.text
        conclusion = await self.concluded(web, answer.json())
        assert conclusion["succeeded"], conclusion
        return answer.json()["document"]


def messages_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the server-sent messages of a stream that has ended."""
    messages = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            messages.append((fields["event"], json.loads(fields["data"])))
    return messages


@asynccontextmanager
async def opened(uploads: Path, store: Store | None = None) -> AsyncIterator[Stage]:
    """Lend a stage whose loop runs, on a store in memory or on another one."""
    store = store or MemoryStore()
    manifest = Manifest("any", Run(RunKind.ASGI, ("app:app",)), migrate=("migrate",))
    world = make_world(store, manifest)
    clock = SystemClock()
    doors = replace(world.doors, clock=clock)
    world.driver.now = world.traffic.now = clock.now  # what is asleep here was idle today
    async with store.begin() as records:
        await records.put(*people(clock.now()))
    verifier = Verifier(doors, "0")
    desk = desk_at(doors, world, uploads, verifier)
    work = (Loop(doors).run(), desk.bulletin.run(), verifier.run())
    running = [asyncio.create_task(each) for each in work]
    app = create_app(desk, ("platform",), rate=1e6)
    made = Stage(app, world, uploads, doors, running)
    try:
        yield made
    finally:
        await made.quiet()


def people(now: datetime) -> Iterator[Noun]:
    """Yield everybody, with a token each, and where they work."""
    for name, home in HOMES.items():
        digest = token_digest(Secret(token_of(name)))
        yield User(f"usr-{name}", name, home, ROLES[name])
        yield Token(f"tok-{name}", f"usr-{name}", "test", digest, now, None)
    for home in sorted({*HOMES.values()}):
        yield Organization(home, now)


def desk_at(doors: Doors, world: World, uploads: Path, verifier: Verifier) -> Desk:
    """Return the desk as it is wired, but for a platform that has no processes."""

    async def status(user: User) -> StatusView:
        return StatusView("0", "http://platform", "/", "ready", Processes(1, 1, 1, None), {})

    async def tally_of(id_: str) -> Trial | None:
        return world.traffic.canary

    return Desk(
        office=Office(
            doors.store, doors.builder, doors.vault, doors.clock, doors.logs, doors.keyring
        ),
        bulletin=Bulletin(doors.store),
        url_of=doors.gateway.url,
        plan_of=partial(next_plan, doors),
        status=status,
        tally_of=tally_of,
        uploads=str(uploads),
        reading=world.traffic.reading,
        let_in=partial(let_in, doors=doors),
        ring=verifier.ring,
    )
