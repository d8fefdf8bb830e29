"""``codestore.yaml`` from bytes to plain data, with the line of every key.

YAML as data only: no tags, no anchors, no aliases, no directives, bounded size and depth. What
is left is what JSON can say, so nothing in a manifest can build an object or grow on expansion.
"""

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.nodes import ScalarNode

from codestore.domain.document import Document, Path
from codestore.domain.faults import Fault, invalid
from codestore.domain.manifest import FILE
from codestore.domain.names import shown

_MAX_BYTES = 64 * 1024
_MAX_DEPTH = 20
_TAG = "tag:yaml.org,2002:"


def read_document(raw: bytes) -> Document:
    """Parse a manifest. Raises a ``bad_manifest`` fault with file and line."""
    if len(raw) > _MAX_BYTES:
        raise _refused(f"is longer than {_MAX_BYTES} bytes", None)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused("is not UTF-8", raw[: error.start].count(b"\n") + 1) from error
    try:
        return _Reader(text).document()
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _refused(str(error.problem or error.context), line) from error
    except YAMLError as error:
        raise _refused("has a character that YAML does not allow", None) from error


def _refused(problem: str, line: int | None) -> Fault:
    where = f"{FILE}:{line}" if line else FILE
    hint = "Plain keys and values, as the service's folder is described in the documentation."
    return invalid("bad_manifest", "Manifest refused", f"{FILE}: {problem}", hint=hint, where=where)


class _Reader:
    """Builds plain data from the parser's events, one at a time."""

    def __init__(self, text: str) -> None:
        yaml = YAML(typ="safe", pure=True)
        self._events: Iterator[Any] = yaml.parse(text)
        self._resolver: Any = yaml.resolver
        self._lines: dict[Path, int] = {}

    def document(self) -> Document:
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            return Document(None, FILE)
        if isinstance(start, DocumentStartEvent) and (start.version or start.tags):
            raise _refused("directives (%) are not allowed", _line(start))
        value = self._value(next(self._events), ())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, StreamEndEvent):
            raise _refused("there is a second document", _line(after))
        return Document(value, FILE, self._lines)

    def _value(self, event: Any, path: Path) -> object:
        if isinstance(event, AliasEvent) or event.anchor or getattr(event, "tag", None):
            raise _refused("anchors (&), aliases (*) and tags (!) are not allowed", _line(event))
        if len(path) > _MAX_DEPTH:
            raise _refused("is nested too deeply", _line(event))
        self._lines.setdefault(path, _line(event))
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event)

    def _mapping(self, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                raise _refused("a key must be a word", _line(event))
            key = _word(event)
            if key in found:
                raise _refused(f"{shown(key)} is there twice", _line(event))
            self._lines[*path, key] = _line(event)
            found[key] = self._value(next(self._events), (*path, key))
        return found

    def _sequence(self, path: Path) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            found.append(self._value(event, (*path, str(len(found)))))
        return found

    def _scalar(self, event: Any) -> object:
        """Return what a word means in YAML 1.2; what it does not know is text."""
        text = _word(event)
        tag = str(self._resolver.resolve(ScalarNode, text, event.implicit)).removeprefix(_TAG)
        try:
            match tag:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
                case "float":
                    return float(text)
        except ValueError:
            return text  # .inf, .nan, and numbers longer than anyone writes
        return text


def _word(event: Any) -> str:
    text = str(event.value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _refused("half a character (a surrogate) is not text", _line(event))
    return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
