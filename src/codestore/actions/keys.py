"""Keys: those of developers and of a project's clients; added, replaced, revoked.

Each is one transaction, so a crash leaves the keys before or those after. What is written down
holds from then on, whatever becomes of this process: the gateway is told at once by whoever asked
(``let_in``), by the next turn of each deployment, and at every start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from codestore.actions.office import Office, find_project, find_service
from codestore.domain.deployments import Deployment
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import not_found
from codestore.domain.keys import (
    Client,
    Key,
    KeyKind,
    Usage,
    check_email,
    check_overlap,
    check_room,
    hint_of,
    opened,
    rotated,
)
from codestore.domain.names import shown
from codestore.domain.secret import Secret
from codestore.domain.services import Project, User, require_owner, require_project_owner
from codestore.ports import Records


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh key, for whom, and the deployments it opens. ``old_until``: the old one still does.

    ``owner`` is the name of the service or project; ``client`` is ``None`` for developers.
    """

    key: Secret
    kind: KeyKind
    owner: str
    created_at: datetime
    deployments: tuple[Deployment, ...]
    client: Client | None = None
    old_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key without its value: ``hint`` is how it begins."""

    hint: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client, its keys, and how often it called."""

    client: Client
    keys: tuple[HeldKey, ...]
    usage: Usage


async def add_client(office: Office, user: User, ref: str, email: str) -> Issued:
    """Give a third party a key of its own to a project's production. It is shown this once."""
    email = check_email(email)
    async with office.store.begin() as records:
        project = await _own_project(records, user, ref, "add clients")
        check_room(await records.find(Client, project=project.id), project.name)
        now = office.clock.now()
        client = Client(office.new_id("cli"), project.id, email, now, user.name)
        key = office.new_key(project.id, client.id)
        await records.put(client, key)
        told = await _tell(office, records, key, f"{user.name} added the client {email}")
        await office.audit(records, user, "project:client:add", project.name, email)
    return _issued(office, key, project.name, told, client)


async def clients(office: Office, user: User, ref: str) -> list[KnownClient]:
    """Return the clients of a project, to its owner."""
    async with office.store.begin() as records:
        project = await _own_project(records, user, ref, "see its clients")
        keys = await records.find(Key, scope=project.id, kind=KeyKind.CLIENT.value)
        found = []
        for client in await records.find(Client, project=project.id):
            usage = await records.get(Usage, client.id) or Usage(client.id)
            own = [key for key in keys if key.client == client.id]
            found.append(KnownClient(client, _held(office, own), usage))
    return found


async def remove_client(
    office: Office, user: User, ref: str, client_ref: str
) -> tuple[Client, tuple[Deployment, ...]]:
    """Revoke every key of a client, and forget it."""
    async with office.store.begin() as records:
        project = await _own_project(records, user, ref, "remove clients")
        client = await _find_client(records, project, client_ref)
        keys = await records.find(Key, scope=project.id, kind=KeyKind.CLIENT.value)
        own = [key for key in keys if key.client == client.id]
        await records.remove(*own, Usage(client.id), client)
        text = f"{user.name} removed the client {client.email}"
        told: tuple[Deployment, ...] = ()
        if own:
            told = await _tell(office, records, own[0], text)
        await office.audit(records, user, "project:client:remove", project.name, client.email)
    return client, told


async def rotate_project_key(
    office: Office, user: User, ref: str, client_ref: str | None, overlap: float
) -> Issued:
    """Replace the developer key of a project, or the key of one of its clients."""
    async with office.store.begin() as records:
        project = await _own_project(records, user, ref, "replace its keys")
        client = await _find_client(records, project, client_ref) if client_ref else None
        return await _rotate(office, records, user, (project.id, project.name), overlap, client)


async def rotate_service_key(office: Office, user: User, ref: str, overlap: float) -> Issued:
    """Replace the developer key of a service."""
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        require_owner(service, user, "replace its key")
        return await _rotate(office, records, user, (service.id, service.name), overlap)


async def _rotate(
    office: Office,
    records: Records,
    user: User,
    scope: tuple[str, str],
    overlap: float,
    client: Client | None = None,
) -> Issued:
    both, (id_, name) = check_overlap(overlap), scope
    fresh = office.new_key(id_, client.id if client else "")
    held = await records.find(Key, scope=id_, kind=fresh.kind.value)
    own = [key for key in held if key.client == fresh.client]
    change = rotated(own, fresh, fresh.created_at, both)
    await records.remove(*change.ended)
    await records.put(*change.retiring, fresh)
    whose = f"the key of {client.email}" if client else "the developer key"
    told = await _tell(office, records, fresh, f"{user.name} replaced {whose}")
    await office.audit(records, user, "key:rotate", name, whose)
    until = max((key.expires_at for key in change.retiring if key.expires_at), default=None)
    return _issued(office, fresh, name, told, client, until)


async def _tell(office: Office, records: Records, key: Key, text: str) -> tuple[Deployment, ...]:
    """Tell of a change of keys where they open; each deployment takes a turn, whatever comes.

    A row is put back as it is: that is what wakes the loop.
    """
    found = await records.find(Deployment, project=key.scope)
    found = found or await records.find(Deployment, service=key.scope)
    told = []
    for each in sorted(opened(key.kind, key.scope, found), key=lambda held: held.id):
        current = await records.get(Deployment, each.id)
        if current is not None:
            told.append(current)
    now = office.clock.now()
    await records.put(*told)
    await records.emit(*(event_of(each, EventKind.KEYS, text, now) for each in told))
    return tuple(told)


def _issued(
    office: Office,
    key: Key,
    owner: str,
    deployments: Sequence[Deployment],
    client: Client | None = None,
    old_until: datetime | None = None,
) -> Issued:
    plain = office.vault.open(key.sealed)
    return Issued(plain, key.kind, owner, key.created_at, tuple(deployments), client, old_until)


def _held(office: Office, keys: Sequence[Key]) -> tuple[HeldKey, ...]:
    now = office.clock.now()
    return tuple(
        HeldKey(hint_of(office.vault.open(key.sealed)), key.created_at, key.expires_at)
        for key in keys
        if key.open_at(now)
    )


async def _own_project(records: Records, user: User, ref: str, act: str) -> Project:
    project = await find_project(records, user, ref)
    require_project_owner(project, user, act)
    return project


async def _find_client(records: Records, project: Project, ref: str) -> Client:
    for found in await records.find(Client, project=project.id):
        if ref.strip().lower() in (found.email, found.id):
            return found
    hint = f"cs project:client:list {project.name}"
    raise not_found("client of this project", f"{project.name}: {shown(ref)}", hint)
