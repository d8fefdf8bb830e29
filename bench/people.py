"""People who change services of a real platform without a pause, whatever happens to it meanwhile.

Whoever was not answered looks what became of it; whoever was answered relies on it: the change must
be concluded, well if it was well. Whatever is live answers all the time.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from bench.asking import APPS, SHOP, Asks
from bench.common import PATIENCE, client_of
from codestore.cli.client import path
from codestore.cli.problems import CommandError
from tests.support.platform import KEY, Platform

QUIET = 240.0  # seconds until nothing is to be done any more
MANY = 3  # instances of one deployment that we killed: from then on it backs off
KEEPS_CRASHING = "This service keeps crashing"
LOOK = 0.2  # seconds between two questions: what answers them has other things to do
SOON = 10.0  # seconds within which a key opens whose replacement nobody was told of
HEALED = 60.0  # seconds until an instance that we killed has been replaced
CALLERS = 4  # at once, of what is scaled for one
SHUT, AWAY = (401, 403), 503
BUSY = ("deploying", "removing")
GROWING = ("development", "staging", "production")
Places = dict[str, dict[str, Any]]


@dataclass
class Tally:
    """What was done, and what was wrong. ``moved_at`` is when somebody last saw a change end."""

    acts: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unanswered: int = 0
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    victims: set[tuple[str, int]] = field(default_factory=set)
    bled: Counter[str] = field(default_factory=Counter)
    hurt_at: dict[str, float] = field(default_factory=dict)
    moved_at: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_victim(self, deployment: str, revision: int) -> None:
        """Somebody kills an instance of this revision: if it was coming up, its change fails."""
        with self.lock:
            self.victims.add((deployment, revision))
            self.bled[deployment] += 1
            self.hurt_at[deployment] = time.monotonic()

    def hurt(self, deployment: str) -> bool:
        """Whether an instance was killed lately, and may not be replaced yet."""
        return time.monotonic() - self.hurt_at.get(deployment, -HEALED) < HEALED

    def count(self, act: str, *, answered: bool) -> None:
        """Count something that somebody asked for."""
        with self.lock:
            self.acts[act] += 1
            self.acknowledged += answered
            self.unanswered += not answered

    def complain(self, said: str) -> None:
        with self.lock:
            self.wrong.append(said)
        print(f"WRONG: {said}", flush=True)


class Person(threading.Thread):
    """Changes one service over and over; stands still while ``pause`` is set."""

    def __init__(self, platform: Platform, number: int, seed: int, tally: Tally) -> None:
        super().__init__(daemon=True, name=f"k-{number}")
        self.client = client_of(platform)
        self.pause, self.still, self.over = threading.Event(), threading.Event(), False
        self._tally, self._dice = tally, random.Random(seed)
        kind = tuple(APPS)[number % len(APPS)]
        self._asks = Asks(self.client, platform.home / self.name, kind, self._dice)

    def run(self) -> None:
        while not self.over:
            if self.pause.is_set():
                self.still.set()
                time.sleep(0.05)
                continue
            self.still.clear()
            try:
                self._act()
            except Exception as error:
                self._tally.complain(f"{self.name}: {type(error).__name__}: {error}")
                time.sleep(1)

    def _act(self) -> None:
        places = self.places()
        if places:
            self._dice.choice(self._acts(places))()
        else:
            self._change("create", self._asks.create)

    def _acts(self, places: Places) -> list[Callable[[], object]]:
        """Return what can be done; what is likelier more than once."""

        def change(name: str, act: Callable[[], Any], *, well: bool = True) -> Callable[[], object]:
            return partial(self._change, name, act, well=well)

        asks = self._asks
        acts: list[Callable[[], object]] = [
            *(change("push", asks.push) for _ in range(3)),
            change("push what does not start", partial(asks.push, "start"), well=False),
            change("push what does not migrate", partial(asks.push, "migrate"), well=False),
            *(change("promote", asks.promote) for _ in range(3)),
            change("roll", asks.roll),
            change("replace the password", asks.new_password),
            self._set_secret,
            partial(self._replace_key, places),
            self._rekey,
        ]
        if not any(held["project"] for held in places.values()):
            include, remove = change("include", asks.include), change("remove", asks.remove)
            return [*acts, include, include, include, include, remove]
        kinds = ("development", "development", "staging", "production")
        moves = [change(f"promote to {kind}", partial(asks.promote_to, kind)) for kind in kinds]
        crowd = partial(self._crowd, places)
        others = [change("exclude", asks.exclude), change("roll in a project", asks.roll_to)]
        return [*acts, *moves * 2, *others, crowd, crowd]

    def _change(self, name: str, act: Callable[[], Any], *, well: bool = True) -> bool:
        """Ask for a change, wait until nothing is under way, and see what became of it.

        Returns whether it was accepted, and somebody was told so.
        """
        change = self._asked(name, act)
        places = self._concluded()
        if change is not None:
            self._check(name, change, places, well=well)
        self._call(places)
        return change is not None

    def _asked(self, name: str, act: Callable[[], Any]) -> Any:
        """Ask; return the answer, or ``None`` when there was none, or it was a refusal."""
        try:
            answer = act()
        except CommandError as error:
            if error.problem.status < 500:
                with self._tally.lock:
                    self._tally.acts["refused"] += 1
                return None
            self._tally.count(name, answered=False)
            return None
        self._tally.count(name, answered=True)
        return answer

    def _check(self, name: str, change: Any, places: Places, *, well: bool) -> None:
        gone = name in ("exclude", "remove")
        for wait in change["waits"]:
            held = places.get(wait["deployment"])
            what = f"{self.name}: {name}, {wait['environment']} {wait['generation']}"
            if gone:
                if held is not None:
                    self._tally.complain(f"{what}: it is there still")
            elif held is None:
                self._tally.complain(f"{what}: it is lost")
            elif held["generation"] < wait["generation"]:
                self._tally.complain(f"{what}: its generation is lost: {held['generation']}")
            elif (held["failure"] is None) != well and not self._killed(wait, held["failure"]):
                self._tally.complain(f"{what}: it should end otherwise: {held['failure']}")

    def _killed(self, wait: dict[str, Any], failure: dict[str, Any] | None) -> bool:
        """Whether a change failed because an instance of it was killed by us."""
        ours = (wait["deployment"], wait["generation"]) in self._tally.victims
        if not ours or failure is None:
            return False
        return failure["code"] == "instance_gone" or "killed by SIGKILL" in failure["detail"]

    def _set_secret(self) -> None:
        """Set the service's secret, change it, or take it away; whoever gets it says so."""
        before = self._patiently(self._asks.secret)
        if before is not None and self._dice.random() < 0.3:
            after, act = "", self._asks.forget_secret
        else:
            after, fresh = f"{self._dice.random()}", before is None
            act = lambda: self._asks.set_secret(after, fresh=fresh)  # noqa: E731
        if not self._change("set a secret" if after else "forget a secret", act):
            return
        if self._patiently(self._asks.secret) != (after or None):
            self._tally.complain(f"{self.name}: a secret is not what was set")
        for held in self.places().values():
            if held["project"] is None and held["failure"] is None:
                self._expect(held, secret=after)

    def _replace_key(self, places: Places) -> None:
        """Replace the service's key: once answered, the new one opens, the old one does not."""
        issued = self._asked("replace a key", self._asks.new_key)
        for held in places.values() if issued is not None else ():
            if held["environment"] != "private":
                continue
            old, new = (self._get(held, key).status_code for key in (held["key"], issued["key"]))
            if old not in SHUT or new in SHUT:
                self._tally.complain(f"{self.name}: keys: the old one {old}, the new one {new}")
        self._call(self.places())

    def _rekey(self) -> None:
        """Have everything sealed anew; what was set is still what is set."""
        before = self._patiently(self._asks.secret)
        self._asked("rekey", self._asks.rekey)
        if self._patiently(self._asks.secret) != before:
            self._tally.complain(f"{self.name}: a secret is lost")

    def _crowd(self, places: Places) -> None:
        """Call a place of a project from many sides, so that it grows; everybody is answered."""
        found = [held for held in places.values() if held["environment"] in GROWING]
        live = [held for held in found if held["version"] is not None]
        if not live:
            return
        held = self._dice.choice(live)
        with ThreadPoolExecutor(CALLERS) as pool:
            answers = list(
                pool.map(lambda _: self._get(held, held["key"], "/slow"), range(CALLERS))
            )
        with self._tally.lock:
            self._tally.acts["crowd"] += 1
        codes = {answer.status_code for answer in answers}
        if codes != {200} and not self._tally.hurt(held["id"]):
            self._tally.complain(f"{self.name} {held['environment']}: a crowd is told {codes}")

    def _call(self, places: Places) -> None:
        """Whatever is live answers, with the text of its version; control is not needed for it."""
        for held in places.values():
            if held["version"] is not None and self._dice.random() < 0.5:
                self._expect(held)

    def _expect(self, held: dict[str, Any], secret: str | None = None) -> None:
        """What is live answers, with the text of its version, and with the secret that it has."""
        answer = self._patient_get(held)
        with self._tally.lock:
            self._tally.calls += 1
        if KEEPS_CRASHING in answer.text and self._tally.bled[held["id"]] >= MANY:
            return  # so it looks to whoever does not know that we kill them
        told, _, given = answer.text.partition("|")
        text = self._asks.texts.get(held["version"], told)
        wanted = (200, text, given if secret is None else secret)
        if (answer.status_code, told, given) != wanted:
            what = f"{self.name} {held['environment']} {held['version']}"
            said = f"{answer.status_code} {answer.text[:200]}, not {wanted}"
            self._tally.complain(f"{what} answers {said}")

    def _patient_get(self, held: dict[str, Any]) -> httpx.Response:
        """Call; have patience with what may take a while.

        That is a key whose replacement nobody was told of; and what has a port of its own, instead
        of a socket that is kept, where we killed it.
        """
        until = time.monotonic() + SOON
        while True:
            answer = self._get(held, held["key"])
            shut = answer.status_code in SHUT and time.monotonic() < until
            gone = answer.status_code == AWAY and KEEPS_CRASHING not in answer.text
            away = gone and self._tally.hurt(held["id"])
            if not shut and not away:
                return answer
            time.sleep(LOOK)

    def _get(self, held: dict[str, Any], key: str | None, where: str = "") -> httpx.Response:
        headers = {KEY: key or ""}
        url = f"{held['url']}{where}"
        return httpx.get(url, headers=headers, timeout=PATIENCE, verify=False)

    def places(self) -> Places:
        """Return all deployments of the service, by id; nothing when it is not there."""
        found = self._patiently(lambda: self.client.get(path("services", self.name)))
        if found is None:
            return {}
        places = dict(found["environments"])
        where = path("projects", SHOP, "services", self.name)
        inside = self._patiently(lambda: self.client.get(where))
        environments = inside["environments"] if inside else {}
        return {held["id"]: held for held in (*places.values(), *environments.values())}

    def _concluded(self) -> Places:
        """Wait, as ``cs`` does, until nothing is under way."""
        until = time.monotonic() + QUIET
        while True:
            places = self.places()
            busy = [held for held in places.values() if held["state"] in BUSY]
            if not busy:
                self._tally.moved_at = time.monotonic()
                return places
            if time.monotonic() > until:
                states = {held["environment"]: held["state"] for held in places.values()}
                raise AssertionError(f"it is never concluded: {states}")
            self._follow(busy)

    def _follow(self, busy: list[dict[str, Any]]) -> None:
        """Follow changes to their end, or until nobody tells of them any more."""
        query = {"wait": [f"{held['id']}:{held['generation']}" for held in busy]}
        with suppress(CommandError):
            for message in self.client.stream("/api/watch", query):
                if message.event == "end":
                    return
        time.sleep(LOOK)

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask until somebody answers; ``None`` for what does not exist."""
        until = time.monotonic() + QUIET
        while True:
            try:
                return ask()
            except CommandError as error:
                if error.problem.status == 404:
                    return None
                if time.monotonic() > until:
                    raise
            time.sleep(LOOK)
