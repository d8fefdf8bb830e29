"""Fresh keys for secrets: a master key for the platform, a data key for an organization.

Both can be broken off at any moment and go on when asked again. The old key goes last, once nothing
is sealed under it any more; until then both open.
"""

from dataclasses import dataclass

from codestore.actions.office import Office
from codestore.domain.roles import require_role
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet
from codestore.domain.services import User
from codestore.ports import Page
from codestore.safe import KEYRING, Safe

MASTER = "secret:rekey-master"  # it wraps the data keys of every organization
AT_ONCE = 100  # secrets sealed anew in one transaction: others wait for it to set theirs


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """How many data keys were wrapped, and how many secrets were sealed anew."""

    data_keys: int = 0
    secrets: int = 0


async def rekey(office: Office, user: User, *, master: bool, data: bool) -> Rekeyed:
    """Have fresh keys seal everything; what was begun and broken off is finished."""
    if master:
        require_role(user.role, user.organization, MASTER)
    wrapped = await _new_master(office) if master else 0
    sealed = await _new_data_key(office, user.organization) if data else 0
    if master or data:
        async with office.store.begin() as records:
            detail = f"{wrapped} data keys wrapped, {sealed} secrets sealed anew"
            await office.audit(records, user, "secret:rekey", user.organization, detail)
    return Rekeyed(wrapped, sealed)


async def _new_master(office: Office) -> int:
    """Make a master key, wrap every data key by it, forget the one before."""
    async with office.store.begin() as records:
        await records.lock(KEYRING)
        keys = await records.find(DataKey)
        office.keyring.begin({key.master for key in keys})
        stale = [key for key in keys if key.master != office.keyring.newest]
        await records.put(*map(office.keyring.rewrap, stale))
    async with office.store.begin() as records:
        await records.lock(KEYRING)
        office.keyring.finish({key.master for key in await records.find(DataKey)})
    return len(stale)


async def _new_data_key(office: Office, organization: str) -> int:
    """Make a data key, seal everything of an organization under it, forget the one before."""
    async with office.store.begin() as records:
        safe = await Safe.unlock(records, office.keyring, office.clock, organization)
        keys = await records.find(DataKey, organization=organization)
        if not keys:
            return 0
        if len(keys) == 1:  # else one waits already to seal everything
            await safe.new_key()
    sealed = 0
    while count := await _some(office, organization):
        sealed += count
    return sealed


async def _some(office: Office, organization: str) -> int:
    """Seal a few secrets anew; when none is left, forget the data keys that seal nothing."""
    async with office.store.begin() as records:
        safe = await Safe.unlock(records, office.keyring, office.clock, organization)
        newest = await safe.key()
        for key in await records.find(DataKey, organization=organization):
            if key.id == newest.id:
                continue
            secrets = await records.find(SealedSecret, Page(AT_ONCE), data_key=key.id)
            sets = await records.find(SecretSet, Page(AT_ONCE), data_key=key.id)
            for secret in secrets:
                await records.put(await safe.sealed(secret, await safe.open(secret)))
            for held in sets:
                await records.put(await safe.sealed(held, await safe.open(held)))
            if secrets or sets:
                return len(secrets) + len(sets)
            await records.lock(KEYRING)
            await records.remove(key)
    return 0
