"""The subject of a turn: a deployment with its version and whoever may call it."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES
from codestore.domain.faults import Fault
from codestore.domain.instances import Artifact, Workload
from codestore.domain.keys import Key, KeyKind, key_scope, opens
from codestore.domain.manifest import Run
from codestore.domain.overrides import Override, resources
from codestore.domain.routing import Caller, Route
from codestore.domain.secret import Secret
from codestore.domain.secrets import DataKey, SecretSet, SetRef
from codestore.domain.versions import Seal, Version
from codestore.ports import Records, Vault
from codestore.reconcile.doors import Doors
from codestore.safe import Safe, contents

_MASKED = ("DATABASE_URL", "DATABASE_PASSWORD")  # of the platform's own variables


@dataclass(frozen=True, slots=True)
class Guests:
    """Who may call a deployment that asks for a key."""

    keys: tuple[Secret, ...] = ()
    callers: tuple[Caller, ...] = ()

    @classmethod
    def among(
        cls, keys: Iterable[Key], deployment: Deployment, vault: Vault, now: datetime
    ) -> "Guests":
        """Return those among the keys of a scope that open the deployment now."""
        policy = POLICIES[deployment.kind]
        opening = [key for key in keys if opens(key, policy, now)]
        plain = {key.id: vault.open(key.sealed) for key in opening}
        return cls(
            tuple(plain[key.id] for key in opening if key.kind is KeyKind.DEVELOPER),
            tuple(
                Caller(key.client, plain[key.id]) for key in opening if key.kind is KeyKind.CLIENT
            ),
        )

    def let_in(self, route: Route) -> Route:
        """Return the route, open to them and to nobody else."""
        return replace(route, keys=self.keys, callers=self.callers)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a turn is about, read in one transaction.

    ``version`` is the wanted one, ``live`` the one that serves meanwhile, if that is another.
    ``secrets`` are those of each revision; ``None``: they do not open, nothing can be started.
    """

    deployment: Deployment
    version: Version
    guests: Guests
    live: Version | None = None
    secrets: Mapping[int, Mapping[str, Secret]] | None = field(default_factory=dict)

    def of(self, revision: int) -> Version:
        """Return the version that a revision runs."""
        live = self.deployment.status.live
        if self.live is not None and live is not None and live.revision == revision:
            return self.live
        return self.version

    def login_of(self, revision: int) -> int:
        """Return by which password of its database a revision connects."""
        spec, live = self.deployment.spec, self.deployment.status.live
        if live is not None and live.revision == revision:
            return live.login
        return spec.login

    def sealed(self, digest: str) -> Seal:
        """Return the seal with a digest: of the wanted version, or of the one that serves."""
        if self.live is not None and self.live.digest == digest:
            return self.live.seal
        return self.version.seal


async def read_subject(records: Records, doors: Doors, id_: str) -> Subject | None:
    """Read the deployment's side of the world; ``None`` when it is gone."""
    deployment = await records.get(Deployment, id_)
    return None if deployment is None else await subject_of(records, doors, deployment)


async def subject_of(records: Records, doors: Doors, deployment: Deployment) -> Subject:
    """Read what belongs to a deployment that was read in this transaction."""
    version = await _version(records, deployment, deployment.spec.number)
    live, before = deployment.status.live, None
    if live is not None and live.revision != deployment.spec.revision:
        before = await _version(records, deployment, live.number)
    guests = await guests_of(records, doors, deployment)
    return Subject(deployment, version, guests, before, await _secrets(records, doors, deployment))


async def _version(records: Records, deployment: Deployment, number: str) -> Version:
    (version,) = await records.find(Version, service=deployment.service, number=number)
    return version


async def _secrets(
    records: Records, doors: Doors, deployment: Deployment
) -> Mapping[int, Mapping[str, Secret]]:
    """Open the secrets of the wanted revision, and of the one that serves."""
    refs = revisions(deployment)
    if not any(ref.keys for ref in refs):
        return {}
    safe = Safe(records, doors.keyring, doors.clock, deployment.organization)
    return {ref.revision: await safe.opened(ref) for ref in refs}


async def all_secrets(
    records: Records, doors: Doors, deployments: Iterable[Deployment]
) -> Mapping[str, Mapping[int, Mapping[str, Secret]]]:
    """Open the secrets of many deployments, in two questions.

    Those that do not open are left out: the turn of their deployment meets that again, and tells.
    """
    keys = {key.id: key for key in await records.find(DataKey)}
    sets = {held.id: held for held in await records.find(SecretSet)}
    found = {}
    for each in deployments:
        refs = [ref for ref in revisions(each) if ref.keys]
        with contextlib.suppress(Fault, KeyError):
            found[each.id] = {ref.revision: _opened(ref, sets, keys, doors) for ref in refs}
    return found


def _opened(
    ref: SetRef, sets: Mapping[str, SecretSet], keys: Mapping[str, DataKey], doors: Doors
) -> Mapping[str, Secret]:
    held = sets[ref.id]
    return contents(doors.keyring.open(keys[held.data_key], held.place, held.sealed))


def revisions(deployment: Deployment) -> list[SetRef]:
    """Return the sets of the wanted revision, and of the one that serves."""
    live = deployment.status.live
    both = deployment.spec.secrets, None if live is None else live.secrets
    return list(dict.fromkeys(ref for ref in both if ref is not None))


async def guests_of(records: Records, doors: Doors, deployment: Deployment) -> Guests:
    """Read who may call a deployment: by the keys of its project, or of its service."""
    scope = key_scope(deployment)
    keys = await records.find(Key, scope=scope) if scope else []
    return Guests.among(keys, deployment, doors.vault, doors.clock.now())


def workload(
    subject: Subject, revision: int, artifact: Artifact, doors: Doors, run: Run | None = None
) -> Workload:
    """Describe what to run: the artifact, how, and every variable it gets.

    ``run`` is something of the version that is not an instance of it.
    """
    deployment = subject.deployment
    manifest = subject.of(revision).seal.manifest
    policy = POLICIES[deployment.kind]
    override = manifest.overrides.get(deployment.kind, Override())
    secrets = (subject.secrets or {}).get(revision, {})
    return Workload(
        deployment=deployment.id,
        revision=revision,
        artifact=artifact,
        run=run or manifest.run,
        environment={
            **secrets,
            **_variables(subject, revision, doors, database=manifest.database),
        },
        drain=policy.drain,
        preload=manifest.preload,
        scales=policy.max_instances > 1,
        health=manifest.health,
        resources=resources(policy, override),
        masked=(*secrets, *_MASKED),
    )


def database_password(deployment: Deployment, vault: Vault, login: int) -> Secret:
    """Derive the password of a deployment's login: the same every time, stored nowhere."""
    number = f":{login}" if login else ""
    return vault.derive(f"database:{deployment.id}:{deployment.database}{number}")


def _variables(
    subject: Subject, revision: int, doors: Doors, *, database: bool
) -> dict[str, Secret]:
    deployment = subject.deployment
    variables = {
        "PROJECT_ID": Secret(deployment.project or ""),
        "ENVIRONMENT_ID": Secret(deployment.environment),
        "SERVICE_ID": Secret(deployment.service),
    }
    if database:
        login = subject.login_of(revision)
        password = database_password(deployment, doors.vault, login)
        variables |= doors.databases.settings(deployment.database, password, login)
    return variables
