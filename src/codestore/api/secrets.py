"""Handlers for secrets. A value comes in a body and leaves in one, never in a path or a query."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from codestore.actions import queries, rekeying, secrets
from codestore.actions.secrets import Changed, Shown, Spot, Where
from codestore.api import views
from codestore.api.desk import Desk, DeskDep, UserDep
from codestore.domain.secrets import SealedSecret, level_of
from codestore.domain.services import User
from codestore.wire import Change, Listing
from codestore.wire.secrets import (
    ExplanationView,
    NewSecret,
    Rekeying,
    RekeyView,
    RivalView,
    SecretChange,
    SecretView,
    SourceView,
)

router = APIRouter(prefix="/api/secrets", tags=["secrets"])


def _where(
    project: Annotated[str | None, Query(max_length=100)] = None,
    environment: Annotated[str | None, Query(max_length=100)] = None,
    service: Annotated[str | None, Query(max_length=100)] = None,
) -> Where:
    return Where(project, environment, service)


WhereDep = Annotated[Where, Depends(_where)]


@router.get("")
async def list_secrets(where: WhereDep, desk: DeskDep, user: UserDep) -> Listing[SecretView]:
    """List the secrets that hold at a scope, each with where it is set; no values."""
    found = await secrets.list_secrets(desk.office, user, where)
    return Listing([_secret(each) for each in found], None)


@router.post("/reveal")
async def reveal(where: WhereDep, desk: DeskDep, user: UserDep) -> Listing[SecretView]:
    """List them with their values. That it was done is told."""
    found = await secrets.list_secrets(desk.office, user, where, reveal=True)
    return Listing([_secret(each) for each in found], None)


@router.post("/rekey")
async def rekey(body: Rekeying, desk: DeskDep, user: UserDep) -> RekeyView:
    """Seal anew under fresh keys; what was begun and broken off is finished first."""
    done = await rekeying.rekey(desk.office, user, master=body.master, data=body.data)
    return RekeyView(done.data_keys, done.secrets)


@router.post("", status_code=202)
async def add(body: NewSecret, desk: DeskDep, user: UserDep) -> Change[SecretChange]:
    """Set a secret that is new at its scope; whatever gets it starts anew."""
    return await _put(body, desk, user, fresh=True)


@router.put("", status_code=202)
async def update(body: NewSecret, desk: DeskDep, user: UserDep) -> Change[SecretChange]:
    """Change a secret; whatever gets it starts anew."""
    return await _put(body, desk, user, fresh=False)


@router.delete("/{key}", status_code=202)
async def remove(key: str, where: WhereDep, desk: DeskDep, user: UserDep) -> Change[SecretChange]:
    """Take a secret away from a scope; whatever got it from there starts anew."""
    return await _change(await secrets.remove_secret(desk.office, user, where, key), desk, user)


@router.get("/{key}/explain")
async def explain(key: str, where: WhereDep, desk: DeskDep, user: UserDep) -> ExplanationView:
    """Show every scope where a key is looked for, which one wins, who set it there and when."""
    told = await secrets.explain(desk.office, user, where, key)
    winner = next((secret for _, secret in told.chain if secret is not None), None)
    chain = [_rival(spot, secret, secret is winner) for spot, secret in told.chain]
    return ExplanationView(told.key, chain, told.applied, told.needed)


async def _put(body: NewSecret, desk: Desk, user: User, *, fresh: bool) -> Change[SecretChange]:
    where = Where(body.project, body.environment, body.service)
    changed = await secrets.put_secret(desk.office, user, where, body.key, body.value, fresh=fresh)
    return await _change(changed, desk, user)


async def _change(changed: Changed, desk: Desk, user: User) -> Change[SecretChange]:
    async with desk.office.store.begin() as records:
        seen = [await queries.see(desk.office, records, user, held) for held in changed.deployments]
    document = SecretChange(
        changed.key,
        _source(changed.spot),
        changed.secret is not None,
        [views.deployment_view(each, desk.url_of) for each in seen],
    )
    return Change(document, views.waits(changed.deployments), changed.undo)


def _secret(found: Shown) -> SecretView:
    value = None if found.value is None else found.value.reveal()
    secret = found.secret
    return SecretView(secret.key, value, _source(found.spot), secret.set_by, secret.set_at)


def _rival(spot: Spot, secret: SealedSecret | None, winner: bool) -> RivalView:
    if secret is None:
        return RivalView(_source(spot), False, False, None, None)
    return RivalView(_source(spot), True, winner, secret.set_by, secret.set_at)


def _source(spot: Spot) -> SourceView:
    named = (spot.project, spot.environment, spot.service)
    return SourceView(str(level_of(spot.scope)), *(noun.name if noun else None for noun in named))
