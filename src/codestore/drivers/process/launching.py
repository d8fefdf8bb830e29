"""From a workload to a process: its command, its environment, its folder."""

import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from codestore.domain.instances import Workload
from codestore.domain.manifest import RunKind
from codestore.drivers.process.naming import PRELOAD, SERVICE, Label, Phase
from codestore.keeper.errors import BAD_REQUEST, EXEC, TOO_LONG
from codestore.keeper.spec import ChildSpec

SERVER = "codestore_sdk.serve"
PRELOADER = "codestore_sdk.preload"
WAKE_TIME = "Server-Timing: wake;dur={ms}\r\n"  # the SDK says it itself
FINAL_GRACE = 2.0  # seconds between "leave now" and being killed
NEVER = frozenset({EXEC, BAD_REQUEST, TOO_LONG})
"""The keeper's refusals that another try would meet again."""


@dataclass(frozen=True, slots=True)
class Host:
    """Folders of the driver and the program path of services (not the host's own ``PATH``)."""

    work: Path
    logs: Path
    path: str


def service_spec(
    host: Host, workload: Workload, name: str, label: Label, parent: str | None
) -> ChildSpec:
    """Describe the process of an instance, which proves itself before it is admitted."""
    if on_port(workload):
        return replace(_spec(host, workload, name, label), port=True, greeting=WAKE_TIME)
    spec = _spec(host, workload, name, label)
    imports = imports_file(host, workload.deployment, workload.revision)
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
    )


def waking_spec(
    host: Host, workload: Workload, name: str, label: Label, parent: str | None
) -> ChildSpec:
    """Describe the process of an instance that a caller starts: it takes requests at once."""
    spec = service_spec(host, workload, name, label, parent)
    return replace(spec, env={**spec.env, "CODESTORE_ACCEPT": "1"})


def preload_spec(host: Host, workload: Workload, name: str) -> ChildSpec:
    """Describe the process that has the libraries of a version loaded, and is forked at a wake.

    It belongs to one version and knows nothing of a deployment: no variable, no folder. Its time
    is not bounded: callers wait for what it does.
    """
    home = host.work / "preload"
    home.mkdir(parents=True, exist_ok=True)
    log = host.logs / "preload" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    imports = imports_file(host, workload.deployment, workload.revision)
    python = workload.artifact.runtime or "python3"
    return ChildSpec(
        name=name,
        argv=(python, "-m", PRELOADER, str(imports)),
        env=_base(host, workload, home),
        cwd=str(home),
        log=str(log),
        label=Label(name, PRELOAD, workload.revision, 0, 0.0).written(),
        forks=True,
        memory=workload.resources.memory,
    )


def on_port(workload: Workload) -> bool:
    """Whether an instance listens on a port of its own."""
    return workload.run.kind is RunKind.COMMAND


def imports_file(host: Host, deployment: str, revision: int) -> Path:
    """Return where an instance writes down which libraries it had loaded when it was ready."""
    return host.work / deployment / f"imports-{revision}.json"


def task_spec(host: Host, workload: Workload, name: str, label: Label) -> ChildSpec:
    """Describe the process of a task: the workload's command, run once."""
    return _spec(host, workload, name, label)


def provide_code(host: Host, workload: Workload) -> Path:
    """Return the revision's own copy of the code, made when it is not there yet.

    A service may write beside its code. The sealed tree stays as it was pushed, and no other
    deployment sees what this one wrote.
    """
    place = code_folder(host, workload.deployment, workload.revision)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="code-new-", dir=place.parent))
    shutil.copytree(workload.artifact.code, fresh, symlinks=True, dirs_exist_ok=True)
    for folder, _, files in os.walk(fresh):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)
    try:
        fresh.rename(place)
    except OSError:  # somebody else was quicker
        shutil.rmtree(fresh, ignore_errors=True)
        if not place.exists():
            raise
    return place


def code_folder(host: Host, deployment: str, revision: int) -> Path:
    """Return where a revision's copy of the code is."""
    return host.work / deployment / f"code-{revision}"


def clear_code(host: Host, deployment: str, keep: Collection[int]) -> None:
    """Delete the copies of revisions other than these."""
    kept = {code_folder(host, deployment, revision) for revision in keep}
    for place in (host.work / deployment).glob("code-*"):
        if place not in kept:
            shutil.rmtree(place, ignore_errors=True)
    known = {imports_file(host, deployment, revision) for revision in keep}
    for file in (host.work / deployment).glob("imports-*"):
        if file not in known:
            file.unlink(missing_ok=True)


def _spec(host: Host, workload: Workload, name: str, label: Label) -> ChildSpec:
    home = host.work / workload.deployment
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    log = host.logs / workload.deployment / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return ChildSpec(
        name=name,
        argv=_command(workload),
        env=_environment(host, workload, home),
        cwd=str(code_folder(host, workload.deployment, workload.revision)),
        log=str(log),
        label=label.written(),
        memory=workload.resources.memory,
        cpu=workload.resources.cpu,
        secrets=workload.masked,
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
        "TMPDIR": str(home / "tmp"),
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
