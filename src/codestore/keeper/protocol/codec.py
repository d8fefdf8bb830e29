"""JSON lines to the protocol's dataclasses and back: the only place that knows both.

What arrives is checked against the type of each field, strictly: a missing, unknown or wrongly
typed field is refused with its path (``spec.env.PATH``), never guessed at. What has its default is
left out.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from codestore.keeper.errors import BAD_REQUEST, KeeperError
from codestore.keeper.protocol.messages import EVENTS, REQUESTS, Event, Request
from codestore.keeper.spec import require

MAX_LINE: Final = 4 * 1024 * 1024
"""The longest line the keeper accepts, in bytes."""
MAX_ANSWER: Final = 64 * 1024 * 1024
"""The longest line a client accepts, in bytes: a listing of very many children is long."""

Shape = TypeVar("Shape")
Message = dict[str, Any]


def parse(line: bytes) -> Message:
    """Read one line as a JSON object. Raises ``KeeperError(bad-request)``."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as broken:
        raise KeeperError(BAD_REQUEST, f"not JSON: {broken}") from None
    require(isinstance(message, dict), "a message is a JSON object")
    return cast(Message, message)


def encode(message: Mapping[str, Any]) -> bytes:
    """Write one message as a line; dataclasses inside it become objects."""
    return json.dumps(message, separators=(",", ":"), default=_plain).encode() + b"\n"


def encode_request(number: int, request: Request) -> bytes:
    """Write a request with its number."""
    return encode({"id": number, "op": type(request).__name__.lower(), **_shallow(request)})


def decode_request(message: Message) -> Request:
    """Read a request (its ``id`` is not looked at). Raises ``KeeperError(bad-request)``."""
    op = message.get("op")
    kind = REQUESTS.get(op) if isinstance(op, str) else None
    if kind is None:
        raise KeeperError(BAD_REQUEST, f"unknown operation {op!r}")
    given = {key: value for key, value in message.items() if key not in ("id", "op")}
    return from_json(kind, given)


def encode_event(event: Event) -> bytes:
    """Write an event."""
    return encode({"event": type(event).__name__.lower(), **_shallow(event)})


def decode_event(message: Message) -> Event:
    """Read an event. Raises ``KeeperError(bad-request)``."""
    kind = EVENTS.get(message.get("event", ""))
    if kind is None:
        raise KeeperError(BAD_REQUEST, f"unknown event {message.get('event')!r}")
    given = {key: value for key, value in message.items() if key != "event"}
    return from_json(kind, given)


def from_json(kind: type[Shape], value: object) -> Shape:
    """Turn parsed JSON into a ``kind`` (a dataclass or a plain type).

    Raises ``KeeperError(bad-request)`` with the path of the field that does not fit.
    """
    return cast(Shape, _convert(kind, value, ""))


def _shallow(record: Any) -> Message:
    """Return the fields that have not their default; what is inside is asked for in turn."""
    kind: Any = type(record)
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    known = _defaults(kind)
    return {name: value for name, value in values.items() if value != known.get(name, MISSING)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _shallow(value)
    raise TypeError(f"{value!r} cannot cross the socket")


@cache
def _defaults(kind: Any) -> Mapping[str, Any]:
    found = {each.name: each.default for each in fields(kind)}
    made = {each.name: each.default_factory for each in fields(kind)}
    return found | {name: make() for name, make in made.items() if make is not MISSING}


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _object(kind, value, where)
    if origin is UnionType:  # only ever "X | None" in the protocol
        plain = next(each for each in inner if each is not NoneType)
        return None if value is None else _convert(plain, value, where)
    if origin is tuple:
        return _tuple(inner, value, where)
    if origin is Mapping:
        _expect(isinstance(value, dict), where, "an object")
        return {key: _convert(inner[1], each, f"{where}.{key}") for key, each in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    # type() and not isinstance: true is no integer here.
    _expect(type(value) is kind, where, f"of type {kind.__name__}")
    return value


def _object(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), where, "an object")
    hints, known = _hints(kind), {each.name: each for each in fields(kind)}
    for name in value:
        require(name in known, f"{_join(where, name)} is not known")
    for name, each in known.items():
        optional = each.default is not MISSING or each.default_factory is not MISSING
        require(optional or name in value, f"{_join(where, name)} is missing")
    return kind(
        **{name: _convert(hints[name], each, _join(where, name)) for name, each in value.items()}
    )


def _tuple(inner: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(value, list), where, "a list")
    kinds = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
    _expect(len(value) == len(kinds), where, f"a list of {len(kinds)}")
    return tuple(
        _convert(kind, each, f"{where}[{index}]")
        for index, (kind, each) in enumerate(zip(kinds, value, strict=True))
    )


def _expect(condition: bool, where: str, what: str) -> None:
    require(condition, f"{where or 'the message'} must be {what}")


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
