"""The door ``Intruder`` on this host: a script in the deployment's own cell, beside its instances.

What it is to try stands in a file that only this cell shows: it names other deployments, and what
another organization has is nobody's business here. Its output is no log of the deployment's.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from codestore.domain.faults import failed, unavailable
from codestore.domain.instances import LogLine, Workload
from codestore.domain.manifest import Run, RunKind
from codestore.domain.verification import NO_ANSWER, PLATFORM, SKIPPED, Aim, Attempt
from codestore.drivers.process import intruder
from codestore.drivers.process.child import ended
from codestore.drivers.process.children import Children
from codestore.drivers.process.launching import FINAL_GRACE, NEVER, task_label, task_spec
from codestore.drivers.process.places import Host, home_folder, owner
from codestore.keeper.errors import KeeperError
from codestore.keeper.spec import ChildSpec

FOLDER: Final = "verify"  # of lists and of answers, beside those of deployments
_ADDED: Final = ("NOTIFY_SOCKET",)  # by the keeper
_DEEDS: Final[Mapping[Aim, Callable[[str], str]]] = {
    Aim.OWN_DATABASE: intruder.own_database,
    Aim.DATABASE: intruder.database,
    Aim.STATE: intruder.state,
    Aim.ROLE: intruder.role,
    Aim.PROCESSES: intruder.processes,
    Aim.PASSWORD: intruder.variable,
    Aim.NO_KEY: intruder.called,
    Aim.MADE_UP_KEY: intruder.called_with_a_key,
    Aim.METADATA: intruder.answering,
    Aim.PORT: intruder.connected,
}
_FILES: Final = frozenset({Aim.MASTER_KEY, Aim.KEYRING, Aim.PROFILE})
_SOCKETS: Final = frozenset({Aim.KEEPER, Aim.ADMIN, Aim.DISCOVERY, Aim.API})


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Where on this host is what belongs to the platform, by what would be tried there."""

    paths: Mapping[Aim, Path]
    trees: Path
    """Code, by the digest of its version."""
    python: str = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    """A Python that every cell shows."""


class ProcessIntruder:
    """Tries things as a process under the keeper, in one deployment at a time.

    What a run before has left behind is ended first.
    """

    def __init__(
        self,
        children: Children,
        host: Host,
        tail: Callable[[str, str, int], Awaitable[list[LogLine]]],
        landmarks: Landmarks,
    ) -> None:
        self._children = children
        self._host = host
        self._tail = tail
        self._landmarks = landmarks

    async def attempt(
        self, workload: Workload, attempts: Sequence[Attempt], timeout: float
    ) -> list[str]:
        """Try everything and return the answers; at most ``timeout`` seconds, then it is ended.

        An attempt that has no answer by then has an empty one.
        """
        name = f"{workload.deployment}.{FOLDER}"
        listing = self._host.work / FOLDER / f"{workload.deployment}.json"
        log = self._host.logs / FOLDER / f"{name}.log"
        await self._end(name)
        spec = self._spec(workload, name, listing, log)
        deeds = [self._deed(workload, each, spec) for each in attempts]
        tried = [number for number, deed in enumerate(deeds) if isinstance(deed, dict)]
        await asyncio.to_thread(self._write, workload, listing, log, [deeds[n] for n in tried])
        try:
            await self._run(spec, timeout)
            lines = await self._tail(FOLDER, name, 2 * len(tried) + 1)
        finally:
            listing.unlink(missing_ok=True)
            log.unlink(missing_ok=True)
        told = _answers(lines)
        answers = [NO_ANSWER if isinstance(deed, dict) else deed for deed in deeds]
        for place, number in enumerate(tried):
            answers[number] = told.get(place, NO_ANSWER)
        return answers

    async def _run(self, spec: ChildSpec, timeout: float) -> None:
        try:
            await self._children.spawn(spec)
        except KeeperError as error:
            if error.code in NEVER:
                raise failed("not_verified", "It cannot be verified", error.message) from error
            raise unavailable("keeper", "The host did not answer", str(error)) from error
        try:
            await self._children.until(spec.name, ended, timeout)
        except TimeoutError:
            pass  # what it has told by now is believed
        finally:
            await self._end(spec.name)

    async def _end(self, name: str) -> None:
        """End and forget it, if it is there."""
        try:
            if self._children.get(name) is None:
                return
            if not ended(self._children.get(name)):
                await self._children.client.stop(name, FINAL_GRACE)
                await self._children.until_ended(name, FINAL_GRACE)
            await self._children.forget(name)
        except KeeperError as error:
            raise unavailable("keeper", "The host did not answer", str(error)) from error

    def _spec(self, workload: Workload, name: str, listing: Path, log: Path) -> ChildSpec:
        script = os.path.realpath(intruder.__file__)
        command = (self._landmarks.python, "-I", "-S", script, str(listing))
        work = replace(workload, run=Run(RunKind.COMMAND, command))
        label = replace(task_label(workload), disk=None)  # it shall tell, however full the disk is
        spec = replace(task_spec(self._host, work, name, label), log=str(log))
        if spec.view is None:
            return spec
        shown = (*spec.view.read, script, str(listing))
        return replace(spec, view=replace(spec.view, read=shown))

    def _deed(self, workload: Workload, attempt: Attempt, spec: ChildSpec) -> dict[str, str] | str:
        """Return what to do inside, or the answer of what cannot be done."""
        aim, address = attempt.aim, attempt.address
        if aim is Aim.OWN_HOME:
            home = home_folder(self._host, workload.deployment)
            return _do(intruder.written, str(home))
        if aim is Aim.NAMES:
            return _do(intruder.names, " ".join((*spec.env, *_ADDED)))
        if aim is Aim.SOCKET or (aim is Aim.PORT and attempt.quiet):
            deed = intruder.in_sight if attempt.quiet else intruder.connected
            return _do(deed, address)
        if aim in _DEEDS:
            return _do(_DEEDS[aim], address)
        path = self._path(attempt)
        if path is None or not path.exists():
            return f"{SKIPPED}: there is none"
        if aim in _SOCKETS:
            return _do(intruder.connected, f"unix:{path}")
        return _do(intruder.read if aim in _FILES else intruder.listed, str(path))

    def _path(self, attempt: Attempt) -> Path | None:
        """Return where on this host that is which would be tried."""
        if attempt.whose == PLATFORM:
            return self._landmarks.paths.get(attempt.aim)
        if attempt.aim is Aim.HOME:
            return home_folder(self._host, attempt.whose)
        if attempt.aim is Aim.LOGS:
            return self._host.logs / attempt.whose
        if attempt.aim is Aim.CODE:
            return self._landmarks.trees / attempt.address
        return None

    def _write(self, workload: Workload, listing: Path, log: Path, deeds: Sequence[object]) -> None:
        """Write down what to try, for nobody else to read; forget what a crash has left here."""
        for folder in (listing.parent, log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in folder.iterdir():
                left.unlink()
        descriptor = os.open(listing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"attempts": deeds}, file)
            user = owner(self._host, workload.deployment)
            if user is not None:
                os.fchown(descriptor, *user)


def _do(deed: Callable[[str], str], address: str) -> dict[str, str]:
    return {"deed": deed.__name__, "address": address}


def _answers(lines: Sequence[LogLine]) -> dict[int, str]:
    """Read what was printed; what is no answer is left out."""
    found = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line.text)
            found[int(told["number"])] = str(told["answer"])
    return found
