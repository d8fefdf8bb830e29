"""A value that must not be shown: keys, passwords, tokens."""

import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret string. Prints as ``[hidden]`` everywhere; ``reveal()`` is the only way out."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the value itself. Call it only where the secret leaves through a door."""
        return self._value

    def matches(self, other: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self._value.encode(), other.encode())

    def __str__(self) -> str:
        return "[hidden]"

    def __repr__(self) -> str:
        return "Secret([hidden])"

    def __format__(self, spec: str) -> str:
        return format("[hidden]", spec)
