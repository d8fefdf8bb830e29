"""The subject of a turn: a deployment with its version and the keys that open it."""

from collections.abc import Mapping
from dataclasses import dataclass

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES, PROJECT_KINDS
from codestore.domain.instances import Artifact, Workload
from codestore.domain.manifest import Run
from codestore.domain.routing import Access
from codestore.domain.secret import Secret
from codestore.domain.services import Key
from codestore.domain.versions import Version
from codestore.ports import Records, Vault
from codestore.reconcile.doors import Doors


@dataclass(frozen=True, slots=True)
class Subject:
    """What a turn is about, read in one transaction."""

    deployment: Deployment
    version: Version
    keys: tuple[Secret, ...]


async def read_subject(records: Records, vault: Vault, id_: str) -> Subject | None:
    """Read the deployment's side of the world; ``None`` when it is gone."""
    deployment = await records.get(Deployment, id_)
    if deployment is None:
        return None
    (version,) = await records.find(
        Version, service=deployment.service, number=deployment.spec.number
    )
    return Subject(deployment, version, await _keys(records, vault, deployment))


async def _keys(records: Records, vault: Vault, deployment: Deployment) -> tuple[Secret, ...]:
    """Open the keys of the scope that the deployment belongs to: its project, or its service."""
    keys = await records.find(Key, scope=key_scope(deployment))
    return tuple(vault.open(key.sealed) for key in keys)


def key_scope(deployment: Deployment) -> str:
    """Return what the keys of a deployment belong to; nothing where none is needed."""
    if POLICIES[deployment.kind].access is Access.PUBLIC:
        return ""
    return str(deployment.project if deployment.kind in PROJECT_KINDS else deployment.service)


def workload(subject: Subject, artifact: Artifact, doors: Doors, run: Run) -> Workload:
    """Describe what to run: the artifact, how, and every variable it gets."""
    deployment = subject.deployment
    return Workload(
        deployment=deployment.id,
        revision=deployment.spec.revision,
        artifact=artifact,
        run=run,
        environment=_variables(subject, doors),
        drain=POLICIES[deployment.kind].drain,
        preload=subject.version.seal.manifest.preload,
    )


def database_password(deployment: Deployment, vault: Vault) -> Secret:
    """Derive the password of a deployment's role: the same every time, stored nowhere."""
    return vault.derive(f"database:{deployment.id}:{deployment.database}")


def _variables(subject: Subject, doors: Doors) -> Mapping[str, Secret]:
    deployment = subject.deployment
    variables = {
        "PROJECT_ID": Secret(deployment.project or ""),
        "ENVIRONMENT_ID": Secret(deployment.environment),
        "SERVICE_ID": Secret(deployment.service),
    }
    if subject.version.seal.manifest.database:
        password = database_password(deployment, doors.vault)
        variables |= doors.databases.settings(deployment.database, password)
    return variables
