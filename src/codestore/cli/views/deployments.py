"""Deployments, services, projects and what changes them."""

from collections.abc import Iterable

from codestore.cli.view import Document, Facts, Table, moment, span, text
from codestore.cli.views.rollouts import limits, progress, scale, staying
from codestore.cli.views.standby import resting, woken

_INDENT = "  "


def services(found: list[Document]) -> Table:
    """List services with the state of their environments."""
    rows = [
        (
            service["name"],
            *(_glance(service["environments"].get(name)) for name in ("private", "demo")),
            service["service"],
        )
        for service in found
    ]
    empty = "No services yet. Make one: cs service:create NAME"
    return Table(("name", "private", "demo", "id"), rows, empty)


def service(found: Document) -> Facts:
    """Show a service."""
    facts = [("service", found["name"]), ("id", found["service"]), ("owner", found["owner"])]
    return Facts([*facts, *_environments(found["environments"])])


def versions(found: list[Document]) -> Table:
    """List versions; the public one is marked."""
    rows = [
        (
            version["version"],
            "latest" if version["latest"] else "",
            moment(version["pushed_at"]),
            version["pushed_by"],
            version["digest"][:12],
            version["notes"].partition("\n")[0],
        )
        for version in found
    ]
    columns = ("version", "public", "pushed", "by", "digest", "notes")
    return Table(columns, rows, "No versions yet. Push one: cs push")


def projects(found: list[Document]) -> Table:
    """List projects."""
    rows = [
        (
            project["name"],
            str(
                max((len(each["services"]) for each in project["environments"].values()), default=0)
            ),
            project["description"].partition("\n")[0],
            project["project"],
        )
        for project in found
    ]
    empty = "No projects yet. Make one: cs project:create NAME"
    return Table(("name", "services", "description", "id"), rows, empty)


def project(found: Document) -> Facts:
    """Show a project with everything in it."""
    facts = [
        ("project", found["name"]),
        ("id", found["project"]),
        ("description", text(found["description"])),
        ("developer key", text(found["developer_key"])),
    ]
    for name, held in found["environments"].items():
        facts.append((name, "" if held["services"] else "no services"))
        for deployment in held["services"].values():
            facts += [
                (f"{_INDENT}service", deployment["name"]),
                *_deployment(deployment, bounds=False),
            ]
    return Facts(facts)


def inclusions(found: list[Document]) -> Table:
    """List the services of a project."""
    kinds = ("development", "staging", "production")
    rows = [
        (each["name"], *(_glance(each["environments"].get(kind)) for kind in kinds))
        for each in found
    ]
    empty = "No services inside. Include one: cs project:service:add PROJECT SERVICE"
    return Table(("name", *kinds), rows, empty)


def inclusion(found: Document) -> Facts:
    """Show a service in a project."""
    facts = [("service", found["name"]), ("project", found["project"])]
    return Facts([*facts, *_environments(found["environments"])])


def release(found: Document) -> Facts:
    """Show a change of version."""
    deployment = found["deployment"]
    facts = [("service", deployment["name"]), ("version", found["version"])]
    place = {found["environment"]: deployment}
    return Facts([*facts, *_environments(place, key=False, bounds=False)])


def deployment(found: Document) -> Facts:
    """Show a deployment."""
    place = {found["environment"]: found}
    return Facts([("service", found["name"]), *_environments(place, key=False, bounds=False)])


def environments(found: list[Document]) -> Table:
    """List environments."""
    rows = [
        (
            f"{each['owner']}/{each['name']}",
            each["access"],
            resting(each["standby"], each["stop"]),
            each["instances"],
        )
        for each in found
    ]
    empty = "No environments yet. Make a service: cs service:create NAME"
    return Table(("environment", "access", "standby", "instances"), rows, empty)


def environment(found: Document) -> Facts:
    """Show an environment, its policy and what is deployed in it."""
    facts = [
        ("environment", f"{found['owner']}/{found['name']}"),
        ("id", found["id"]),
        ("generation", str(found["generation"])),
        ("access", found["access"]),
        ("standby", resting(found["standby"], found["stop"])),
        ("instances", found["instances"]),
    ]
    sleepers = [found["standby"], *(each["standby_after"] for each in found["deployments"])]
    if any(after is not None for after in sleepers):
        callers = f"{found['queue']} callers, each for at most {span(found['queue_timeout'])}"
        facts.append(("queue", callers))
    for deployment in found["deployments"]:
        facts += [("service", deployment["name"]), *_deployment(deployment, key=False)]
    return Facts(facts)


def _environments(
    found: dict[str, Document], *, key: bool = True, bounds: bool = True
) -> Iterable[tuple[str, str]]:
    for name, deployment in found.items():
        yield name, _state(deployment)
        yield from _deployment(deployment, key=key, bounds=bounds)[1:]


def _deployment(
    deployment: Document, *, key: bool = True, bounds: bool = True
) -> list[tuple[str, str]]:
    """Show a deployment; what is as everybody expects it has no line."""
    facts = [("state", _state(deployment)), ("url", deployment["url"] or "its owner's alone")]
    if deployment["access"] == "public":
        facts.append(("key", "none needed"))
    elif key and deployment["url"]:
        facts.append(("key", text(deployment["key"])))
    if deployment.get("failure"):
        facts.append(("failure", deployment["failure"]["detail"]))
    if deployment["canary"]:
        facts.append(("canary", progress(deployment["canary"])))
    facts += staying(deployment)
    alone = deployment["scale"]["max"] == 1 and deployment["instances"] == 1
    if not alone and deployment["standby"] is None:
        facts.append(("instances", scale(deployment)))
    facts.append(("standby", resting(deployment["standby_after"], deployment["stop_after"])))
    facts += [("woken", line) for line in woken(deployment["wakes"])]
    if bounds:
        facts.append(("limits", limits(deployment["limits"])))
    return [(f"{_INDENT}{label}", value) for label, value in facts]


def _state(deployment: Document) -> str:
    """Return the state, since when, and why."""
    since, reason = deployment["since"], deployment["reason"]
    told = f" since {moment(since)}" if since else ""
    return f"{_glance(deployment)}{told}" + (f": {reason}" if reason else "")


def _glance(deployment: Document | None) -> str:
    """Return a deployment in three words."""
    if deployment is None:
        return "–"
    return f"{deployment['state']} {text(deployment['version'])}"
