"""Asking the keeper, and what its refusals mean."""

from collections.abc import Coroutine
from typing import Any

from codestore.domain.faults import Fault, failed, unavailable
from codestore.drivers.process.launching import NEVER
from codestore.keeper.errors import EXEC, KeeperError


async def ask(request: Coroutine[Any, Any, object]) -> None:
    """Ask for something to be done to a child or a socket; one that is gone needs nothing done.

    Raises the fault that tells why it was refused.
    """
    try:
        await request
    except KeeperError as error:
        if error.code not in ("not-found", "not-running"):
            raise refused(error) from error


def refused(error: KeeperError) -> Fault:
    """Return the fault for a refusal of the keeper: final where another try would meet it again."""
    if error.code in NEVER:
        hint = "Is the program installed on this host, and named right in run: or migrate:?"
        return failed(
            "cannot_run",
            "The command cannot be started",
            error.message,
            hint if error.code == EXEC else "",
        )
    return unavailable("keeper", "The host did not answer", str(error), "cs status")
