"""Where versions run: instances awake and asleep, tasks, and what they print."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from codestore.domain.faults import Letter
from codestore.domain.instances import LogLine, TaskResult, View, Workload
from codestore.domain.manifest import Health
from codestore.domain.verification import Attempt


class Driver(Protocol):
    """Runs instances of deployments somewhere: on this host, in a cluster, in memory."""

    async def observe(self, deployment: str) -> View:
        """Tell what runs for a deployment, and where requests for it can be handed in."""

    async def start(self, workload: Workload, ordinal: int) -> None:
        """Start instance ``ordinal`` of a revision; it stays private. Running already: nothing."""

    async def prove(self, deployment: str, instance: str, health: Health) -> None:
        """Ask the instance itself whether it works. Raises a FAILED fault when it does not."""

    async def admit(self, deployment: str, instance: str) -> None:
        """Let the instance take requests of users. Returns when it does."""

    async def drain(self, deployment: str, instance: str) -> None:
        """Let it finish what it has, then end. Returns when it accepts nothing new."""

    async def stop(self, deployment: str, instance: str) -> None:
        """End the instance now, and forget it when it has ended."""

    async def remove(self, deployment: str) -> None:
        """Forget the deployment: instances, addresses, logs, whatever there is of it.

        Whatever :meth:`changes` tells of is forgotten last.
        """

    def changes(self) -> AsyncIterator[str]:
        """Yield the id of each deployment that something runs of, whoever wants it.

        Then of each whose view may have changed, from now on.
        """


class Standby(Protocol):
    """Lets deployments sleep, and has them woken by whoever comes, without anybody's help."""

    async def hold(self, deployment: str, instance: str) -> None:
        """Hold a place where callers of an instance on a port are handed on to it."""

    async def freeze(self, deployment: str, instance: str, queue: int) -> bool:
        """Freeze an instance; tell whether it is. Not while anybody is connected to it.

        The next caller thaws it; ``queue`` of them may wait for that.
        """

    async def thaw(self, deployment: str, instance: str) -> None:
        """Let it go on."""

    async def stop_frozen(self, workload: Workload, instance: str) -> None:
        """End it if it is frozen still; one that was woken meanwhile is left alone.

        What makes the next start quick may be prepared before.
        """

    async def arm(self, workload: Workload, queue: int) -> None:
        """Nothing runs: have the next caller start an instance that takes requests at once."""

    async def disarm(self, deployment: str) -> None:
        """Have callers start nothing any more."""

    async def refuse(self, deployment: str, letter: Letter) -> int:
        """Answer everybody who waits with a 503 that says why; return how many there were."""


class Tasks(Protocol):
    """Runs something of a version to its end, beside its instances: migrations."""

    async def run(self, workload: Workload, name: str, timeout: float) -> TaskResult:
        """Run and wait; at most ``timeout`` seconds, then it is ended and has failed."""


class Intruder(Protocol):
    """Tries, from inside a deployment, what its walls should keep from it."""

    async def attempt(
        self, workload: Workload, attempts: Sequence[Attempt], timeout: float
    ) -> list[str]:
        """Try everything with what the deployment has; return an answer for each, in order.

        Needs no instance, and wakes none. At most ``timeout`` seconds: what has no answer by then
        has an empty one. Answers are those of :mod:`codestore.domain.verification`.
        """


class Logs(Protocol):
    """What deployments printed. Kept for a month, bounded in size."""

    async def tail(self, deployment: str, count: int) -> list[LogLine]:
        """Return the newest lines, oldest first."""

    def follow(self, deployment: str, count: int) -> AsyncIterator[LogLine]:
        """Yield the newest lines, then each new one, until closed."""

    async def note(self, deployment: str, text: str) -> None:
        """Add a line of the platform's own, so that both stories are read in one place."""

    async def prune(self, before: datetime) -> None:
        """Delete what was last written to before a time."""
