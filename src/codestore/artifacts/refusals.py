"""The letters this room writes: why a push is refused, or a version cannot be made runnable."""

from codestore.domain.faults import Fault, FaultKind, Letter, failed, invalid
from codestore.domain.names import shown

_TITLE = "Source refused"
_PUSH_AGAIN = "Push the same source again: it keeps its digest, and is stored and laid out afresh."


def broken_archive(problem: str) -> Fault:
    """Build the fault for an upload that cannot be read to its end."""
    hint = "Send one complete tar archive, plain or gzip; cs push makes it."
    return invalid("broken_archive", "Archive refused", problem, hint=hint)


def too_large(problem: str) -> Fault:
    """Build the fault for an upload with too many bytes."""
    hint = "Leave out what is not source: name it in .codestoreignore."
    letter = Letter(FaultKind.TOO_LARGE, "archive_too_large", _TITLE, problem, hint)
    return Fault(letter)


def too_many(problem: str) -> Fault:
    """Build the fault for an upload with too many files, folders or rules."""
    hint = "Leave out what is not source: name it in .codestoreignore."
    return Fault(Letter(FaultKind.TOO_LARGE, "too_many_files", _TITLE, problem, hint))


def bad_path(name: str, problem: str) -> Fault:
    """Build the fault for a name that cannot be a file of a service."""
    hint = "Rename it, or leave it out by a line in .codestoreignore."
    return invalid("bad_path", _TITLE, f'"{shown(name)}" {problem}.', hint=hint)


def bad_link(name: str, problem: str) -> Fault:
    """Build the fault for a link that cannot be kept."""
    hint = "Replace it by what it points at, or leave it out by a line in .codestoreignore."
    return invalid("bad_link", _TITLE, f'The link "{shown(name)}" {problem}.', hint=hint)


def bad_file(name: str, problem: str) -> Fault:
    """Build the fault for something that is not a plain file, or not one that can be used."""
    hint = "Only files, folders and links inside the folder can be pushed."
    return invalid("bad_file", _TITLE, f'"{shown(name)}" {problem}.', hint=hint)


def bad_lock(where: str, problem: str, hint: str) -> Fault:
    """Build the fault for dependencies that cannot be installed as they are written."""
    return invalid("bad_lock", "Dependencies refused", problem, hint=hint, where=where)


def bundle_damaged(digest: str, problem: str) -> Fault:
    """Build the fault for a stored version that is not what was pushed."""
    detail = f"Version {digest[:12]}: {problem} Nothing was changed; what ran before still runs."
    return failed("bundle_damaged", "Stored version is damaged", detail, _PUSH_AGAIN)


def build_failed(problem: str, output: str) -> Fault:
    """Build the fault for an environment that could not be made; ``output`` is uv's, scrubbed."""
    detail = f"{problem}\n{output}" if output else problem
    hint = "Correct the lock file and push again."
    return failed("build_failed", "Dependencies could not be installed", detail, hint)
