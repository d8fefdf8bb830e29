"""Time and dice of this host."""

import secrets
from datetime import UTC, datetime


class SystemClock:
    """The system's clock and its random numbers."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def token(self) -> str:
        """Return 64 random hex digits."""
        return secrets.token_hex(32)
