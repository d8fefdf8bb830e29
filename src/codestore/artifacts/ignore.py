"""What is left out of a push: ``.gitignore`` and ``.codestoreignore``, read as git reads them.

The rules come from strangers and are matched inside the platform, so each becomes a regular
expression that cannot be made to backtrack: whatever lies between two stars is settled by its
first occurrence, once and for all (an atomic group), which is always as good as a later one.
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from codestore.artifacts.refusals import bad_file

IGNORE_FILES = (".gitignore", ".codestoreignore")  # in one folder the second has the last word
_ALWAYS = frozenset({".git", ".venv", "__pycache__"})
_MAX_BYTES = 64 * 1024  # of all ignore files together
_MAX_SECONDS = 5.0
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_TOKEN = re.compile(
    r"\\(.)|\[([!^]?)(\]?(?:\\.|\[:[a-z]+:\]|[^\]\\])*)\]|(\*+)|(\?)|(.)", re.DOTALL
)
_IN_CLASS = re.compile(r"\[:([a-z]+):\]|\\(.)|([\[&~|^\\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file; it matches paths relative to the file's folder."""

    pattern: re.Pattern[str]
    keep: bool
    folders_only: bool


def read_rule(line: str) -> Rule | None:
    """Read a line; ``None`` for a comment, an empty line, or what can never match."""
    line = re.sub(r"(?<!\\) +$", "", line[:1000].rstrip("\r\n"))
    if not line or line.startswith("#"):
        return None
    keep = line.startswith("!")
    body = line[keep:]
    folders_only, body = body.endswith("/"), body.removesuffix("/")
    if not body.strip("/"):
        return None
    segments = body.removeprefix("/").split("/")
    if "/" not in body:
        segments.insert(0, "**")
    try:
        return Rule(re.compile(_translate(segments), re.DOTALL), keep, folders_only)
    except re.error:  # a range that runs backwards, a class that does not end
        return None


def kept(paths: Iterable[str], ignore_files: Mapping[str, str]) -> frozenset[str]:
    """Return the paths that stay; ``ignore_files`` has the text of each ignore file by path.

    Raises a ``bad_file`` fault when there are more rules than can be matched in decent time.
    """
    if sum(map(len, ignore_files.values())) > _MAX_BYTES:
        raise bad_file(min(ignore_files), f"and its like have more than {_MAX_BYTES} characters")
    filter_ = _Filter(_by_folder(ignore_files))
    return frozenset(path for path in paths if not filter_.left_out(path, folder=False))


def _by_folder(ignore_files: Mapping[str, str]) -> dict[str, list[Rule]]:
    """Return the rules that stand in each folder, the strongest (the last) first."""
    rules: dict[str, list[Rule]] = {}
    for path in sorted(ignore_files, key=lambda path: IGNORE_FILES.index(path.split("/")[-1])):
        lines = ignore_files[path].removeprefix("\ufeff").split("\n")
        read = [rule for rule in map(read_rule, lines) if rule]
        rules.setdefault(path.rpartition("/")[0], [])[:0] = reversed(read)
    return rules


@dataclass(slots=True)
class _Filter:
    rules: Mapping[str, list[Rule]]
    folders: dict[str, bool] = field(default_factory=lambda: {"": False})
    deadline: float = field(default_factory=lambda: time.monotonic() + _MAX_SECONDS)

    def left_out(self, path: str, *, folder: bool) -> bool:
        """Whether a path is ignored: by itself, or because a folder it is in is."""
        parent, _, name = path.rpartition("/")
        if parent not in self.folders:
            self.folders[parent] = self.left_out(parent, folder=True)
        return self.folders[parent] or name in _ALWAYS or self._matches(path, folder=folder)

    def _matches(self, path: str, *, folder: bool) -> bool:
        """Whether the strongest rule about a path says so; rules of deeper folders are stronger."""
        place = path
        while place:
            place = place.rpartition("/")[0]
            relative = path[len(place) + 1 :] if place else path
            for rule in self.rules.get(place, ()):
                if time.monotonic() > self.deadline:
                    raise bad_file(IGNORE_FILES[0], "and its like have rules that take too long")
                if (folder or not rule.folders_only) and rule.pattern.match(relative):
                    return not rule.keep
        return False


def _translate(segments: list[str]) -> str:
    """Return the expression for a rule, cut at each ``**`` into runs of ordinary segments."""
    runs: list[list[str]] = [[]]
    for segment in segments:
        if not re.fullmatch(r"\*{2,}", segment):
            runs[-1].append(_segment(segment))
        elif runs[-1] or len(runs) == 1:
            runs.append([])
    first, *middle = ["".join(f"{segment}/" for segment in run) for run in runs[:-1]] or [""]
    last = "/".join(runs[-1]) or ".+"
    between = "(?:[^/]+/)*"
    skips = "".join(f"(?>{between}?{run})" for run in middle)
    return rf"{first}{skips}{between if len(runs) > 1 else ''}{last}\Z"


def _segment(glob: str) -> str:
    """Return the expression for what stands between two slashes."""
    pieces = [""]
    for match in _TOKEN.finditer(glob):
        escaped, negated, members, stars, question, letter = match.groups()
        if stars:
            pieces.append("")
        elif question:
            pieces[-1] += "[^/]"
        elif members is not None:
            inverted = "^" if negated else ""
            pieces[-1] += f"(?!/)[{inverted}{_IN_CLASS.sub(_class_member, members)}]"
        elif letter in ("[", "\\"):
            return "(?!)"  # a class without an end, or nothing to escape: matches nothing
        else:
            pieces[-1] += re.escape(escaped or letter)
    head, *rest = pieces
    tail = f"[^/]*{rest.pop()}" if rest else ""
    return head + "".join(f"(?>[^/]*?{piece})" for piece in rest) + tail


def _class_member(match: re.Match[str]) -> str:
    name, escaped, special = match.groups()
    if name:
        return _CLASSES.get(name, "")
    return re.escape(escaped or special)
