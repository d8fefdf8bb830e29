"""The one exception of this room; it crosses the socket as ``{"code", "message"}``."""

from typing import Final

# Raised by the keeper.
BAD_REQUEST: Final = "bad-request"  # broken JSON, unknown operation, a field that is not allowed
TOO_LONG: Final = "too-long"  # a line over codec.MAX_LINE, or a socket path over 107 bytes
NOT_FOUND: Final = "not-found"  # no child or no socket has this name
NOT_RUNNING: Final = "not-running"  # the child has ended
RUNNING: Final = "running"  # the child has not ended, or is about to be started again
AWAKE: Final = "awake"  # the child is not frozen, and only a frozen one was to be stopped
EXEC: Final = "exec"  # the program could not be started; the message has the system's reason
CLOSING: Final = "closing"  # the keeper is shutting down and takes nothing new
SYSTEM: Final = "system"  # the operating system refused; the message has its reason
INTERNAL: Final = "internal"  # a bug; the keeper's own log has the traceback
IN_USE: Final = "in-use"  # another keeper has the run folder
START: Final = "start"  # the keeper itself cannot start (run folder in use, or not ours)

# Raised by the client.
TIMEOUT: Final = "timeout"  # no answer in time; the operation may still have happened
DISCONNECTED: Final = "disconnected"  # the keeper is not there, or has closed the connection


class KeeperError(Exception):
    """The keeper refused or failed: ``code`` for programs, ``message`` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message
