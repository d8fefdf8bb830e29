"""Services: create, push, promote, roll, remove. Each writes an intent and returns at once."""

from dataclasses import dataclass
from pathlib import Path

from codestore.actions.office import Office, emit_asked, find_deployment, find_service
from codestore.actions.places import Found
from codestore.actions.undoing import roll_back
from codestore.domain.deployments import Deployment, Spec, Wish, doomed, require_idle, retargeted
from codestore.domain.environments import SERVICE_KINDS, Environment, Kind
from codestore.domain.faults import Fault, conflict, invalid, not_found
from codestore.domain.names import check_name, shown
from codestore.domain.services import Project, Service, User, require_owner
from codestore.domain.versions import History, Number, Seal, Version, next_number
from codestore.ports import Records

NOTES_LIMIT = 10_000  # characters


@dataclass(frozen=True, slots=True)
class Accepted:
    """A change that was accepted: what to wait for, and the command that undoes it."""

    service: Service
    deployments: tuple[Deployment, ...]
    undo: str


@dataclass(frozen=True, slots=True)
class Submission:
    """An uploaded folder and the notes that go with it."""

    upload: Path
    notes: str

    def checked(self) -> "Submission":
        """Refuse notes that are too long to be notes."""
        if len(self.notes) > NOTES_LIMIT or "\0" in self.notes:
            raise invalid(
                "bad_notes",
                "Release notes refused",
                f"Release notes are plain text of at most {NOTES_LIMIT} characters.",
            )
        return self


async def create_service(office: Office, user: User, name: str, sent: Submission) -> Accepted:
    """Make a service from a folder; its first version goes to private and demo."""
    check_name("service", name)
    sent.checked()
    async with office.store.begin() as records:
        if await records.find(Service, organization=user.organization, name=name):
            raise conflict(
                "service_exists",
                "The name is taken",
                f"There is a service {name} already.",
                f"Choose another name, or see it: cs service:info {name}",
            )
    seal = await office.builder.seal(sent.upload, name)
    now = office.clock.now()
    service = Service(office.new_id("svc"), name, user.id, user.organization, now)
    version = _version(office, user, service, seal, sent.notes, History())
    wish = office.wish(user, f"create {name}, version {version.number}")
    environments = [
        Environment(
            office.new_id("env"),
            kind.value,
            kind,
            service=service.id,
            organization=user.organization,
        )
        for kind in SERVICE_KINDS
    ]
    deployments = tuple(born(office, service, held, version, wish) for held in environments)
    async with office.store.begin() as records:
        await records.put(service, version, *environments, office.new_key(service.id), *deployments)
        await emit_asked(records, wish, *deployments)
        await office.audit(records, user, "service:create", name, wish.reason)
    return Accepted(service, deployments, f"cs service:remove {name} --yes")


async def push(office: Office, user: User, ref: str, sent: Submission) -> tuple[Accepted, Version]:
    """Make a version from a folder; it goes to private. Refused while a change is under way."""
    sent.checked()
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        require_owner(service, user, "push to it")
        private, demo = await _both_idle(records, service)
    seal = await office.builder.seal(sent.upload, service.name)
    async with office.change(private, demo) as records:
        private, demo = await _both_idle(records, service)
        history = _history(await records.find(Version, service=service.id))
        version = _version(office, user, service, seal, sent.notes, history)
        wish = office.wish(user, f"push {version.number}")
        private, before = retargeted(private, version.number, version.digest, wish), private
        await records.put(version, private)
        await emit_asked(records, wish, private)
        await office.audit(records, user, "push", service.name, wish.reason)
    return Accepted(service, (private,), roll_back(Found(service, None, before))), version


async def promote(office: Office, user: User, ref: str) -> Accepted:
    """Put the version that serves on private on demo: exactly that build, now public."""
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        require_owner(service, user, "promote it")
        private, demo = await _both_idle(records, service)
    async with office.change(private, demo) as records:
        private, demo = await _both_idle(records, service)
        live = private.status.live
        if live is None:
            raise nothing_live(service, private)
        refuse_same(demo, live.number, "cs push first")
        wish = office.wish(user, f"promote {live.number} to demo")
        after = retargeted(demo, live.number, live.digest, wish)
        await records.put(after)
        await emit_asked(records, wish, after)
        await office.audit(records, user, "promote", service.name, wish.reason)
    return Accepted(service, (after,), roll_back(Found(service, None, demo)))


async def roll(office: Office, user: User, ref: str, environment: str, number: str) -> Accepted:
    """Put an earlier (or later) version on private or demo; demo takes published ones only."""
    if environment not in [kind.value for kind in SERVICE_KINDS]:
        raise invalid(
            "bad_environment",
            "No such environment",
            f'"{shown(environment)}" is not an environment of a service.',
            hint="Use private or demo.",
        )
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        require_owner(service, user, "roll it")
        held = await find_deployment(records, service, environment)
    async with office.change(held) as records:
        before = await find_deployment(records, service, environment)
        version = await find_version(records, service, number, published=before.kind is Kind.DEMO)
        require_idle(before)
        refuse_same(before, version.number, f"cs version:list {service.name}")
        wish = office.wish(user, f"roll {environment} to {version.number}")
        after = retargeted(before, version.number, version.digest, wish)
        await records.put(after)
        await emit_asked(records, wish, after)
        await office.audit(records, user, "service:roll", service.name, wish.reason)
    return Accepted(service, (after,), roll_back(Found(service, None, before)))


async def remove_service(office: Office, user: User, ref: str) -> Accepted:
    """Remove a service with both its databases. Refused while a project includes it."""
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        require_owner(service, user, "remove it")
        held = await records.find(Deployment, service=service.id)
    async with office.change(*held) as records:
        deployments = await records.find(Deployment, service=service.id)
        if any(deployment.project for deployment in deployments):
            raise await _in_use(records, service, deployments)
        wish = office.wish(user, f"remove {service.name}")
        after = tuple(doomed(deployment, wish) for deployment in deployments)
        await records.put(*after)
        await emit_asked(records, wish, *after)
        await office.audit(records, user, "service:remove", service.name)
    return Accepted(service, after, f"cs service:create {service.name}")


async def _in_use(records: Records, service: Service, held: list[Deployment]) -> Fault:
    ids = dict.fromkeys(deployment.project for deployment in held if deployment.project)
    projects = [await records.get(Project, id_) for id_ in ids]
    names = [project.name for project in projects if project is not None]
    return conflict(
        "service_in_use",
        "A project includes this service",
        f"{service.name} is included in {', '.join(names)}; its data there would be lost.",
        f"Exclude it first: cs project:service:remove {names[0]} {service.name}",
    )


def born(
    office: Office, service: Service, environment: Environment, version: Version, wish: Wish
) -> Deployment:
    """Return a new deployment of a version in an environment, wanted but not yet there."""
    id_ = office.new_id("dep")
    label = f"{service.name}_{environment.name}".replace("-", "_")
    return Deployment(
        id=id_,
        hash=office.new_hash(),
        service=service.id,
        environment=environment.id,
        kind=environment.kind,
        project=environment.project,
        database=f"{label[:40]}_{id_.removeprefix('dep-')}",
        created_at=wish.at,
        spec=Spec(1, 1, version.number, version.digest, wish.by, wish.at, wish.reason),
        organization=service.organization,
    )


async def find_version(
    records: Records, service: Service, number: str, *, published: bool
) -> Version:
    """Return a version by number, or the public one for ``latest``."""
    if number == "latest":
        number = await _public_number(records, service)
    found = await records.find(Version, service=service.id, number=str(Number.parse(number)))
    if not found or (published and found[0].published_at is None):
        hint = f"cs version:list {service.name} shows them."
        what = "published version" if published else "version"
        raise not_found(what, f"{service.name} {number}", hint)
    return found[0]


async def _public_number(records: Records, service: Service) -> str:
    demo = await find_deployment(records, service, Kind.DEMO.value)
    if demo.status.live is None:
        raise nothing_live(service, demo)
    return demo.status.live.number


def nothing_live(service: Service, source: Deployment) -> Fault:
    """Return the fault for a promotion from where nothing serves."""
    return conflict(
        "nothing_live",
        "Nothing to take",
        f"No version of {service.name} serves on {source.kind}.",
        f"cs logs -s {service.name} -e {source.kind} shows why.",
    )


def refuse_same(target: Deployment, number: str, hint: str) -> None:
    """Refuse a change that would change nothing."""
    live = target.status.live
    if live is not None and live.number == number:
        raise conflict(
            "already_there", "Nothing to do", f"{target.kind} serves {number} already.", hint
        )


async def _both_idle(records: Records, service: Service) -> tuple[Deployment, Deployment]:
    """Return private and demo when neither is changing: a promotion reads one, writes the other."""
    private = await find_deployment(records, service, Kind.PRIVATE.value)
    demo = await find_deployment(records, service, Kind.DEMO.value)
    require_idle(private)
    require_idle(demo)
    return private, demo


def _history(versions: list[Version]) -> History:
    if not versions:
        return History()
    newest = max(versions, key=lambda held: Number.parse(held.number))
    taken = frozenset(held.number for held in versions)
    return History(Number.parse(newest.number), versions[-1].declared, taken)


def _version(
    office: Office, user: User, service: Service, seal: Seal, notes: str, history: History
) -> Version:
    declared = seal.manifest.version
    return Version(
        id=office.new_id("ver"),
        service=service.id,
        number=str(next_number(declared, history)),
        declared=declared,
        notes=notes,
        seal=seal,
        pushed_by=user.name,
        pushed_at=office.clock.now(),
    )
