"""The ledger: what may be written, held against every transaction that is committed.

It knows who writes. People ask: they make generations and turn dials. Turns conclude: they say what
became of a generation, once, in the transaction that concludes it. Neither may undo the other's.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from codestore.domain.deployments import Deployment, Live, Spec
from codestore.domain.environments import Kind
from codestore.domain.events import EventKind
from codestore.domain.keys import Client, Key, Usage
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet, SetRef
from codestore.domain.services import Project, Service
from codestore.domain.versions import Number, Version
from codestore.ports import Noun
from tests.crashes.rules import Kinds, by_a_person, by_a_turn
from tests.crashes.store import Written

PERSON, TURN, SCALER = "a person", "a turn", "the scaler"
_VERDICTS = (EventKind.LIVE, EventKind.FAILED, EventKind.RETURNING, EventKind.REMOVED)


@dataclass
class Ledger:
    """Everything that was written, and who writes now."""

    author: str = TURN
    disturbed: bool = False
    deployments: dict[str, Deployment] = field(default_factory=dict)
    nouns: dict[str, Noun] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    drifted: set[str] = field(default_factory=set)
    written: Counter[str] = field(default_factory=Counter)
    begun: dict[str, datetime] = field(default_factory=dict)
    by_turns: "Callable[[Deployment, Deployment, Kinds], None] | None" = None

    def know(self, nouns: list[Noun]) -> None:
        """Begin with what there is."""
        for noun in nouns:
            if isinstance(noun, Deployment):
                self.deployments[noun.id] = noun
                if noun.status.live is not None:
                    self.begun[noun.id] = noun.status.live.since
            else:
                self.nouns[noun.id] = noun

    def version(self, service: str, number: str) -> Version:
        """Return a version that was written, by its number."""
        return next(v for v in self._versions(service) if v.number == number)

    def built(self, service: str, digest: str) -> Version:
        """Return a version that was written, by its digest."""
        return next(v for v in self._versions(service) if v.digest == digest)

    def _versions(self, service: str) -> Iterator[Version]:
        versions = (noun for noun in self.nouns.values() if isinstance(noun, Version))
        return (version for version in versions if version.service == service)

    def committed(self, written: Written) -> None:
        """Check a transaction, and remember it."""
        self.written[self.author] += 1
        for id_, before in written.before.items():
            assert before == self.deployments.get(id_), "something was lost"
            kinds = Counter(e.kind for e in written.events if e.deployment == id_)
            self._moved(before, written.after[id_], kinds)
        for id_, after in written.after.items():
            if after is None:
                self.deployments.pop(id_, None)
                self.removed.add(id_)
            else:
                self.deployments[id_] = after
        for noun in written.put:
            self._put(noun)
            if isinstance(noun, Version) and self.author == PERSON:
                wanted = [held.spec.digest for held in written.after.values() if held is not None]
                assert noun.digest in wanted, "a version that nobody wants anywhere"
        for noun in written.removed:
            self._gone(noun)
        untold = {e.deployment for e in written.events} - set(written.before)
        for event in written.events:
            verdict = event.kind in _VERDICTS
            assert not (verdict and event.deployment in untold), f"{event.kind} out of nothing"

    def _moved(self, before: Deployment | None, after: Deployment | None, kinds: Kinds) -> None:
        if before is None:
            assert after is not None and self.author == PERSON, "a deployment out of nothing"
            assert (after.spec.generation, kinds[EventKind.ASKED]) == (1, 1)
            return
        if after is None:
            assert self.author == TURN and before.spec.removed, "a deployment was lost"
            assert kinds[EventKind.REMOVED] == 1, "nobody was told that it is gone"
            return
        for name in ("hash", "service", "environment", "kind", "project", "database"):
            assert getattr(before, name) == getattr(after, name), name
        if self.author == TURN:
            by_a_turn(before, after, kinds, disturbed=self.disturbed)
            self._drift(before, after, kinds)
            self._young(before, after, kinds)
            if self.by_turns is not None:
                self.by_turns(before, after, kinds)
        else:
            by_a_person(before, after, kinds)

    def _drift(self, before: Deployment, after: Deployment, kinds: Kinds) -> None:
        """Where what is given need not be what is set: from a failure or a way back on."""
        live, spec = before.status.live, before.spec
        anew = live is not None and live.number == spec.number
        if kinds[EventKind.RETURNING] or (kinds[EventKind.FAILED] and anew):
            self.drifted.add(before.id)
        elif kinds[EventKind.LIVE] and not anew:
            back = live is not None and (spec.returning or _number(spec) < _number(live))
            if back:
                self._as_it_was(before)
            (self.drifted.add if back else self.drifted.discard)(before.id)

    def _young(self, before: Deployment, after: Deployment, kinds: Kinds) -> None:
        """Only what began to serve lately gives way; another password is no beginning."""
        was, live = before.status.live, after.status.live
        if kinds[EventKind.LIVE] and live is not None and (was is None or was.login == live.login):
            self.begun[before.id] = live.since
        if kinds[EventKind.RETURNING]:
            age = (after.spec.asked_at - self.begun[before.id]).total_seconds()
            assert age < 20 * 60, "it was not young any more"

    def _as_it_was(self, before: Deployment) -> None:
        """Who comes back is given what it had when it served here last."""
        ref, number = before.spec.secrets, before.spec.number
        then = [r.secrets for r in before.status.remembered if r.number == number]
        for each in then:
            assert ref is not None and self._plain(ref) == self._plain(each), "not as it was"

    def _plain(self, ref: SetRef) -> str:
        """Return what is in a set."""
        held = self.nouns[ref.id]
        assert isinstance(held, SecretSet)
        plain: str = json.loads(held.sealed)[2]
        return plain

    def _put(self, noun: Noun) -> None:
        old = self.nouns.get(noun.id)
        if isinstance(old, Version) and isinstance(noun, Version):
            assert replace(noun, published_at=None) == replace(old, published_at=None)
            assert old.published_at is None, "published twice"
            shown = [d for d in self.deployments.values() if d.kind is Kind.DEMO]
            live = [d.status.live.number for d in shown if d.status.live is not None]
            assert noun.number in live, "it is public, and was never shown to anybody"
        self.nouns[noun.id] = noun

    def _gone(self, noun: Noun) -> None:
        """Only what goes with a service or project may go, and only once nothing is left of it."""
        if isinstance(noun, SealedSecret | SecretSet | DataKey):
            self._secret_gone(noun)
            return
        if isinstance(noun, Key | Client | Usage) and self.author == PERSON:
            self.nouns.pop(noun.id, None)  # revoked, or gone with what it belongs to
            return
        if isinstance(noun, Key) and noun.expires_at is not None:
            self.nouns.pop(noun.id, None)  # it has ended
            return
        owner = noun.id if isinstance(noun, Service | Project) else _owner(noun)
        left = [d.id for d in self.deployments.values() if owner in (d.service, d.project)]
        assert not left, f"{noun.id} is gone, and {left} are not"
        assert isinstance(self.nouns.get(str(owner)), Service | Project | None)
        self.nouns.pop(noun.id, None)

    def _secret_gone(self, noun: SealedSecret | SecretSet | DataKey) -> None:
        """People take secrets away, turns with what they belong to; sets stay while in use."""
        self.nouns.pop(noun.id, None)
        if isinstance(noun, DataKey):
            sealed = [n for n in self.nouns.values() if getattr(n, "data_key", "") == noun.id]
            assert not sealed, "a data key is gone, and not what it sealed"
        elif isinstance(noun, SecretSet):
            held = self.deployments.get(noun.deployment)
            refs = [] if held is None else [held.spec.secrets]
            if held is not None:
                lives = (held.status.live, held.status.previous)
                refs += [live.secrets for live in lives if live is not None]
            assert noun.id not in [ref.id for ref in refs if ref is not None], "a set in use"
        elif self.author == TURN:
            held_here = [d for d in self.deployments.values() if d.scope == noun.scope]
            assert not held_here, "a secret is gone, and who gets it is not"


def _owner(noun: Any) -> str | None:
    owner: str | None = getattr(noun, "scope", None) or getattr(noun, "project", None)
    return owner or str(noun.service)


def _number(held: Spec | Live) -> Number:
    return Number.parse(held.number)
