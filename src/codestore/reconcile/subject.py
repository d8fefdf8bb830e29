"""The subject of a turn: a deployment with its version and the keys that open it."""

from collections.abc import Mapping
from dataclasses import dataclass

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES, PROJECT_KINDS
from codestore.domain.instances import Artifact, Workload
from codestore.domain.manifest import Run
from codestore.domain.overrides import Override, resources
from codestore.domain.routing import Access
from codestore.domain.secret import Secret
from codestore.domain.services import Key
from codestore.domain.versions import Seal, Version
from codestore.ports import Records, Vault
from codestore.reconcile.doors import Doors


@dataclass(frozen=True, slots=True)
class Subject:
    """What a turn is about, read in one transaction.

    ``version`` is the wanted one, ``live`` the one that serves meanwhile, if that is another.
    """

    deployment: Deployment
    version: Version
    keys: tuple[Secret, ...]
    live: Version | None = None

    def of(self, revision: int) -> Version:
        """Return the version that a revision runs."""
        live = self.deployment.status.live
        if self.live is not None and live is not None and live.revision == revision:
            return self.live
        return self.version

    def sealed(self, digest: str) -> Seal:
        """Return the seal with a digest: of the wanted version, or of the one that serves."""
        if self.live is not None and self.live.digest == digest:
            return self.live.seal
        return self.version.seal


async def read_subject(records: Records, vault: Vault, id_: str) -> Subject | None:
    """Read the deployment's side of the world; ``None`` when it is gone."""
    deployment = await records.get(Deployment, id_)
    if deployment is None:
        return None
    version = await _version(records, deployment, deployment.spec.number)
    live, before = deployment.status.live, None
    if live is not None and live.revision != deployment.spec.revision:
        before = await _version(records, deployment, live.number)
    return Subject(deployment, version, await _keys(records, vault, deployment), before)


async def _version(records: Records, deployment: Deployment, number: str) -> Version:
    (version,) = await records.find(Version, service=deployment.service, number=number)
    return version


async def _keys(records: Records, vault: Vault, deployment: Deployment) -> tuple[Secret, ...]:
    """Open the keys of the scope that the deployment belongs to: its project, or its service."""
    keys = await records.find(Key, scope=key_scope(deployment))
    return tuple(vault.open(key.sealed) for key in keys)


def key_scope(deployment: Deployment) -> str:
    """Return what the keys of a deployment belong to; nothing where none is needed."""
    if POLICIES[deployment.kind].access is Access.PUBLIC:
        return ""
    return str(deployment.project if deployment.kind in PROJECT_KINDS else deployment.service)


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
    return Workload(
        deployment=deployment.id,
        revision=revision,
        artifact=artifact,
        run=run or manifest.run,
        environment=_variables(subject, doors, database=manifest.database),
        drain=policy.drain,
        preload=manifest.preload,
        scales=policy.max_instances > 1,
        health=manifest.health,
        resources=resources(policy, override),
    )


def database_password(deployment: Deployment, vault: Vault) -> Secret:
    """Derive the password of a deployment's role: the same every time, stored nowhere."""
    return vault.derive(f"database:{deployment.id}:{deployment.database}")


def _variables(subject: Subject, doors: Doors, *, database: bool) -> Mapping[str, Secret]:
    deployment = subject.deployment
    variables = {
        "PROJECT_ID": Secret(deployment.project or ""),
        "ENVIRONMENT_ID": Secret(deployment.environment),
        "SERVICE_ID": Secret(deployment.service),
    }
    if database:
        password = database_password(deployment, doors.vault)
        variables |= doors.databases.settings(deployment.database, password)
    return variables
