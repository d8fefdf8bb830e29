"""Handlers for keys and clients. They answer when the gateway knows: the change is in force."""

from fastapi import APIRouter

from codestore.actions import keys
from codestore.actions.keys import Issued, KnownClient
from codestore.api.desk import DeskDep, UserDep
from codestore.domain.keys import OVERLAP
from codestore.wire import Listing
from codestore.wire.asks import NewClient, Rotation
from codestore.wire.keys import ClientView, HeldKeyView, IssuedKeyView

router = APIRouter(prefix="/api", tags=["keys"])


@router.get("/projects/{ref}/clients")
async def list_clients(ref: str, desk: DeskDep, user: UserDep) -> Listing[ClientView]:
    """List the clients of a project, with how often they called."""
    return Listing([_client(found) for found in await keys.clients(desk.office, user, ref)])


@router.post("/projects/{ref}/clients", status_code=201)
async def add_client(ref: str, body: NewClient, desk: DeskDep, user: UserDep) -> IssuedKeyView:
    """Give a third party a key of its own to production."""
    issued = await keys.add_client(desk.office, user, ref, body.email)
    await desk.let_in(issued.deployments)
    return _issued(issued)


@router.delete("/projects/{ref}/clients/{client}", status_code=204)
async def remove_client(ref: str, client: str, desk: DeskDep, user: UserDep) -> None:
    """Revoke the keys of a client, named by its address or id."""
    _, deployments = await keys.remove_client(desk.office, user, ref, client)
    await desk.let_in(deployments)


@router.post("/projects/{ref}/keys", status_code=201)
async def rotate_project_key(
    ref: str, body: Rotation, desk: DeskDep, user: UserDep
) -> IssuedKeyView:
    """Replace the developer key of a project, or the key of a client."""
    issued = await keys.rotate_project_key(
        desk.office, user, ref, body.client, _overlap(body.overlap)
    )
    await desk.let_in(issued.deployments)
    return _issued(issued)


@router.post("/services/{ref}/keys", status_code=201)
async def rotate_service_key(
    ref: str, body: Rotation, desk: DeskDep, user: UserDep
) -> IssuedKeyView:
    """Replace the developer key of a service (which has no clients)."""
    issued = await keys.rotate_service_key(desk.office, user, ref, _overlap(body.overlap))
    await desk.let_in(issued.deployments)
    return _issued(issued)


def _overlap(asked: float | None) -> float:
    return OVERLAP.total_seconds() if asked is None else asked


def _issued(issued: Issued) -> IssuedKeyView:
    client = issued.client
    return IssuedKeyView(
        key=issued.key.reveal(),
        kind=issued.kind.value,
        owner=issued.owner,
        created_at=issued.created_at,
        client=client.id if client else None,
        email=client.email if client else None,
        old_until=issued.old_until,
    )


def _client(found: KnownClient) -> ClientView:
    return ClientView(
        client=found.client.id,
        email=found.client.email,
        created_at=found.client.created_at,
        created_by=found.client.created_by,
        keys=[HeldKeyView(key.hint, key.created_at, key.expires_at) for key in found.keys],
        requests=found.usage.requests,
        used_at=found.usage.used_at,
    )
