"""Verifying: each deployment tries, one after the other, what its walls should keep from it.

When people ask, every night, and after another version of the platform has started. What is asked
is an intent in the store: a run that was cut off has left it there, and is made anew.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import structlog

from codestore.domain.deployments import Deployment
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import Fault
from codestore.domain.instances import View
from codestore.domain.secret import Secret
from codestore.domain.verification import (
    PLATFORM,
    Aim,
    Attempt,
    Finding,
    Progress,
    Release,
    Verdict,
    Verification,
    count,
    due_at,
    judged,
    verifiable,
)
from codestore.plan.attempts import Neighbour, answered_here, attempts, drawn
from codestore.reconcile.doors import Doors
from codestore.reconcile.executor import workload_of
from codestore.reconcile.subject import Subject, database_password, read_subject

EVERY = 60.0  # seconds between two looks for what is due, if nobody rings
TIMEOUT = 120.0  # seconds for all attempts of a deployment
log = structlog.get_logger(__name__)


class Verifier:
    """Verifies what is due, one deployment at a time; ``version`` is the platform's."""

    def __init__(self, doors: Doors, version: str) -> None:
        self._doors = doors
        self._version = version
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Have it look at once: somebody has asked."""
        self._bell.set()

    async def run(self) -> None:
        """Verify until cancelled; what cannot be done now is done at the next look."""
        while True:
            self._bell.clear()
            try:
                await self.look()
            except Fault as fault:
                log.warning("cannot verify", error=str(fault))
            except Exception:
                log.exception("could not verify")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), EVERY)

    async def look(self) -> None:
        """Verify everything that is due now."""
        release = await self._noted()
        while (id_ := await self._due(release)) is not None:
            await self._verify(id_)

    async def _noted(self) -> Release:
        """Note which version of the platform runs; return it, with since when if one was before.

        What was deployed before versions were noted was not verified by this one either.
        """
        async with self._doors.store.begin() as records:
            known = await records.get(Release, PLATFORM)
            if known is not None and known.version == self._version:
                return known
            before = known is not None or await records.find(Deployment)
            upgraded_at = self._doors.clock.now() if before else None
            release = Release(PLATFORM, self._version, upgraded_at)
            await records.put(release)
        return release

    async def _due(self, release: Release) -> str | None:
        """Return whose turn it is: of those that were asked for first, then by themselves."""
        now = self._doors.clock.now()
        async with self._doors.store.begin() as records:
            known = {held.id: held for held in await records.find(Verification)}
            lives = [held for held in await records.find(Deployment) if verifiable(held)]
        asked = [
            (held.asked_at or now, held.id)
            for held in known.values()
            if held.state is Progress.ASKED
        ]
        due = [(at, held.id) for held in lives if (at := _next(held, known, release)) <= now]
        return next((id_ for _, id_ in (*sorted(asked), *sorted(due))), None)

    async def _verify(self, id_: str) -> None:
        """Verify a deployment, and write down what was found or why nothing is proved by it."""
        async with self._doors.store.begin() as records:
            asked = await records.get(Verification, id_)
            subject = await read_subject(records, self._doors, id_)
            everybody = await records.find(Deployment)
        unproved, found = "nothing of it is live", tuple[Finding, ...]()
        if subject is not None and verifiable(subject.deployment):
            try:
                unproved, found = await self._tried(subject, everybody)
            except Fault as fault:
                unproved = f"{fault.letter.title}: {fault.letter.detail}"
            except Exception:
                log.exception("could not verify", deployment=id_)
                unproved = "the platform could not do it; its log tells why"
        await self._record(id_, asked, unproved, found)

    async def _tried(
        self, subject: Subject, everybody: Sequence[Deployment]
    ) -> tuple[str, tuple[Finding, ...]]:
        deployment, doors = subject.deployment, self._doors
        salt = doors.clock.token()
        near, waiting = drawn(deployment, everybody, salt)
        databases = frozenset(await doors.databases.names())
        neighbours = [await self._neighbour(each, salt, databases) for each in near]
        todo = attempts(deployment, neighbours, waiting)
        answers = {each: answered_here(each) for each in todo}
        for each in todo:
            if each.aim is Aim.OUR_KEY:
                answers[each] = await self._knocked(subject, each)
        inside = [each for each in todo if answers[each] is None]
        live = deployment.status.live
        revision = deployment.spec.revision if live is None else live.revision
        work = await workload_of(subject, revision, doors)
        told = await doors.intruder.attempt(work, inside, TIMEOUT)
        answers |= dict(zip(inside, told, strict=True))
        return judged(todo, [answers[each] or "" for each in todo])

    async def _neighbour(
        self, deployment: Deployment, salt: str, databases: Collection[str]
    ) -> Neighbour:
        live = deployment.status.live
        login = deployment.spec.login if live is None else live.login
        password = database_password(deployment, self._doors.vault, login)
        return Neighbour(
            deployment,
            self._doors.gateway.url(deployment.hash),
            _addresses(await self._doors.driver.observe(deployment.id)),
            deployment.database in databases,
            f"{salt}:{_digest(salt, password)}",
        )

    async def _knocked(self, subject: Subject, attempt: Attempt) -> str:
        """Try our developers' key at another's door: from here, since it is nobody's inside."""
        if not subject.guests.keys:
            return "skipped: it has no key"
        try:
            status = await self._doors.gateway.knock(attempt.address, subject.guests.keys[-1])
        except Fault as fault:
            return f"skipped: {fault.letter.title}"
        return f"http {status}"

    async def _record(
        self, id_: str, asked: Verification | None, unproved: str, found: tuple[Finding, ...]
    ) -> None:
        now = self._doors.clock.now()
        async with self._doors.store.begin() as records:
            deployment = await records.get(Deployment, id_)
            current = await records.get(Verification, id_)
            if deployment is None:
                await records.remove(*([] if current is None else [current]))
                return
            anew = current is not None and current != asked  # they asked again meanwhile
            after = Verification(
                id_,
                deployment.organization,
                Progress.ASKED if anew else Progress.DONE,
                current.asked_at if current else None,
                current.asked_by if current else "",
                now,
                self._version,
                unproved,
                found,
            )
            await records.put(after)
            text = _alarm(after)
            if text:
                await records.emit(event_of(deployment, EventKind.BREACHED, text, now))
        if text:
            log.warning("a wall is broken", deployment=id_, found=text)
            await self._doors.logs.note(id_, text)


def _next(deployment: Deployment, known: Mapping[str, Verification], release: Release) -> datetime:
    held = known.get(deployment.id)
    last = held.at if held is not None else None
    return due_at(deployment.id, last or deployment.created_at, release.upgraded_at)


def _alarm(verification: Verification) -> str:
    """Say what was reached; names nobody, since not all may hear of everybody."""
    aims = ", ".join(dict.fromkeys(each.aim.value for each in verification.breaches))
    times = count(verification.findings, Verdict.REACHED)
    return f"it reached {times} things that it should not: {aims}" if times else ""


def _addresses(view: View) -> tuple[str, ...]:
    """Return every word of the driver for where a deployment answers."""
    found = [each.address for each in view.endpoints]
    found += [where for i in view.instances for where in (i.address, i.private) if where]
    found += [view.held.address] if view.held else []
    return tuple(dict.fromkeys(found))


def _digest(salt: str, secret: Secret) -> str:
    return hashlib.sha256(f"{salt}{secret.reveal()}".encode()).hexdigest()
