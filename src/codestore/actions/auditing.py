"""What people changed: read, and checked from the first entry to the last."""

from dataclasses import dataclass

from codestore.actions.office import Office
from codestore.domain.audit import Chain, Entry, verified
from codestore.domain.services import User

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """How far the chain holds; ``found`` tells whether a seal that was noted is still in it."""

    chain: Chain
    found: bool | None


async def entries(office: Office, user: User, after: int | None, limit: int) -> list[Entry]:
    """Return entries of the user's organization after a number, or the newest ones."""
    async with office.store.begin() as records:
        trail, organization = records.trail, user.organization
        return await trail.entries(organization, after or 0, limit, newest=after is None)


async def verify(office: Office, user: User, noted: str | None) -> Finding:
    """Check the whole chain of the user's organization, and look for a seal that was noted."""
    chain, found, key = Chain(), False, office.audit_key
    while chain.broken_at is None:
        async with office.store.begin() as records:
            part = await records.trail.entries(user.organization, chain.sequence, _BATCH)
        if not part:
            break
        found = found or any(entry.seal == noted for entry in part)
        chain = verified(chain, user.organization, part, key)
    return Finding(chain, None if noted is None else found)
