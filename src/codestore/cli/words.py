"""``cs project service add`` and ``cs project:service:add`` are one command."""

from collections.abc import Iterable, Sequence

_LONGEST = 3  # words of a command


def joined(arguments: Sequence[str], commands: Iterable[str]) -> list[str]:
    """Return the arguments with the words that make a command joined by colons."""
    known = set(commands)
    for count in range(_LONGEST, 0, -1):
        name = ":".join(arguments[:count])
        if name in known and len(arguments) >= count:
            return [name, *arguments[count:]]
    return list(arguments)


def family(arguments: Sequence[str], commands: Iterable[str]) -> str | None:
    """Return the family that is named where a command should be, as in ``cs service --help``."""
    words: list[str] = []
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    name = ":".join(words)
    if name in commands:  # it is a command too, as cs audit is
        return None
    return name if name and any(known.startswith(f"{name}:") for known in commands) else None
