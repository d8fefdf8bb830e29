"""Verifications: a matrix of who tried what, and the attempts one by one."""

from collections import Counter
from collections.abc import Iterator

from codestore.cli.view import Document, Row, Table, moment

_NONE = "Nothing is live there."
_WALLS = (
    *("databases", "files", "processes", "sockets", "ports", "variables", "gateway", "metadata"),
)


def matrix(found: list[Document]) -> Table:
    """Show how many attempts at each wall were refused, or reached something."""
    rows = [
        (
            place(each),
            *(_cell(each["walls"].get(wall)) for wall in _WALLS),
            verdict(each),
            moment(each["at"]),
        )
        for each in found
    ]
    return Table(("from", *_WALLS, "verdict", "verified"), rows, _NONE)


def legend(found: list[Document]) -> list[str]:
    """Say what the numbers are, and name what was reached and what proves nothing."""
    lines = ["", "Attempts that were refused; (n) were not tried, --verbose tells why."]
    for each in found:
        for finding in each["findings"]:
            if finding["verdict"] == "reached":
                whose = ", ".join(_whose(finding))
                answer = "" if finding["answer"] == "reached" else f" ({finding['answer']})"
                lines.append(f"REACHED from {place(each)}: {finding['tried']}{answer}: {whose}")
        if each["unproved"]:
            lines.append(f"NOT PROVED of {place(each)}: {each['unproved']}")
    return lines


def attempts(found: list[Document]) -> Table:
    """List every attempt with its answer."""
    columns = ("from", "wall", "tried", "whose", "verdict", "answer")
    return Table(columns, [row for each in found for row in _attempts(each)], _NONE)


def line(found: Document) -> str:
    """Say in a line what became of a deployment."""
    return f"{place(found):<40} {verdict(found)}"


def place(found: Document) -> str:
    """Return where a deployment is."""
    if found["project"]:
        return f"{found['project']}/{found['environment']}/{found['service']}"
    return f"{found['service']}/{found['environment']}"


def verdict(found: Document) -> str:
    """Return in words what is known of a deployment's walls."""
    told = found["verdict"]
    if told == "reached":
        return f"REACHED {sum(wall['reached'] for wall in found['walls'].values())}"
    if told == "unproved":
        return "NOT PROVED"
    return "all refused" if told == "refused" else "never verified"


def _cell(wall: Document | None) -> str:
    if wall is None or not any(wall.values()):
        return "–"
    rest = f" ({wall['not_tried']})" if wall["not_tried"] else ""
    if wall["reached"]:
        return f"{wall['reached']} REACHED of {wall['reached'] + wall['refused']}{rest}"
    return f"{wall['refused']}{rest}"


def _attempts(found: Document) -> Iterator[Row]:
    for finding in found["findings"]:
        for whose in _whose(finding):
            yield (
                place(found),
                finding["wall"],
                finding["tried"],
                whose,
                finding["verdict"],
                finding["answer"],
            )


def _whose(finding: Document) -> list[str]:
    """Return whose things these are; what other organizations have is only counted."""
    others = finding["others"]
    times: Counter[str] = Counter(finding["whose"])
    named = [f"{name} ({count})" if count > 1 else name for name, count in times.items()]
    return [*named, *([f"{others} of other organizations"] if others else [])]
