"""A change under way, where a deployment is held, and what bounds it."""

from collections.abc import Iterator

from codestore.cli.view import Document, Facts, moment, size, span, text

_MARKS = 3  # of which people are told; scripts get them all


def rollout(found: Document) -> Facts:
    """Show the change under way, or that there is none."""
    deployment = found["deployment"]
    facts = [("service", deployment["name"]), ("environment", deployment["environment"])]
    if not found["under_way"]:
        leaving = deployment["state"] == "removing"
        change = "it is being removed" if leaving else "none under way"
        facts += [("change", change), ("serves", text(deployment["version"]))]
        if deployment["failure"]:
            facts.append(("failure", deployment["failure"]["detail"]))
        return Facts([*facts, *staying(deployment)])
    way = f"{text(found['from_version'])} → {found['to_version']}"
    asked = f"by {found['asked_by']} since {moment(found['asked_at'])}: {deployment['reason']}"
    facts += [("change", way), ("asked", asked)]
    canary = deployment["canary"]
    if canary:
        steps = ", ".join(f"{percent} %" for percent in canary["steps"])
        limit = f"{100 * canary['error_rate']:g} %"
        facts += [
            ("canary", progress(canary, bool(found["waiting"]))),
            ("steps", f"{steps}; each for {span(canary['hold'])}"),
            ("requests", _tally(found, limit)),
        ]
    if found["aborted_by"]:
        facts.append(("abort", f"{found['aborted_by']} gave it up; it ends as soon as it can"))
    return Facts([*facts, *staying(deployment)])


def progress(canary: Document, waiting: bool = False) -> str:
    """Say how far a canary has come, and when the next step comes; or if, while callers wait."""
    to, ahead = canary["version"], canary["next_percent"]
    if canary["since"] is None and canary["paused"]:
        return f"paused before its first share: no request goes to {to}"
    if canary["since"] is None:
        return f"its first share of the requests is being prepared for {to}"
    share = f"{canary['percent']} % of the requests go to {to} since {moment(canary['since'])}"
    if canary["paused"]:
        return f"{share}; paused"
    if ahead is None:
        return share
    answered = ", if those who wait are answered" if waiting else ""
    return f"{share}; {ahead} % at {moment(canary['next_at'])}{answered}"


def staying(deployment: Document) -> Iterator[tuple[str, str]]:
    """Say at which version it is held, what was left behind there, and what served before."""
    hold = deployment["hold"]
    if hold:
        yield "held", f"by {hold['by']} since {moment(hold['at'])}: {hold['reason']}"
    marks = deployment["marks"][::-1]
    for mark in marks[:_MARKS]:
        when = f"since {moment(mark['at'])} by {mark['by']}"
        yield "marked", f"{mark['version']} {when}: {mark['reason'].partition(chr(10))[0]}"
    if len(marks) > _MARKS:
        yield "marked", f"and {len(marks) - _MARKS} more (-o json shows them)"
    if deployment["previous"]:
        yield "previous", deployment["previous"]


def scale(deployment: Document) -> str:
    """Say how many instances serve of how many that are wanted, and what the load may change."""
    wanted, low, high = (deployment["scale"][name] for name in ("wanted", "min", "max"))
    span_ = "" if low == high else f"; {low} to {high} by load"
    return f"{deployment['instances']} of {wanted}{span_}"


def limits(found: Document) -> str:
    """Say what holds for requests, then for an instance."""
    told = []
    if found["rate"] is not None:
        told.append(f"{found['rate']:g} requests/s")
    if found["max_requests"] is not None:
        told.append(f"{found['max_requests']} at once")
    if found["max_body"] is not None:
        told.append(f"bodies of {size(found['max_body'])}")
    told.append(f"silence of {span(found['idle_timeout'])}")
    if found["memory"] is not None:
        told.append(f"{size(found['memory'])} of memory")
    if found["cpu"] is not None:
        told.append(f"{found['cpu']:g} " + ("core" if found["cpu"] == 1 else "cores"))
    if found["disk"] is not None:
        told.append(f"{size(found['disk'])} of files")
    return ", ".join(told)


def _tally(found: Document, limit: str) -> str:
    if found["requests"] is None:
        return "not known"
    told = f"{found['requests']}, of which {found['failures']} failed; at most {limit} may"
    unanswered = [f"{found[name]} {name}" for name in ("left", "waiting") if found[name]]
    return f"{told}; unanswered: {', '.join(unanswered)}" if unanswered else told
