"""``codestore.yaml``: what a service says about itself, checked against what is allowed."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from codestore.domain.document import Document
from codestore.domain.environments import Kind
from codestore.domain.names import SERVICE_NAME, check_name
from codestore.domain.overrides import Override, read_overrides
from codestore.domain.secrets import KEY, reserved

_ASGI = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(\))?")
_KEYS = (
    "service",
    "version",
    "run",
    "python",
    "database",
    "redis",
    "migrate",
    "health",
    "secrets",
    "services",
    "environments",
)
FILE = "codestore.yaml"


class RunKind(StrEnum):
    """How a service is started."""

    GRAPHQL = "graphql"
    ASGI = "asgi"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Run:
    """What to start: a folder (graphql), ``module:attribute`` (asgi) or an argument list."""

    kind: RunKind
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """How a new version proves itself: this path must answer below 400 within ``timeout`` s.

    Without a ``path`` any answer below 500 to ``GET /`` will do.
    """

    path: str | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked ``codestore.yaml``. ``preload``: its libraries may be loaded before it wakes."""

    service: str
    run: Run
    version: str | None = None
    lock: str | None = None
    preload: bool = True
    database: bool = True
    redis: bool = False
    migrate: tuple[str, ...] = ()
    health: Health = Health()
    secrets: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    overrides: Mapping[Kind, Override] = field(default_factory=dict)


def read_manifest(document: Document, files: frozenset[str]) -> Manifest:
    """Check a parsed manifest against the files beside it; raise a Fault at the first mistake."""
    top = document.mapping(_KEYS)
    name = top.child("service")
    if name.missing:
        raise document.fault("service is missing", "Add a line: service: NAME")
    service = name.text("service: NAME")
    try:
        check_name("service", service)
    except Exception as error:
        raise name.fault(str(error), "Use 2 to 40 of a-z, 0-9 and -.") from error
    return Manifest(
        service=service,
        run=_run(top.child("run"), files),
        version=_version(top.child("version")),
        lock=_lock(top.child("python"), files),
        preload=_flag(top.child("python").child("preload"), default=True),
        database=_flag(top.child("database"), default=True),
        redis=_redis(top.child("redis")),
        migrate=_command(top.child("migrate")),
        health=_health(top.child("health")),
        secrets=top.child("secrets").texts(
            lambda key: bool(KEY.fullmatch(key)) and not reserved(key),
            "A list of names, as in [API_TOKEN]; none that the platform sets itself.",
        ),
        services=top.child("services").texts(
            lambda key: bool(SERVICE_NAME.fullmatch(key)), "A list of service names."
        ),
        overrides=read_overrides(top.child("environments")),
    )


def _version(node: Document) -> str | None:
    if node.missing:
        return None
    text = node.text("As in 1.4.2.", 40)
    if not re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", text):
        raise node.fault(f"{text!r} is not a version number", "Use three numbers, as in 1.4.2.")
    return text


def _flag(node: Document, *, default: bool) -> bool:
    return default if node.missing else node.flag()


def _redis(node: Document) -> bool:
    if _flag(node, default=False):
        raise node.fault("Redis is not offered by this platform yet", "Remove the line.")
    return False


def _run(node: Document, files: frozenset[str]) -> Run:
    if node.missing:
        if "src/schema.graphql" in files:
            return Run(RunKind.GRAPHQL, ("src",))
        raise node.fault(
            "says nothing, and there is no src/schema.graphql", "Add run: {asgi: app.main:app}."
        )
    kinds = [kind.value for kind in RunKind]
    node.mapping(kinds)
    present = [kind for kind in RunKind if not node.child(kind).missing]
    if len(present) != 1:
        raise node.fault("needs exactly one way to run", f"One of {', '.join(kinds)}.")
    kind, child = present[0], node.child(present[0])
    if kind is RunKind.COMMAND:
        return Run(kind, _command(child))
    text = child.text("run: {asgi: app.main:app} or run: {graphql: src}", 200)
    if kind is RunKind.ASGI and not _ASGI.fullmatch(text):
        raise child.fault(f"{text!r} is not module:attribute", "As in app.main:app.")
    if kind is RunKind.GRAPHQL and f"{text.rstrip('/')}/schema.graphql" not in files:
        raise child.fault(f"there is no {text}/schema.graphql", "Name the folder that has it.")
    return Run(kind, (text.rstrip("/"),))


def _lock(node: Document, files: frozenset[str]) -> str | None:
    found = ("uv.lock", "requirements.txt", "pyproject.toml")
    if node.missing or node.mapping(["lock", "preload"]).child("lock").missing:
        return next((name for name in found if name in files), None)
    child = node.child("lock")
    name = child.text("python: {lock: uv.lock}", 200)
    if name not in files:
        raise child.fault(f"there is no file {name!r}", "Name a file of the service's folder.")
    return name


def _command(node: Document) -> tuple[str, ...]:
    if node.missing:
        return ()
    hint = 'As in ["node", "server.js"] or node server.js; no shell reads it.'
    if not isinstance(node.value, str):
        words = node.texts(lambda word: 0 < len(word) < 1000 and "\0" not in word, hint)
    else:
        try:
            words = tuple(shlex.split(node.text(hint)))
        except ValueError as error:
            raise node.fault(str(error), hint) from error
    if not words:
        raise node.fault("is empty", hint)
    return words


def _health(node: Document) -> Health:
    if node.missing:
        return Health()
    node.mapping(["path", "timeout"])
    path, timeout = node.child("path"), node.child("timeout")
    checked = None if path.missing else path.text("As in /health.", 200)
    if checked is not None and not re.fullmatch(r"/[!-~]*", checked):
        raise path.fault("must be a path that starts with /", "As in /health.")
    seconds = Health().timeout if timeout.missing else timeout.duration(0.1, 600)
    return Health(checked, seconds)
