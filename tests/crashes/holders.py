"""People who ask for keys, and what they may rely on when they are answered."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from codestore.actions import keys
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.faults import Fault
from codestore.domain.keys import Client, Key
from codestore.domain.services import Project, Service
from codestore.reconcile.letting_in import end_over, let_in
from tests.crashes.opening import in_force, is_as_written, opening
from tests.crashes.stage import ADA, Stage

NAME, SHOP = "blog", "shop"
_Ask = Callable[[Coroutine[Any, Any, Any], Callable[[Any], Iterable[Deployment]]], Awaitable[None]]


@dataclass
class Holders:
    """Has people ask for keys. ``known`` are those that they had, ``newest`` the last of each.

    From ``over`` on a key opens nothing. Whoever got no answer knows nothing for sure.
    """

    stage: Stage
    ask: _Ask
    known: dict[str, set[str]] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    over: dict[str, datetime] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)

    async def rotate_key(self, whose: str, overlap: float = 0.0) -> None:
        """Replace the key of the ``service``, of the ``shop``, or of a client of it."""
        office = self.stage.office
        if whose == "service":
            work = keys.rotate_service_key(office, ADA, NAME, overlap)
        else:
            client = None if whose == "shop" else whose
            work = keys.rotate_project_key(office, ADA, SHOP, client, overlap)
        issued = await self._told(whose, work)
        if issued is not None:
            self._end(whose, self.stage.world.clock.at + timedelta(seconds=overlap))
            self._shown(whose, issued.key.reveal())

    async def add_client(self, email: str) -> None:
        issued = await self._told(email, keys.add_client(self.stage.office, ADA, SHOP, email))
        if issued is not None:
            self._shown(email, issued.key.reveal())

    async def remove_client(self, email: str) -> None:
        work = keys.remove_client(self.stage.office, ADA, SHOP, email)
        if await self._told(email, work) is not None:
            self._end(email, self.stage.world.clock.at)

    async def end_keys(self) -> None:
        """End keys whose time is over, as the control process does every few seconds."""
        with suppress(Fault):  # the gateway is behind: it is tried again
            await end_over(self.stage.world.doors)

    def _shown(self, whose: str, key: str) -> None:
        nouns = self.stage.ledger.nouns.values()
        (noun,) = (each for each in nouns if isinstance(each, Key) and each.sealed == key)
        self.scopes[key] = noun.scope
        self.known[whose].add(key)
        self.newest[whose] = key

    def _held(self, whose: str) -> set[str]:
        """Return the keys that somebody has."""
        nouns = list(self.stage.ledger.nouns.values())
        owner = NAME if whose == "service" else SHOP
        scopes = {n.id for n in nouns if isinstance(n, Service | Project) and n.name == owner}
        client = {n.id for n in nouns if isinstance(n, Client) and n.email == whose}
        client |= {""} if whose in ("service", "shop") else set()
        keys = (n for n in nouns if isinstance(n, Key))
        return {key.sealed for key in keys if key.scope in scopes and key.client in client}

    def _end(self, whose: str, until: datetime) -> None:
        for key in self.known.get(whose, ()):
            self.over[key] = min(self.over.get(key, until), until)

    async def _told(self, whose: str, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what somebody was answered, as the API does: when the gateway knows."""
        self.newest.pop(whose, None)
        self.known.setdefault(whose, set()).update(self._held(whose))
        answers: list[Any] = []

        def read(accepted: Any) -> Iterable[Deployment]:
            answers.append(accepted)
            return ()

        await self.ask(work, read)
        for answer in answers:
            deployments = answer[1] if isinstance(answer, tuple) else answer.deployments
            if await self._let_in(deployments):
                return answer
        return None

    async def _let_in(self, deployments: Iterable[Deployment]) -> bool:
        """Have the gateway know; tell whether it does. Whoever would have to wait hangs up."""
        doors, fuse, promises = self.stage.world.doors, self.stage.fuse, self.stage.promises
        held = list(deployments)
        if any(doors.gates.of(each.hash).locked() for each in held):
            promises.owed |= {each.id for each in held}
            return False
        pending, fuse.pending = fuse.pending, None  # nobody takes a turn behind a gate
        try:
            await let_in(held, doors)
        except Fault:  # it is told that the gateway is behind, which catches up by itself
            return False
        finally:
            fuse.pending = pending
        now = self.stage.world.clock.at
        for each in held:
            route = self.stage.world.gateway.confirmed.get(each.hash)
            assert route is None or is_as_written(self.stage.ledger, each, route, now)
        return True

    def check(self) -> None:
        """What was shown last opens, what was replaced or revoked does not, for good."""
        ledger, now = self.stage.ledger, self.stage.world.clock.at
        there = {n.sealed for n in ledger.nouns.values() if isinstance(n, Key)}
        kept = [n for n in ledger.nouns.values() if isinstance(n, Key) and not n.open_at(now)]
        assert not kept, "a key whose time is over is kept"
        newest = set(self.newest.values())
        for held in ledger.deployments.values():
            opened = opening(self.stage.world.gateway.routes[held.hash])
            if held.kind is Kind.DEMO:
                assert not opened
                continue
            assert opened == in_force(ledger, held, now), "other keys than are written open"
            ended = {key for key, until in self.over.items() if until <= now}
            assert not opened & ended, "a key that was revoked opens"
            scope = held.project or held.service
            mine = {key for key in newest if self.scopes[key] == scope}
            clients = {key for key in mine if key.startswith("cs_cli_")}
            assert mine - clients <= opened, "a key that was given does not open"
            assert held.kind is not Kind.PRODUCTION or clients <= opened, "a client is shut out"
        lost = {key for key in newest - there if self.scopes[key] in ledger.nouns}
        assert not lost, "a key that was given is lost"
