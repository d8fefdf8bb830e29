"""Server-sent events, read line by line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

KEEP_ALIVE = "keep-alive"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; a comment, which only shows that the sender lives, is a ``KEEP_ALIVE``."""

    event: str
    data: str = ""
    id: str | None = None


def read_messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """Yield the messages of a stream; one that is cut off is left out."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line.startswith(":"):
            yield Message(KEEP_ALIVE)
        elif line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            # A value over several lines is sent as several fields of one name.
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        elif "data" in fields:
            yield Message(fields.get("event", "message"), fields["data"], fields.get("id"))
            fields = {}
        else:
            fields = {}
