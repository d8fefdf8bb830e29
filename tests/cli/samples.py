"""What a platform with one service and one project would answer."""

from datetime import UTC, datetime
from typing import Any

from codestore.wire import (
    Change,
    Conclusion,
    DeploymentView,
    EnvironmentServices,
    EnvironmentView,
    EventView,
    InclusionView,
    LogView,
    PlanStep,
    PlanView,
    Problem,
    Processes,
    Profile,
    ProjectView,
    ReleaseView,
    ServiceView,
    StatusView,
    VersionView,
    Wait,
)

AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
URL = "http://127.0.0.1:7080/0123456789abcdef0123456789abcde"


def deployment(environment: str, state: str = "ready", **other: Any) -> DeploymentView:
    public = environment == "demo"
    told: dict[str, Any] = {
        "id": f"dep-{environment}",
        "environment": environment,
        "project": None if environment in ("private", "demo") else "prj-1",
        "service": "svc-1",
        "name": "blog",
        "version": "0.0.2" if state == "ready" else None,
        "digest": "d" * 64 if state == "ready" else None,
        "url": f"{URL}{len(environment) % 10}",
        "key": None if public else "key-of-the-developer",
        "access": "public" if public else "key",
        "state": state,
        "instances": 1 if state == "ready" else 0,
        "database": f"blog_{environment}",
        "generation": 2,
        "deployed_at": AT if state == "ready" else None,
    }
    return DeploymentView(**(told | other))


def service(state: str = "ready") -> ServiceView:
    held = {name: deployment(name, state) for name in ("private", "demo")}
    return ServiceView("svc-1", "blog", "usr-1", "org-1", held)


def release(environment: str = "private", state: str = "ready") -> ReleaseView:
    held = deployment(environment, state)
    return ReleaseView("svc-1", "0.0.2", "d" * 64, environment, held)


KINDS = ("development", "staging", "production")


def project(*, empty: bool = False) -> ProjectView:
    held = {
        kind: EnvironmentServices({} if empty else {"svc-1": deployment(kind)}) for kind in KINDS
    }
    return ProjectView("prj-1", "shop", "Where we sell", "usr-1", "org-1", "key-of-shop", held)


def inclusion(state: str = "ready") -> InclusionView:
    return InclusionView(
        "prj-1", "svc-1", "blog", {kind: deployment(kind, state) for kind in KINDS}
    )


def change(document: Any, *environments: str, undo: str = "cs undo-it") -> Change[Any]:
    return Change(document, [Wait(f"dep-{name}", name, 2) for name in environments], undo)


def conclusion(*environments: str, problem: Problem | None = None) -> Conclusion:
    state = "failed" if problem else "ready"
    held = {f"dep-{name}": deployment(name, state) for name in environments}
    return Conclusion(problem is None, held, [problem] if problem else [])


def problem() -> Problem:
    return Problem(
        type="urn:codestore:problem:unhealthy",
        title="It does not work",
        detail="GET /health answered 500.\nTraceback:\n  boom",
        status=500,
        code="unhealthy",
        hint="cs logs -s blog",
    )


def event(kind: str, environment: str = "private", **other: Any) -> EventView:
    told: dict[str, Any] = {
        "sequence": 7,
        "at": AT,
        "environment": environment,
        "service": "blog",
        "project": None,
        "deployment": f"dep-{environment}",
        "generation": 2,
        "kind": kind,
        "message": "run the migrations",
        "step": "migrate",
        "duration": 0.12 if kind in ("step_done", "step_failed") else None,
        "problem": None,
    }
    return EventView(**(told | other))


def version(number: str, *, latest: bool = False) -> VersionView:
    notes = f"What {number} brings\nand more"
    return VersionView("blog", number, "d" * 64, notes, "ann", AT, AT if latest else None, latest)


def environment(deployments: list[DeploymentView]) -> EnvironmentView:
    return EnvironmentView(
        "env-1", "private", "private", "blog", 1, "key", 300.0, "0–1", deployments
    )


STATUS = StatusView(
    "0.1.0", "http://127.0.0.1:7080", "/data", "ready", Processes(10, 11, 12, None), {"ready": 2}
)
PROFILE = Profile("usr-1", "ann", "org-1")
PLAN = PlanView(
    "dep-private",
    "private",
    "blog",
    "starting",
    0,
    1,
    None,
    [PlanStep("start:1.0", "start instance 1.0", "it is wanted and not there")],
)
NO_PLAN = PlanView("dep-demo", "demo", "blog", "ready", 1, 1, None, [])
LOG = LogView(AT, "private", "blog", "1.0", "out", "Hello\x1b[31m, World!")
