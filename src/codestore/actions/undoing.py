"""The commands that lead back: what is told with each change that was accepted."""

from codestore.actions.places import Found

NO_WAY_BACK = ""  # nothing served before: only a removal would undo it, with all data
NOTHING_TO_UNDO = ""


def roll_to(found: Found, number: str) -> str:
    """Return the command that puts a version at a place."""
    command = "service:roll" if found.project is None else "project:service:roll"
    return f"cs {command} {found.arguments} --version {number}"


def roll_back(before: Found) -> str:
    """Return the command that puts back what served at a place before it was changed."""
    live = before.deployment.status.live
    return NO_WAY_BACK if live is None else roll_to(before, live.number)
