"""Lock files, read as data before uv may see them.

uv trusts what it installs from: such a file may include others from anywhere on the host, name
folders, expand variables of its environment, or set its cache. So it gets a copy in which only
names, versions, digests and remote addresses are left, and anything else is refused at the push.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from codestore.artifacts.refusals import bad_lock
from codestore.domain.faults import Fault
from codestore.domain.names import shown

PYPROJECT = "pyproject.toml"
_MAX_BYTES = 8 * 1024 * 1024
_REMOTE = ("https://", "http://")
_HASH = re.compile(r"--hash[= ]sha(256|384|512):[0-9a-f]{64,128}")
_OPTION = re.compile(
    r"(-i|--index-url|--extra-index-url|-f|--find-links)[= ]https?://[^\s$]+"
    r"|--pre|--require-hashes|--only-binary[= ]:all:"
)
_ONE_FILE = "List every package in the one file, as uv pip compile writes it."
_FROM_INDEX = "Depend on packages from an index, by name and version."

Read = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How uv installs: files by name for an empty folder, and the words of the command there."""

    files: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


def recipe(lock: str | None, read: Read) -> Recipe:
    """Return how to install a lock file; ``read`` gives a file of the source, if it is there.

    Raises a ``bad_lock`` fault, with file and line, for what would reach beyond an index.
    """
    if lock is None:
        return Recipe()
    name = lock.rpartition("/")[2]
    if name == "uv.lock":
        pyproject = f"{lock.removesuffix(name)}{PYPROJECT}"
        project = _toml(pyproject, read).get("project")
        return _from_uv_lock(lock, _text(lock, read), _toml(lock, read), project)
    if name == PYPROJECT:
        project = _toml(lock, read).get("project")
        lines = project.get("dependencies", []) if isinstance(project, dict) else []
        if not isinstance(lines, list):
            raise bad_lock(lock, "project.dependencies is not a list", _FROM_INDEX)
        return _from_requirements([_requirement(str(line), lock) for line in lines])
    return _from_requirements(_read_requirements(lock, _text(lock, read)))


def _from_requirements(lines: list[str]) -> Recipe:
    if not lines:
        return Recipe()
    text = "".join(f"{line}\n" for line in lines)
    return Recipe({"requirements.txt": text}, ("pip", "install", "-r", "requirements.txt"))


def _from_uv_lock(where: str, text: str, lock: Mapping[str, Any], project: object) -> Recipe:
    """Frozen, uv only needs to know which of the lock's packages is the project."""
    name = project.get("name") if isinstance(project, dict) else None
    if not isinstance(project, dict) or not re.fullmatch(r"[\w.-]+", str(name or "")):
        raise bad_lock(where, f"there is no project.name in {PYPROJECT} beside it", "Add it.")
    for package in _tables(lock.get("package")):
        problem = _unfit(package)
        if problem:
            culprit = shown(str(package.get("name")))
            raise bad_lock(where, f"{culprit} comes from {shown(problem)}", _FROM_INDEX)
    pyproject = (
        f"[project]\nname = {json.dumps(str(name))}\nversion = '0'\n"
        f"requires-python = {json.dumps(str(project.get('requires-python', '')))}\n"
        "[tool.uv.workspace]\n"  # or uv looks for one in the folders around
    )
    command = ("sync", "--frozen", "--no-dev", "--no-install-project")
    return Recipe({PYPROJECT: pyproject, "uv.lock": text}, command)


def _unfit(package: Mapping[str, Any]) -> str | None:
    """Return where a locked package comes from, if that is a place on this host."""
    source = package.get("source")
    if not isinstance(source, dict) or len(source) != 1:
        return str(source)
    ((kind, place),) = source.items()
    itself = kind in ("virtual", "editable", "directory") and place == "."
    # Not "git": uv would run git on it, to build what it has got.
    remote = kind in ("registry", "url") and str(place).startswith(_REMOTE)
    if not itself and not remote:
        return str(place)
    sdist = package.get("sdist")
    files = [*_tables(package.get("wheels")), *([sdist] if isinstance(sdist, dict) else [])]
    places = (str(file["path"] if "path" in file else file.get("url", "")) for file in files)
    return next((place for place in places if place and not place.startswith(_REMOTE)), None)


def _read_requirements(where: str, text: str) -> list[str]:
    """Return the lines of a requirements file in one plain form, or refuse one."""
    lines: list[str] = []
    begun: list[str] = []
    for number, raw in enumerate(text.split("\n"), 1):
        words = raw.split()
        comment = next((n for n, word in enumerate(words) if word.startswith("#")), len(words))
        words = words[:comment]
        begun += words
        if words and words[-1].endswith("\\"):
            begun[-1] = begun[-1][:-1]
            continue
        if begun:
            line = " ".join(filter(None, begun))
            lines.append(_requirement(line, f"{where}:{number}"))
        begun = []
    if begun:
        raise bad_lock(where, "its last line is not finished", _ONE_FILE)
    return lines


def _requirement(line: str, where: str) -> str:
    """Return one requirement or option in its plain form."""
    if line.startswith("-"):
        if not _OPTION.fullmatch(line):
            raise bad_lock(where, f'"{shown(line)}" is not an option that works here', _ONE_FILE)
        return line
    wanted, *options = re.split(r" (?=--)", line)
    if not all(map(_HASH.fullmatch, options)):
        raise bad_lock(where, f'"{shown(line)}" has an option other than --hash', _ONE_FILE)
    try:
        requirement = Requirement(wanted.strip())
    except InvalidRequirement as error:
        raise bad_lock(where, f'"{shown(line)}" is not name==version', _FROM_INDEX) from error
    if requirement.url and (not requirement.url.startswith(_REMOTE) or "$" in requirement.url):
        raise bad_lock(where, f'"{shown(line)}" is not a remote address', _FROM_INDEX)
    return " ".join([str(requirement), *options])


def _text(path: str, read: Read) -> str:
    raw = read(path)
    if raw is None:
        raise _unreadable(path, "there is no such file")
    if len(raw) > _MAX_BYTES:
        raise _unreadable(path, f"it is longer than {_MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8") from error


def _toml(path: str, read: Read) -> Mapping[str, Any]:
    try:
        return tomllib.loads(_text(path, read))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _unreadable(path, f"it is not TOML: {error}") from error


def _unreadable(path: str, problem: str) -> Fault:
    return bad_lock(path, f"{path} cannot be read: {problem}", "uv lock writes it anew.")


def _tables(value: object) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else []
    return [table for table in found if isinstance(table, dict)]
