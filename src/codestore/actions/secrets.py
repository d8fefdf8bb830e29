"""Secrets: set, changed and taken away at a scope; listed and explained with where they come from.

A change gives every deployment whose value of the key is another one a new set, as one more change
of that deployment: it is rolled out like any other, and nothing else is restarted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from codestore.actions.office import Office, emit_asked, find_project, find_service
from codestore.domain.deployments import Deployment, restarted
from codestore.domain.environments import Environment
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import Fault, conflict, invalid, not_found
from codestore.domain.names import shown
from codestore.domain.secret import Secret
from codestore.domain.secrets import (
    MOST_BYTES,
    Scope,
    SealedSecret,
    chain_of,
    check_key,
    check_value,
    resolved,
    rivals,
)
from codestore.domain.services import Project, Service, User, require_owner
from codestore.domain.versions import Version
from codestore.ports import Records
from codestore.safe import Safe

ADD, UPDATE, REMOVE, REVEAL = "secret:add", "secret:update", "secret:remove", "secret:reveal"
_HINT = "Name a project (-p), an environment in it (-p -e), or a service in that (-p -e -s)."


@dataclass(frozen=True, slots=True)
class Where:
    """A scope in the words of whoever asks: names or ids."""

    project: str | None = None
    environment: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A scope that exists, with what it is called."""

    scope: Scope
    project: Project | None = None
    environment: Environment | None = None
    service: Service | None = None

    @property
    def arguments(self) -> str:
        """The words by which a command names it."""
        named = (("-p", self.project), ("-e", self.environment), ("-s", self.service))
        return " ".join(f"{option} {noun.name}" for option, noun in named if noun is not None)

    def of(self, scope: Scope) -> "Spot":
        """Return a wider scope of the same chain."""
        return Spot(
            scope,
            self.project if scope.project is not None else None,
            self.environment if scope.environment is not None else None,
            self.service if scope.service is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """A secret with where it is set; ``value`` is there if it was to be revealed."""

    secret: SealedSecret
    spot: Spot
    value: Secret | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """An accepted change: what was set (or taken away), and the deployments that start anew."""

    key: str
    spot: Spot
    secret: SealedSecret | None
    deployments: tuple[Deployment, ...]
    undo: str


@dataclass(frozen=True, slots=True)
class Explained:
    """Every scope of a chain, the nearest first, with what it says; the first that says wins.

    ``applied``: what runs there has the winning value (or, without a winner, none); ``None`` where
    nothing runs, or the chain is not that of one deployment. ``needed``: its manifest names the
    key.
    """

    key: str
    chain: tuple[tuple[Spot, SealedSecret | None], ...]
    applied: bool | None
    needed: bool


async def put_secret(
    office: Office, user: User, where: Where, key: str, value: str, *, fresh: bool
) -> Changed:
    """Set a secret: one that is new at this scope, or (not ``fresh``) one that is there."""
    check_key(key)
    secret, word = Secret(check_value(value)), ADD if fresh else UPDATE
    async with office.store.begin() as records:
        spot = await find_spot(records, user, where)
        safe = await Safe.unlock(records, office.keyring, office.clock, user.organization)
        held = await _held(safe, spot, key)
        if fresh and held is not None:
            raise _taken(spot, key)
        if not fresh and held is None:
            raise _absent(spot, key)
        now = office.clock.now()
        id_ = held.id if held is not None else office.new_id("sec")
        made = SealedSecret(id_, user.organization, spot.scope, key, "", "", user.name, now)
        await safe.put(made, secret)
        await _check_room(safe, spot)
        after = await _spread(office, user, safe, spot, key, word)
        await office.audit(records, user, word, key, spot.arguments)
    undo = f"cs secret:remove {spot.arguments} -k {key}" if fresh else "set the value before again"
    return Changed(key, spot, made, after, undo)


async def remove_secret(office: Office, user: User, where: Where, key: str) -> Changed:
    """Take a secret away from a scope; a wider one may have it still."""
    async with office.store.begin() as records:
        spot = await find_spot(records, user, where)
        safe = await Safe.unlock(records, office.keyring, office.clock, user.organization)
        held = await _held(safe, spot, key)
        if held is None:
            raise _absent(spot, key)
        await records.remove(held)
        after = await _spread(office, user, safe, spot, key, REMOVE)
        await office.audit(records, user, REMOVE, key, spot.arguments)
    return Changed(key, spot, None, after, f"cs secret:add {spot.arguments} -k {key}")


async def list_secrets(
    office: Office, user: User, where: Where, *, reveal: bool = False
) -> list[Shown]:
    """Return the secrets that hold at a scope, each with where it is set.

    With ``reveal`` their values too, and that is told.
    """
    async with office.store.begin() as records:
        spot = await find_spot(records, user, where)
        safe = Safe(records, office.keyring, office.clock, user.organization)
        won = resolved(chain_of(spot.scope), await safe.reaching(spot.scope))
        found = [
            Shown(each, spot.of(each.scope), await safe.open(each) if reveal else None)
            for each in won.values()
        ]
        if reveal:
            now = office.clock.now()
            text = f"{REVEAL}: {user.name} saw {', '.join(won) or 'that there is none'}"
            reached = await _reached(records, spot)
            await records.emit(*(event_of(held, EventKind.REVEALED, text, now) for held in reached))
            await office.audit(records, user, REVEAL, spot.arguments, ", ".join(won))
    return found


async def explain(office: Office, user: User, where: Where, key: str) -> Explained:
    """Return where a key is looked for from a scope, and what is found there."""
    check_key(key)
    async with office.store.begin() as records:
        spot = await find_spot(records, user, where)
        safe = Safe(records, office.keyring, office.clock, user.organization)
        found = await safe.reaching(spot.scope)
        told = rivals(chain_of(spot.scope), found, key)
        won = next((secret for _, secret in told if secret is not None), None)
        applied, needed = None, False
        for held in await _reached(records, spot):
            if held.scope == spot.scope:
                needed = key in (await _version(records, held)).seal.manifest.secrets
                if held.status.live is not None:
                    given = (await safe.opened(held.status.live.secrets)).get(key)
                    applied = given == (None if won is None else await safe.open(won))
    return Explained(key, tuple((spot.of(s), each) for s, each in told), applied, needed)


async def find_spot(records: Records, user: User, where: Where) -> Spot:
    """Return a scope by its words. A service's own environments are its owner's."""
    project = None if where.project is None else await find_project(records, user, where.project)
    service = None if where.service is None else await find_service(records, user, where.service)
    if project is None and service is None:
        raise invalid(
            "no_scope", "Where?", "A secret belongs to a project or a service.", hint=_HINT
        )
    if project is not None and service is not None and where.environment is None:
        raise invalid(
            "no_environment",
            "In which environment?",
            f"In {project.name} a service has secrets in one environment at a time.",
            hint=_HINT,
        )
    if project is None and service is not None:
        require_owner(service, user, "see or change its secrets")
    environment = None
    if where.environment is not None:
        owner = {"project": project.id} if project is not None else {"service": service.id}  # type: ignore[union-attr]
        found = await records.find(Environment, name=where.environment, **owner)
        if not found:
            raise not_found("environment", shown(where.environment))
        environment = found[0]
    scope = Scope(
        project.id if project is not None else None,
        environment.id if environment is not None else None,
        service.id if service is not None else None,
    )
    return Spot(scope, project, environment, service)


async def _spread(
    office: Office, user: User, safe: Safe, spot: Spot, key: str, word: str
) -> tuple[Deployment, ...]:
    """Have every deployment that gets another value of a key now start anew with it."""
    wish = office.wish(user, f"{word} {key} ({spot.arguments})")
    records, after = safe.records, []
    for id_ in sorted(held.id for held in await _reached(records, spot)):
        held = await records.get(Deployment, id_)
        if held is None or held.spec.removed or _finds_it_itself(held):
            continue
        values = await safe.opened(held.spec.secrets)
        fresh = await _with_key(safe, held, values, key)
        if fresh == values:
            continue
        if key not in fresh and key in (await _version(records, held)).seal.manifest.secrets:
            raise _needed(held, spot, key)
        spec = held.spec
        ref = await safe.keep(id_, spec.number, spec.generation + 1, fresh)
        after.append(restarted(held, ref, wish))
    await records.put(*after)
    await emit_asked(records, wish, *after)
    return tuple(after)


def _finds_it_itself(held: Deployment) -> bool:
    """Whether nothing ever ran there, and the first version has not been told its secrets yet.

    Where something is live, a change that has not begun is none to rely on: if it fails, what goes
    on serving would not have what is set now.
    """
    return held.unresolved and held.status.live is None


async def _with_key(
    safe: Safe, held: Deployment, values: Mapping[str, Secret], key: str
) -> dict[str, Secret]:
    """Return what a deployment was given, with this key as it is set now."""
    fresh = {name: value for name, value in values.items() if name != key}
    won = resolved(chain_of(held.scope), await safe.reaching(held.scope)).get(key)
    if won is not None:
        fresh[key] = await safe.open(won)
    return fresh


async def _reached(records: Records, spot: Spot) -> list[Deployment]:
    """Return the deployments that a scope reaches."""
    scope = spot.scope
    if scope.project is not None:
        found = await records.find(Deployment, project=scope.project)
    else:
        found = await records.find(Deployment, service=str(scope.service))
    return [held for held in found if scope in chain_of(held.scope)]


async def _held(safe: Safe, spot: Spot, key: str) -> SealedSecret | None:
    return next((each for each in await safe.at(spot.scope) if each.key == key), None)


async def _version(records: Records, held: Deployment) -> Version:
    (version,) = await records.find(Version, service=held.service, number=held.spec.number)
    return version


async def _check_room(safe: Safe, spot: Spot) -> None:
    held = await safe.at(spot.scope)
    size = 0
    for each in held:
        size += len(each.key) + len((await safe.open(each)).reveal().encode())
    if size > MOST_BYTES:
        raise invalid(
            "too_many_secrets",
            "No room for that",
            f"All secrets at one scope have at most {MOST_BYTES} bytes.",
            hint=f"cs secret:list {spot.arguments} shows them.",
        )


def _taken(spot: Spot, key: str) -> Fault:
    hint = f"To change it: cs secret:update {spot.arguments} -k {key}"
    return conflict("secret_exists", "It is set already", f"{key} is set there already.", hint)


def _absent(spot: Spot, key: str) -> Fault:
    hint = f"cs secret:explain {shown(key)} {spot.arguments} shows where it is set."
    return not_found("secret", shown(key), hint)


def _needed(held: Deployment, spot: Spot, key: str) -> Fault:
    return conflict(
        "secret_needed",
        "It is needed",
        f"{held.spec.number} names {key} as needed, and would have none in {held.kind}.",
        f"Set it nearer first, or push a version without it; cs secret:explain {key} "
        f"{spot.arguments} shows where it is set.",
    )
