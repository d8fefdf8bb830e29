"""What a platform with one service and one project would answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from codestore.wire import (
    CanaryView,
    Change,
    Conclusion,
    DeploymentView,
    EnvironmentServices,
    EnvironmentView,
    EventView,
    HoldView,
    InclusionView,
    LimitsView,
    LogView,
    MarkView,
    PlanStep,
    PlanView,
    Problem,
    ProjectView,
    ReleaseView,
    RolloutView,
    ScaleView,
    ServiceView,
    StandbyView,
    VersionView,
    Wait,
    WakesView,
)
from codestore.wire.people import EntryView, Profile, TokenView, UserView
from codestore.wire.status import Processes, StatusView, Walls
from codestore.wire.verifications import FindingView, VerificationView, WallView

AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
URL = "http://127.0.0.1:7080/0123456789abcdef0123456789abcde"


def _limits(environment: str) -> LimitsView:
    if environment == "production":
        return LimitsView(None, None, None, 300.0, 2**30, 2.0, 2**33)
    return LimitsView(500.0, 2000, 100 * 2**20, 120.0, 512 * 2**20, 1.0, 2**30)


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
        "instances": (2 if environment == "production" else 1) if state == "ready" else 0,
        "database": f"blog_{environment}",
        "generation": 2,
        "deployed_at": AT if state == "ready" else None,
        "scale": ScaleView(2, 2, 8) if environment == "production" else ScaleView(1, 1, 1),
        "limits": _limits(environment),
        "standby_after": 300.0 if environment in ("private", "demo") else None,
        "stop_after": 1800.0 if environment in ("private", "demo") else None,
        "since": AT,
        "reason": "push 0.0.2" if state == "deploying" else "0.0.2 was deployed.",
    }
    return DeploymentView(**(told | other))


def sleeper(environment: str = "private", **other: Any) -> DeploymentView:
    """Return one that is frozen, and was woken from both depths before."""
    told: dict[str, Any] = {
        "version": "0.0.2",
        "digest": "d" * 64,
        "deployed_at": AT,
        "since": AT + timedelta(minutes=5),
        "reason": "No request came; its processes are frozen.",
        "standby": StandbyView("frozen", AT, AT + timedelta(minutes=5)),
        "wakes": {
            "frozen": WakesView(7, 3.0, 8.0, {"3": 4, "8": 7, "10000": 7, "+Inf": 7}, 0.025),
            "stopped": WakesView(1, None, None, {"3": 0, "8": 0, "10000": 0, "+Inf": 1}, 12.5),
        },
    }
    return deployment(environment, "standby", **(told | other))


def sleeping_service() -> ServiceView:
    held = {"private": sleeper(), "demo": deployment("demo")}
    return ServiceView("svc-2", "wiki", "usr-1", "org-1", held)


HELD = HoldView("ada", AT, "rolled back from 0.0.3 to 0.0.2")
MARKS = [
    MarkView("0.0.1", "It does not start", AT - timedelta(days=2), "bob"),
    MarkView("0.0.3", "rolled back from 0.0.3 to 0.0.2", AT, "ada"),
]


def stayer(**other: Any) -> DeploymentView:
    """Return one that was rolled back, and grew under load."""
    told: dict[str, Any] = {
        "instances": 3,
        "scale": ScaleView(4, 2, 8),
        "hold": HELD,
        "marks": MARKS,
        "previous": "0.0.1",
    }
    return deployment("production", **(told | other))


def canary(**other: Any) -> CanaryView:
    told: dict[str, Any] = {
        "version": "0.0.3",
        "steps": [5, 25, 100],
        "hold": 60.0,
        "error_rate": 0.01,
        "percent": 5,
        "since": AT,
        "next_percent": 25,
        "next_at": AT + timedelta(minutes=1),
        "paused": False,
    }
    return CanaryView(**(told | other))


def rollout(held: DeploymentView | None = None, **other: Any) -> RolloutView:
    """Return a canary of 0.0.3 under way beside 0.0.2, which serves."""
    told: dict[str, Any] = {
        "under_way": True,
        "from_version": "0.0.2",
        "to_version": "0.0.3",
        "asked_by": "ada",
        "asked_at": AT,
        "requests": 120,
        "failures": 1,
    }
    beside: dict[str, Any] = {
        "version": "0.0.2",
        "digest": "d" * 64,
        "instances": 2,
        "generation": 3,
        "reason": "promote blog 0.0.3 to production",
        "canary": canary(),
        "previous": "0.0.1",
    }
    held = held or deployment("production", "deploying", **beside)
    return RolloutView(held, **(told | other))


def calm(held: DeploymentView | None = None) -> RolloutView:
    """Return what is told where no change is under way."""
    return RolloutView(held or stayer(), under_way=False)


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


def _night(kind: str, message: str, **other: Any) -> EventView:
    return event(kind, message=message, step=None, **other)


NIGHT = (
    _night("standby", "frozen: no request for 300 s"),
    _night("woken", "a request woke it in 4.2 ms; it was frozen"),
    _night("standby", "stopped: no request for 1800 s"),
    _night(
        "wake_failed",
        "The service did not start: exit code 1.",
        problem=Problem(
            type="urn:codestore:problem:wake_failed",
            title="It cannot be woken",
            detail="The service did not start: exit code 1.",
            status=503,
            code="wake_failed",
            hint="Try again in a moment.",
        ),
    ),
)


def version(number: str, *, latest: bool = False) -> VersionView:
    notes = f"What {number} brings\nand more"
    return VersionView("blog", number, "d" * 64, notes, "ann", AT, AT if latest else None, latest)


def environment(deployments: list[DeploymentView]) -> EnvironmentView:
    return EnvironmentView(
        id="env-1",
        name="private",
        kind="private",
        owner="blog",
        generation=1,
        access="key",
        standby=300.0,
        stop=1800.0,
        queue=1000,
        queue_timeout=60.0,
        instances="0–1",
        deployments=deployments,
    )


def sleepless(deployments: list[DeploymentView]) -> EnvironmentView:
    known: dict[str, Any] = {"id": "env-2", "name": "production", "kind": "production"}
    return replace(environment(deployments), **known, owner="shop", standby=None, instances="2–8")


STATUS = StatusView(
    "0.1.0",
    "http://127.0.0.1:7080",
    "/data",
    "ready",
    Processes(10, 11, 12, None),
    {"ready": 2},
    Walls("cell"),
)
PROFILE = Profile("usr-1", "ann", "acme", "owner")
USER = UserView("usr-2", "bob", "acme", "maker", "bob@example.org")
TOKEN = TokenView("tok-1", "ci", AT, AT + timedelta(days=90))
ENTRIES = [
    EntryView(1, AT, "ann", "service:create", "blog", "create blog, version 0.0.1", "ab" * 32),
    EntryView(2, AT, "bob", "hold", "shop/blog/production", "", "cd" * 32),
]


def user(password: str) -> UserView:
    return replace(USER, password=password)


def token(secret: str) -> TokenView:
    return replace(TOKEN, token=secret)


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


def verification(environment: str, verdict: str | None, **other: Any) -> VerificationView:
    told: dict[str, Any] = {
        "deployment": f"dep-{environment}",
        "project": None if environment in ("private", "demo") else "shop",
        "service": "blog",
        "environment": environment,
        "state": "done",
        "asked_by": "ada",
        "asked_at": AT,
        "at": AT + timedelta(seconds=2),
        "release": "0.5.0",
        "verdict": verdict,
        "unproved": None,
        "walls": {
            "databases": WallView(5),
            "files": WallView(9, 1, 2),
            "processes": WallView(1),
            "sockets": WallView(4),
            "ports": WallView(),
            "variables": WallView(3),
            "gateway": WallView(6),
            "metadata": WallView(4),
        },
        "findings": [
            FindingView("files", "list its home", "refused", "not there", ["blog/private"], 3),
            FindingView("files", "list its home", "reached", "reached", ["blog/demo"]),
            FindingView("files", "list its code", "not tried", "there is none", ["blog/demo"]),
            FindingView(
                "sockets", "connect to the keeper", "refused", "not there", ["the platform"]
            ),
        ],
    }
    return VerificationView(**{**told, **other})


SOUND = {wall: WallView(4) for wall in ("databases", "files", "processes", "sockets")}
VERIFIED = verification("private", "refused", walls=SOUND, findings=[])
BREACHED = verification("staging", "reached")
UNPROVED = verification(
    "demo",
    "unproved",
    unproved="it could not write in our own home: not allowed",
    walls=SOUND,
    findings=[],
)
UNVERIFIED = verification(
    "production", None, state="never", at=None, release=None, walls={}, findings=[]
)
