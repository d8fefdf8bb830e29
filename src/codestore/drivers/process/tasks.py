"""The door ``Tasks`` on this host: a command run to its end, beside the instances."""

from collections.abc import Awaitable, Callable

from codestore.domain.faults import unavailable
from codestore.domain.instances import LogLine, TaskResult, Workload
from codestore.drivers.process.child import ended
from codestore.drivers.process.children import Children
from codestore.drivers.process.launching import FINAL_GRACE, NEVER, task_label, task_spec
from codestore.drivers.process.places import Host
from codestore.keeper.errors import KeeperError

TAIL = 20  # lines


class ProcessTasks:
    """Tasks as processes under the keeper; one that is still running is waited for, not doubled."""

    def __init__(
        self,
        children: Children,
        host: Host,
        tail: Callable[[str, str, int], Awaitable[list[LogLine]]],
    ) -> None:
        self._children = children
        self._host = host
        self._tail = tail

    async def run(self, workload: Workload, name: str, timeout: float) -> TaskResult:
        """Run and wait; at most ``timeout`` seconds, then it is ended and has failed."""
        child_name = f"{workload.deployment}.{name}"
        label = task_label(workload)
        try:
            await self._children.spawn(task_spec(self._host, workload, child_name, label))
            ending = await self._ending(child_name, timeout)
            await self._children.forget(child_name)
        except KeeperError as error:
            if error.code in NEVER:
                return TaskResult(False, f"it cannot be started: {error.message}")
            raise unavailable("keeper", "The host did not answer", str(error)) from error
        lines = await self._tail(workload.deployment, child_name, TAIL)
        return TaskResult(ending == "exit code 0", ending, tuple(line.text for line in lines))

    async def _ending(self, name: str, timeout: float) -> str:
        try:
            await self._children.until(name, ended, timeout)
        except TimeoutError:
            await self._children.client.stop(name, FINAL_GRACE)
            await self._children.until_ended(name, FINAL_GRACE)
            return f"it was ended after {timeout:g} s"
        child = self._children.get(name)
        return (child.ending if child else None) or "it vanished"
