"""The platform itself, and what happens in it."""

from codestore.cli.view import Document, Facts, Lines, Table, moment, seconds, text


def status(found: Document) -> Facts:
    """Show the platform."""
    processes = [
        (f"  {name}", "not ours" if pid is None else f"process {pid}")
        for name, pid in found["processes"].items()
    ]
    counts = ", ".join(f"{count} {state}" for state, count in found["deployments"].items())
    return Facts(
        [
            ("platform", found["state"]),
            ("version", found["version"]),
            ("url", found["url"]),
            ("data", found["data"]),
            ("deployments", counts or "none"),
            ("walls", _walls(found["walls"])),
            ("network", _network(found["walls"])),
            ("processes", ""),
            *processes,
        ]
    )


def _walls(found: Document) -> str:
    """Say how services are kept apart, and warn where they are not, or not as well as could be."""
    why = f" ({found['why']})" if found["why"] else ""
    return {
        "cell": "each service in a cell of its own",
        "landlock": f"WARNING: files are closed, but processes and sockets are seen: no cells{why}",
    }.get(found["kind"], f"WARNING: none: a service can do what your user can do{why}")


def _network(found: Document) -> str:
    """Say what services reach of each other and of the host, and what to do about it."""
    if found["kind"] == "cell" and not found["exposed"]:
        return "each service in a network of its own"
    why = f": {found['exposed']}" if found["exposed"] else ""
    return f"WARNING: the host's: a service reaches ports of others and of this machine{why}"


def event(found: Document) -> str:
    """Show an event on a line."""
    took = "" if found["duration"] is None else f"  {seconds(found['duration'])}"
    detail = found["problem"]["detail"] if found["problem"] else found["message"]
    why = "" if detail in found["message"] else f"  ({detail})"
    place = f"{found['service']:<16} {found['environment']:<12}"
    return f"{moment(found['at'])}  {place} {found['kind']:<14} {found['message']}{took}{why}"


def events(found: list[Document]) -> Lines:
    """List events."""
    return Lines([event(each) for each in found])


def log_line(found: Document) -> str:
    """Show what was printed, on a line."""
    place = f"{found['service']}/{found['environment']}"
    return f"{moment(found['at'])}  {place}  {found['source']}  {found['text']}"


def log_lines(found: list[Document]) -> Lines:
    """List what was printed."""
    return Lines([log_line(each) for each in found])


def plans(found: list[Document]) -> Table:
    """List the steps that are due."""
    rows = [
        (plan["service"], plan["environment"], step["step"], step["reason"])
        for plan in found
        for step in plan["steps"]
    ]
    columns = ("service", "environment", "step", "reason")
    return Table(columns, rows, "Nothing to do: everything is as it is wanted.")


def pulled(found: Document) -> Facts:
    """Show what was fetched."""
    return Facts([(name, text(found[name])) for name in ("service", "version", "folder")])
