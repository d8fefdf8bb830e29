"""A log that is appended to and rotated by size: ``x.log``, then ``x.log.1`` (newest) to ``.3``."""

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

ROTATE_AT: Final = 8 * 1024 * 1024
"""Size in bytes at which a log is put aside."""
KEEP: Final = 3
"""How many logs put aside are kept."""


class LogFile:
    """Opened at the first write, with mode 0600. Never raises: a full disk must not stop anyone.

    What cannot be written is lost, and the keeper's own log says so once per failure and file.
    """

    __slots__ = ("_failed", "_fd", "_path", "_size")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._size = 0
        self._failed = False

    def write(self, batch: bytes) -> None:
        """Append a batch of whole lines; rotate when that made the file large enough."""
        try:
            if self._fd < 0:
                self._open()
            self._size += os.write(self._fd, batch)
            self._failed = False
            if self._size >= ROTATE_AT:
                self._rotate()
        except OSError as failure:
            if not self._failed:
                _log.warning("output is lost: %s: %s", self._path, failure)
            self._failed = True
            self.close()

    def close(self) -> None:
        """Close the file; another write would open it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        self.close()
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, KEEP + 1))]
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
