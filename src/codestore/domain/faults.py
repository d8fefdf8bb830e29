"""What goes wrong, as a short letter: what happened, where, and what to type next.

A :class:`Fault` is the only error that reaches people. It is declared beside the rule it guards
and shown in three places: the API (RFC 9457 problem+json), the command line and the console.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class FaultKind(StrEnum):
    """How an edge should answer; the API maps each to one HTTP status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Letter:
    """The words of a fault, as a value that can be stored and compared."""

    kind: FaultKind
    code: str
    title: str
    detail: str
    hint: str = ""
    where: str = ""


class Fault(Exception):
    """Raised when a rule refuses something, or a step cannot be done. Carries a :class:`Letter`."""

    def __init__(self, letter: Letter) -> None:
        super().__init__(f"{letter.title}: {letter.detail}")
        self.letter = letter

    def at(self, where: str) -> "Fault":
        """Return the same fault, pointing at a place (a file and line, a key path)."""
        return Fault(replace(self.letter, where=where))


def invalid(code: str, title: str, detail: str, *, hint: str = "", where: str = "") -> Fault:
    """Build the fault for input that can never be accepted as it is."""
    return Fault(Letter(FaultKind.INVALID, code, title, detail, hint, where))


def not_found(what: str, name: str, hint: str = "") -> Fault:
    """Build the fault for a thing that does not exist, or that you may not know of."""
    code = f"{what.replace(' ', '_')}_not_found"
    detail = f'There is no {what} "{name}" that you can see.'
    return Fault(Letter(FaultKind.NOT_FOUND, code, f"No such {what}", detail, hint))


def conflict(code: str, title: str, detail: str, hint: str = "") -> Fault:
    """Build the fault for a request that the present state does not allow."""
    return Fault(Letter(FaultKind.CONFLICT, code, title, detail, hint))


def too_many(code: str, title: str, detail: str, hint: str = "") -> Fault:
    """Build the fault for something that was tried too often, and may be tried again later."""
    return Fault(Letter(FaultKind.TOO_MANY, code, title, detail, hint))


def failed(code: str, title: str, detail: str, hint: str = "") -> Fault:
    """Build the fault for a change that was tried and did not work."""
    return Fault(Letter(FaultKind.FAILED, code, title, detail, hint))


def unavailable(code: str, title: str, detail: str, hint: str = "") -> Fault:
    """Build the fault for something that may work if asked again later."""
    return Fault(Letter(FaultKind.UNAVAILABLE, code, title, detail, hint))
