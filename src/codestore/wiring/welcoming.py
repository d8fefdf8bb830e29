"""The first start: a local owner, and a profile by which ``cs`` finds the platform."""

import asyncio
import json
import os
from pathlib import Path

from codestore.actions.office import Office
from codestore.domain.people import TOKEN_PREFIX, Organization, Token, token_digest
from codestore.domain.roles import HOME, Role
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.ports import Records
from codestore.settings import Settings

OWNER = "owner"


async def welcome(office: Office, settings: Settings) -> None:
    """Make the local owner and a profile for ``cs`` the first time; keep its address true.

    A profile whose token opens stays, whoever it is of; with any other ``cs`` is the owner again:
    who writes in this folder has the master key too.
    """
    profile = json.loads(settings.profile.read_text()) if settings.profile.exists() else {}
    held = Secret(profile.get("token") or "")
    async with office.store.begin() as records:
        token = held if await _opens(office, records, held) else await _owners(office, records)
    await asyncio.to_thread(_write_profile, settings.profile, settings.url, token)


async def _opens(office: Office, records: Records, secret: Secret) -> bool:
    digest = token_digest(secret)
    found = await records.find(Token, digest=digest)
    return bool(found) and found[0].opens(digest, office.clock.now())


async def _owners(office: Office, records: Records) -> Secret:
    """Make a token of the local owner that never expires, in place of the one before."""
    now, secret = office.clock.now(), Secret(f"{TOKEN_PREFIX}{office.clock.token()}")
    if await records.get(Organization, HOME) is None:
        await records.put(Organization(HOME, now))
    found = await records.find(User, organization=HOME, name=OWNER)
    owner = found[0] if found else User(office.new_id("usr"), OWNER, HOME, Role.OWNER)
    tokens = await records.find(Token, user=owner.id)
    await records.remove(*(each for each in tokens if each.expires_at is None))
    digest = token_digest(secret)
    token = Token(office.new_id("tok"), owner.id, "this machine", digest, now, None)
    await records.put(owner, token)
    await office.audit(records, owner, "login", token.id, token.label)
    return secret


def _write_profile(path: Path, url: str, token: Secret) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"url": url, "token": token.reveal()}))
    fresh.replace(path)
