"""How promises were kept in a month, and in which minutes they were not.

Months are those of UTC, so the minutes are told in UTC, too: each is in the month that is shown.
"""

from collections.abc import Iterator
from math import floor

from codestore.cli.view import Document, Row, Table, utc

_NONE = "Nothing is in production yet: cs project:service:promote PROJECT SERVICE --to production"


def promises(found: Document) -> Table:
    """List what was promised and how it was kept."""
    rows = [
        (
            found["month"],
            each["project"],
            each["service"],
            _availability(each),
            percent(each["promise"]),
            f"{each['requests']:,}",
            f"{each['failures']:,}",
            _left(each),
            each["burning"]["pace"] if each["burning"] else "no",
        )
        for each in found["services"]
    ]
    columns = (
        "month (UTC)",
        "project",
        "service",
        "available",
        "promised",
        "requests",
        "failed",
        "budget left",
        "burning",
    )
    return Table(columns, rows, _NONE)


def worst(found: Document) -> Table:
    """List the worst minutes, each with what happened in it or in the minute before."""
    rows = [row for minute in found["worst"] for row in _minute(minute)]
    columns = ("worst minutes (UTC)", "project", "service", "failed", "of", "what happened")
    return Table(columns, rows, _calm(found))


def percent(share: float) -> str:
    """Return a share in percent, never better than it is: 0.999996 is no 100%."""
    return f"{floor(share * 100_000 + 1e-6) / 1000:.3f}".rstrip("0").rstrip(".") + "%"


def _minute(minute: Document) -> Iterator[Row]:
    told = [f"{utc(event['at'])[11:]} {_event(event)}" for event in minute["events"]]
    yield (
        utc(minute["at"])[:16],
        minute["project"],
        minute["service"],
        f"{minute['failures']:,}",
        f"{max(minute['requests'], minute['failures']):,}",
        told[0] if told else "–",
    )
    yield from (("", "", "", "", "", line) for line in told[1:])


def _event(event: Document) -> str:
    line, _, _ = event["message"].partition("\n")
    return f"{event['kind']}: {line}"


def _availability(each: Document) -> str:
    found = each["availability"]
    return "no request yet" if found is None else percent(found)


def _left(each: Document) -> str:
    """Return what is left of the budget; of one that is overspent, how often it is spent."""
    left = each["budget_left"]
    if left >= 0:
        return f"{floor(left * 100 + 1e-6)}%"
    spent = 1 - left
    return f"none: spent {f'{spent:,.0f}' if spent >= 100 else f'{spent:.3g}'} times"


def _calm(found: Document) -> str:
    asked = any(each["requests"] for each in found["services"])
    return "No request failed." if asked else "No request came."
