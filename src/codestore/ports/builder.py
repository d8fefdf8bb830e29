"""From source to something a driver can run."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Protocol

from codestore.domain.instances import Artifact
from codestore.domain.versions import Seal


class Builder(Protocol):
    """Source → sealed bundle → something a driver can run. Content-addressed, never rebuilt."""

    async def seal(self, upload: Path, service: str) -> Seal:
        """Check an uploaded archive and seal it. Raises a Fault that names the offending file."""

    async def prepare(self, seal: Seal) -> Artifact:
        """Verify the bundle byte for byte and make it runnable. Raises a FAILED fault if not."""

    async def prepared(self, seal: Seal) -> Artifact | None:
        """Return the artifact if it is runnable now, without looking at its bytes."""

    def source(self, seal: Seal) -> AsyncIterator[bytes]:
        """Yield the archive of the source, as ``cs pull`` fetches it."""

    async def collect(self, keep: Iterable[str], ready: Iterable[str]) -> None:
        """Delete every bundle whose digest is not in ``keep``, but for new ones.

        Who has just sealed one may still be writing it down.
        What makes a version runnable is deleted unless its digest is in ``ready`` as well.
        """
