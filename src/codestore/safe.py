"""The safe: an organization's secrets in one transaction, sealed as they go in, opened to be used.

Whoever writes opens it by :meth:`Safe.unlock`, before any deployment is locked: one at a time in an
organization, so that nobody seals under a data key that is just being replaced, and nobody starts
with secrets that somebody is just changing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from codestore.domain.faults import Fault, failed
from codestore.domain.ids import make_id
from codestore.domain.secret import Secret
from codestore.domain.secrets import (
    DataKey,
    Scope,
    SealedSecret,
    SecretSet,
    SetRef,
    chain_of,
    resolved,
)
from codestore.ports import Clock, Keyring, Records

S = TypeVar("S", SealedSecret, SecretSet)
KEYRING = "keyring"
"""The lock of master keys, and of which data keys there are."""


@dataclass(slots=True)
class Safe:
    """What is an organization's, and how it opens. Made without a lock, it is for reading only."""

    records: Records
    keyring: Keyring
    clock: Clock
    organization: str
    _keys: dict[str, DataKey] = field(default_factory=dict)

    @classmethod
    async def unlock(
        cls, records: Records, keyring: Keyring, clock: Clock, organization: str
    ) -> "Safe":
        """Open it for writing. Nobody else has it open until the transaction ends."""
        await records.lock(f"secrets:{organization}")
        return cls(records, keyring, clock, organization)

    async def key(self) -> DataKey:
        """Return the newest data key, by which everything new is sealed; the first one is made."""
        keys = await self._known()
        return list(keys.values())[-1] if keys else await self.new_key()

    async def new_key(self) -> DataKey:
        """Make a data key: the newest from now on."""
        await self.records.lock(KEYRING)
        id_ = make_id("dk", self.clock.token())
        fresh = self.keyring.make(id_, self.organization, self.clock.now())
        await self.records.put(fresh)
        self._keys[id_] = fresh
        return fresh

    async def reaching(self, scope: Scope) -> list[SealedSecret]:
        """Return all secrets that reach a scope, from wherever they are set."""
        return [s for each in chain_of(scope) for s in await self.at(each)]

    async def at(self, scope: Scope) -> list[SealedSecret]:
        """Return the secrets that are set at a scope itself."""
        return await self.records.find(
            SealedSecret, organization=self.organization, scope=str(scope)
        )

    async def of_service(self, service: str) -> list[SealedSecret]:
        """Return all secrets of a service, in whatever environment."""
        held = await self.records.find(SealedSecret, organization=self.organization)
        return [each for each in held if each.scope.service == service]

    async def of_project(self, project: str) -> list[SealedSecret]:
        """Return all secrets of a project, in whatever part of it."""
        held = await self.records.find(SealedSecret, organization=self.organization)
        return [each for each in held if each.scope.project == project]

    async def open(self, held: SealedSecret | SecretSet) -> Secret:
        """Open what is sealed, at its place. Raises a FAILED fault when it does not open there."""
        key = (await self._known()).get(held.data_key)
        if key is None:
            raise _lost("The data key that a secret is sealed under is gone.")
        return self.keyring.open(key, held.place, held.sealed)

    async def put(self, held: SealedSecret, value: Secret) -> None:
        """Seal a value at its place, and keep it."""
        await self.records.put(await self.sealed(held, value))

    async def sealed(self, held: S, value: Secret) -> S:
        """Return the same, sealed under the newest data key."""
        key = await self.key()
        sealed = self.keyring.seal(key, held.place, value)
        return replace(held, data_key=key.id, sealed=sealed)

    async def resolve(self, scope: Scope) -> dict[str, Secret]:
        """Return the value that wins for each key at a scope."""
        winners = resolved(chain_of(scope), await self.reaching(scope))
        return {key: await self.open(won) for key, won in winners.items()}

    async def keep(
        self, deployment: str, number: str, revision: int, values: Mapping[str, Secret]
    ) -> SetRef:
        """Keep what a version is given as a set; return how its deployment names it."""
        id_ = make_id("set", self.clock.token())
        now = self.clock.now()
        held = SecretSet(id_, self.organization, deployment, number, "", "", now)
        plain = {key: value.reveal() for key, value in sorted(values.items())}
        await self.records.put(await self.sealed(held, Secret(json.dumps(plain))))
        return SetRef(id_, revision, tuple(plain))

    async def opened(self, ref: SetRef | None) -> dict[str, Secret]:
        """Return what a set holds; nothing is asked about one without keys."""
        if ref is None or not ref.keys:
            return {}
        held = await self.records.get(SecretSet, ref.id)
        if held is None:
            raise _lost("The secrets that a version was given are gone.")
        return contents(await self.open(held))

    async def forget_sets(self, deployment: str, but: Iterable[str] = ()) -> None:
        """Throw away the sets of a deployment, but for some."""
        held = await self.records.find(SecretSet, deployment=deployment)
        kept = set(but)
        await self.records.remove(*(each for each in held if each.id not in kept))

    async def _known(self) -> dict[str, DataKey]:
        if not self._keys:
            found = await self.records.find(DataKey, organization=self.organization)
            self._keys = {key.id: key for key in found}
        return self._keys


def _lost(detail: str) -> Fault:
    hint = "Restore the platform's database from a backup."
    return failed("secret_lost", "A secret is lost", detail, hint)


def contents(opened: Secret) -> dict[str, Secret]:
    """Read what a set was made of."""
    plain: dict[str, str] = json.loads(opened.reveal())
    return {key: Secret(value) for key, value in plain.items()}
