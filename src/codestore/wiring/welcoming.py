"""The first start: a local owner, and a profile by which ``cs`` finds the platform."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

from codestore.domain.ids import make_id
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.reconcile.doors import Doors
from codestore.settings import Settings

OWNER, ORGANIZATION = "owner", "local"


async def welcome(doors: Doors, settings: Settings) -> None:
    """Make the local owner and a profile for ``cs`` the first time; keep its address true."""
    profile = json.loads(settings.profile.read_text()) if settings.profile.exists() else {}
    token = Secret(profile.get("token") or f"cs_tok_{doors.clock.token()}")
    digest = hashlib.sha256(token.reveal().encode()).hexdigest()
    async with doors.store.begin() as records:
        if not await records.find(User, token=digest):
            found = await records.find(User, name=OWNER)
            id_ = found[0].id if found else make_id("usr", doors.clock.token())
            await records.put(User(id_, OWNER, ORGANIZATION, digest))
    await asyncio.to_thread(_write_profile, settings.profile, settings.url, token)


def _write_profile(path: Path, url: str, token: Secret) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"url": url, "token": token.reveal()}))
    fresh.replace(path)
