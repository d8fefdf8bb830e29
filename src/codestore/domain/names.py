"""Names people choose, checked once at the border."""

import re

from codestore.domain.faults import invalid

SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
LONGEST_NAME = 40  # characters
_SHOWN = 60


def shown(value: str) -> str:
    """Return a hostile string short and printable, for an error message."""
    text = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in value
    )
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def check_name(what: str, name: str) -> str:
    """Return ``name`` when it may name a service or project; raise a Fault otherwise.

    Names become host names (``{service}-service``) and namespaces, so they are DNS labels.
    """
    if SERVICE_NAME.fullmatch(name):
        return name
    raise invalid(
        "bad_name",
        f"Not a {what} name",
        f'"{shown(name)}" ({len(name)} characters) is not a valid {what} name.',
        hint="Use 2 to 40 of a-z, 0-9 and -, starting with a letter, not ending with -.",
    )
