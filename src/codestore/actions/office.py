"""What every action needs at hand: the doors it may use, and who is asking."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from codestore.domain.audit import Deed, chained
from codestore.domain.deployments import Deployment, Wish
from codestore.domain.environments import Environment
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import not_found
from codestore.domain.ids import make_hash, make_id
from codestore.domain.keys import Key, KeyKind, plain_key
from codestore.domain.names import shown
from codestore.domain.secret import Secret
from codestore.domain.services import Project, Service, User
from codestore.ports import Builder, Clock, Keyring, Logs, N, Records, Store, Vault


@dataclass(frozen=True, slots=True)
class Office:
    """The doors of the actions. They never reach a driver, a gateway or a database server."""

    store: Store
    builder: Builder
    vault: Vault
    clock: Clock
    logs: Logs
    keyring: Keyring

    @asynccontextmanager
    async def change(self, *touched: Deployment) -> AsyncIterator[Records]:
        """Open a transaction that holds these deployments, in an order that cannot dead-lock."""
        async with self.store.begin() as records:
            for deployment in sorted(touched, key=lambda held: held.id):
                await records.get(Deployment, deployment.id)
            yield records

    def wish(self, user: User, reason: str) -> Wish:
        """Return who asks for what, now."""
        return Wish(user.name, self.clock.now(), reason)

    async def audit(
        self, records: Records, user: User, act: str, subject: str, detail: str = ""
    ) -> None:
        """Append to what the user's organization changed; the last thing in a transaction.

        Until its end nobody else of the organization can append.
        """
        last = await records.trail.last(user.organization)
        deed = Deed(self.clock.now(), user.name, user.id, act, subject, detail)
        await records.trail.append(chained(user.organization, deed, last, self.audit_key))

    @property
    def audit_key(self) -> Secret:
        """The key of the chain's seals; not in the database."""
        return self.vault.derive("audit")

    def new_id(self, prefix: str) -> str:
        """Return a fresh id."""
        return make_id(prefix, self.clock.token())

    def new_hash(self) -> str:
        """Return fresh digits for a URL."""
        return make_hash(self.clock.token())

    def new_key(self, scope: str, client: str = "") -> Key:
        """Return a fresh key, sealed: of a service's or project's developers, or of a client."""
        key_id = self.new_id("key")
        kind = KeyKind.CLIENT if client else KeyKind.DEVELOPER
        sealed = self.vault.seal(plain_key(kind, self.clock.token()))
        return Key(key_id, scope, kind, sealed, self.clock.now(), client)


async def find_service(records: Records, user: User, ref: str) -> Service:
    """Return a service of the user's organization by id or name."""
    service = await find_named(records, Service, user, ref)
    if service is None:
        raise not_found("service", shown(ref), "cs service:list shows the services you can see.")
    return service


async def find_project(records: Records, user: User, ref: str) -> Project:
    """Return a project of the user's organization by id or name."""
    project = await find_named(records, Project, user, ref)
    if project is None:
        raise not_found("project", shown(ref), "cs project:list shows the projects you can see.")
    return project


async def find_named(records: Records, kind: type[N], user: User, ref: str) -> N | None:
    """Look for a name, then for an id, among what the organization has: nothing else is read."""
    found = await records.find(kind, organization=user.organization, name=ref)
    if not found:
        found = await records.find(kind, organization=user.organization, id=ref)
    return found[0] if found else None


async def find_deployment(records: Records, service: Service, name: str) -> Deployment:
    """Return the deployment of a service in its own environment ``private`` or ``demo``."""
    environments = await records.find(Environment, service=service.id, name=name)
    found = [
        deployment
        for environment in environments
        for deployment in await records.find(Deployment, environment=environment.id)
    ]
    if not found:
        raise not_found("deployment", f"{service.name}/{name}", "It is being removed.")
    return found[0]


async def emit_asked(records: Records, wish: Wish, *deployments: Deployment) -> None:
    """Tell that people asked for something."""
    events = (event_of(held, EventKind.ASKED, wish.reason, wish.at) for held in deployments)
    await records.emit(*events)
