"""The door to the keys that seal secrets."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from codestore.domain.secret import Secret
from codestore.domain.secrets import DataKey


class Keyring(Protocol):
    """Seals the secrets of organizations: a data key for each, wrapped by a master key.

    What is sealed is bound to a place, and opens nowhere else. ``newest`` names the master key that
    wraps; who changes master keys and who makes data keys hold one lock.
    """

    @property
    def newest(self) -> str:
        """Name the master key that wraps."""

    def make(self, id_: str, organization: str, now: datetime) -> DataKey:
        """Make a data key, wrapped."""

    def seal(self, key: DataKey, place: Sequence[str], value: Secret) -> str:
        """Seal a value under a data key, for one place."""

    def open(self, key: DataKey, place: Sequence[str], sealed: str) -> Secret:
        """Open what was sealed for this place. Raises a FAILED fault for anything else."""

    def rewrap(self, key: DataKey) -> DataKey:
        """Return the same data key, wrapped by the newest master key."""

    def begin(self, used: Collection[str]) -> None:
        """Make a new master key, unless one waits already to be used by all data keys.

        ``used`` names those by which data keys are wrapped. Durable when it returns.
        """

    def finish(self, used: Collection[str]) -> None:
        """Forget the master keys that wrap nothing any more."""
