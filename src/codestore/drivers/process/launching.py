"""From a workload to a process: its command, its environment, its folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from codestore.domain.instances import Workload
from codestore.domain.manifest import RunKind
from codestore.drivers.process.naming import PRELOAD, SERVICE, TASK, Label, Phase
from codestore.drivers.process.places import (
    Host,
    home_folder,
    imports_file,
    owner,
    preload_folder,
    provide_folders,
    temporary_folder,
    view_of,
)
from codestore.keeper.errors import BAD_REQUEST, EXEC, TOO_LONG
from codestore.keeper.spec import ChildSpec

SERVER = "codestore_sdk.serve"
PRELOADER = "codestore_sdk.preload"
WAKE_TIME = "Server-Timing: wake;dur={ms}\r\n"  # the SDK says it itself
FINAL_GRACE = 2.0  # seconds between "leave now" and being killed
NEVER = frozenset({EXEC, BAD_REQUEST, TOO_LONG})
"""The keeper's refusals that another try would meet again."""


def service_spec(
    host: Host, workload: Workload, name: str, label: Label, parent: str | None
) -> ChildSpec:
    """Describe the process of an instance, which proves itself before it is admitted."""
    if on_port(workload):
        return replace(_spec(host, workload, name, label), port=True, greeting=WAKE_TIME)
    spec = _spec(host, workload, name, label)
    imports = imports_file(host, workload.deployment, workload.artifact.digest)
    env = {**spec.env, "CODESTORE_IMPORTS": str(imports)}
    sockets = (("private", name), ("shared", workload.deployment))
    return replace(spec, env=env, sockets=sockets, parent=parent)


def service_label(workload: Workload, ordinal: int, phase: Phase = Phase.STARTING) -> Label:
    """Return what is remembered of an instance."""
    return Label(
        workload.deployment,
        SERVICE,
        workload.revision,
        ordinal,
        workload.drain,
        phase,
        health=workload.health,
        version=workload.artifact.digest,
        disk=workload.resources.disk,
    )


def waking_spec(
    host: Host, workload: Workload, name: str, label: Label, parent: str | None
) -> ChildSpec:
    """Describe the process of an instance that a caller starts: it takes requests at once."""
    spec = service_spec(host, workload, name, label, parent)
    return replace(spec, env={**spec.env, "CODESTORE_ACCEPT": "1"})


def preload_spec(host: Host, workload: Workload, name: str) -> ChildSpec:
    """Describe the process that has the libraries of a version loaded, and is forked at a wake.

    It lives in the view of one deployment, where all whom it forks will live, but knows none of
    its variables. Its time is not bounded: callers wait for what it does.
    """
    provide_folders(host, workload.deployment)
    home = preload_folder(host, workload.deployment)
    log = host.logs / "preload" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    imports = imports_file(host, workload.deployment, workload.artifact.digest)
    python = workload.artifact.runtime or "python3"
    version, disk = workload.artifact.digest, workload.resources.disk
    label = Label(name, PRELOAD, workload.revision, 0, 0.0, version=version, disk=disk)
    return ChildSpec(
        name=name,
        argv=(python, "-m", PRELOADER, str(imports)),
        env=_base(host, workload, home),
        cwd=str(home),
        log=str(log),
        label=label.written(),
        forks=True,
        memory=workload.resources.memory,
        file_size=disk,  # of all whom it forks, too
        user=owner(host, workload.deployment),
        view=view_of(host, workload),
    )


def on_port(workload: Workload) -> bool:
    """Whether an instance listens on a port of its own."""
    return workload.run.kind is RunKind.COMMAND


def task_label(workload: Workload) -> Label:
    """Return what is remembered of a task."""
    return Label(
        workload.deployment,
        TASK,
        workload.revision,
        0,
        workload.drain,
        version=workload.artifact.digest,
        disk=workload.resources.disk,
    )


def task_spec(host: Host, workload: Workload, name: str, label: Label) -> ChildSpec:
    """Describe the process of a task: the workload's command, run once."""
    return _spec(host, workload, name, label)


def _spec(host: Host, workload: Workload, name: str, label: Label) -> ChildSpec:
    provide_folders(host, workload.deployment)
    home = home_folder(host, workload.deployment)
    log = host.logs / workload.deployment / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return ChildSpec(
        name=name,
        argv=_command(workload),
        env=_environment(host, workload, home),
        cwd=workload.artifact.code,
        log=str(log),
        label=label.written(),
        memory=workload.resources.memory,
        cpu=workload.resources.cpu,
        file_size=workload.resources.disk,
        secrets=workload.masked,
        user=owner(host, workload.deployment),
        view=view_of(host, workload),
    )


def _command(workload: Workload) -> tuple[str, ...]:
    run = workload.run
    if run.kind is RunKind.COMMAND:
        return run.arguments
    python = workload.artifact.runtime or "python3"
    return (python, "-m", SERVER, run.kind.value, *run.arguments)


def _environment(host: Host, workload: Workload, home: Path) -> Mapping[str, str]:
    """Return the whole environment of a service: nothing of the host's own gets in."""
    environment = {
        **_base(host, workload, home),
        "TMPDIR": str(temporary_folder(host, workload.deployment)),
        "CODESTORE_DRAIN": f"{workload.drain:g}",
    }
    return environment | {name: held.reveal() for name, held in workload.environment.items()}


def _base(host: Host, workload: Workload, home: Path) -> dict[str, str]:
    path = host.path
    if workload.artifact.runtime:
        path = f"{Path(workload.artifact.runtime).parent}:{path}"
    return {
        "PATH": path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
