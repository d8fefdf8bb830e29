"""Time and dice."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time and dice."""

    def now(self) -> datetime:
        """Return the time, with its zone (UTC)."""

    def token(self) -> str:
        """Return 64 random hex digits (256 bit)."""
