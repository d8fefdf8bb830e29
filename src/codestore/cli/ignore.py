"""What a push leaves out: ``.gitignore`` and ``.codestoreignore``, read as git reads them."""

import re
from dataclasses import dataclass
from pathlib import Path

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_FILES = (".gitignore", ".codestoreignore")  # in one folder the second has the last word
_ALWAYS = frozenset({".git", ".venv", "__pycache__"})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line; it matches paths relative to the folder of its file."""

    pattern: re.Pattern[str]
    leave_out: bool
    folders_only: bool

    def matches(self, path: str, *, folder: bool) -> bool:
        """Whether the rule is about this path itself, and not about a folder that it is in."""
        if self.folders_only and not folder:
            return False
        match = self.pattern.match(path)
        return match is not None and not match.groupdict().get("ps_d")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a folder, on top of those of the folders around it."""

    place: str
    rules: tuple[_Rule, ...]
    around: "Rules | None"

    def leave_out(self, path: str, *, folder: bool) -> bool:
        """Whether a path is left out; of several rules the innermost and last one decides."""
        if path.rpartition("/")[2] in _ALWAYS:
            return True
        held: Rules | None = self
        while held is not None:
            relative = path.removeprefix(held.place)
            for rule in reversed(held.rules):
                if rule.matches(relative, folder=folder):
                    return rule.leave_out
            held = held.around
        return False


def rules_of(folder: Path, place: str, around: Rules | None) -> Rules:
    """Read the rules of a folder; ``place`` is its path below the top, ending with ``/``."""
    lines: list[str] = []
    for name in _FILES:
        file = folder / name
        if file.is_file():
            lines += file.read_text(errors="replace").removeprefix("\ufeff").splitlines()
    read = (_rule(line) for line in lines)
    return Rules(place, tuple(rule for rule in read if rule), around)


def _rule(line: str) -> _Rule | None:
    """Read a line; ``None`` for a comment, an empty line, or what can never match."""
    line = re.sub(r"(?<!\\)[ \t]+$", "", line)
    folders_only = line.endswith("/")
    try:
        pattern = GitIgnoreSpecPattern(line.removesuffix("/"))
    except GitIgnorePatternError:
        return None
    if pattern.regex is None or pattern.include is None:
        return None
    return _Rule(pattern.regex, pattern.include, folders_only)
