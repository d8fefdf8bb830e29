"""What ends a command early: an error with the problem to show and the code to exit with."""

from enum import IntEnum
from typing import Any

from codestore.wire import Problem


class ExitCode(IntEnum):
    """What a script may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    WOULD_CHANGE = 3
    UNREACHABLE = 4
    NOT_ALLOWED = 5
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command; carries the :class:`Problem` to show."""

    def __init__(self, problem: Problem, exit_code: ExitCode) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem
        self.exit_code = exit_code


def refused(code: str, title: str, detail: str, hint: str = "", where: str = "") -> CommandError:
    """Build the error for what cannot be done as it is."""
    return CommandError(_local(code, title, detail, 422, hint, where), ExitCode.FAILED)


def wrong_usage(detail: str, hint: str) -> CommandError:
    """Build the error for a command that lacks something, or that says it wrongly."""
    return CommandError(_local("usage", "Wrong usage", detail, 400, hint), ExitCode.USAGE)


def unreachable(detail: str, hint: str = "cs up") -> CommandError:
    """Build the error for a platform that does not answer."""
    problem = _local("unreachable", "Cannot reach the platform", detail, 503, hint)
    return CommandError(problem, ExitCode.UNREACHABLE)


def answered(status: int, reason: str, body: Any) -> CommandError:
    """Build the error for an answer that is not a success; ``body`` is its JSON, if it has any."""
    told = body if isinstance(body, dict) else {}
    problem = problem_of(
        {
            "title": f"The platform answered {status}",
            "detail": reason,
            "code": f"http_{status}",
            **told,
            "status": status,
        }
    )
    match status:
        case 401 | 403:
            return CommandError(problem, ExitCode.NOT_ALLOWED)
        case 502 | 503 | 504:  # the gateway answers for a control process that is not there
            return CommandError(problem, ExitCode.UNREACHABLE)
        case _:
            return CommandError(problem, ExitCode.FAILED)


def problem_of(told: dict[str, Any]) -> Problem:
    """Read a problem from JSON; what a newer platform says beyond it is left out."""
    code = str(told.get("code", "unknown"))
    return Problem(
        type=str(told.get("type", f"urn:codestore:problem:{code}")),
        title=str(told.get("title", "Something went wrong")),
        detail=str(told.get("detail", "")),
        status=int(told.get("status", 500)),
        code=code,
        hint=str(told.get("hint") or ""),
        where=str(told.get("where") or ""),
    )


def _local(code: str, title: str, detail: str, status: int, hint: str, where: str = "") -> Problem:
    return Problem(f"urn:codestore:problem:{code}", title, detail, status, code, hint, where)
