"""One child: its whole life is one task, told in ``_live`` and ``_run_once``."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from typing import Final

from codestore.keeper.backoff import Backoff
from codestore.keeper.errors import AWAKE, NOT_RUNNING, SYSTEM, KeeperError
from codestore.keeper.home import Home
from codestore.keeper.news import News
from codestore.keeper.output.logfile import LogFile
from codestore.keeper.output.masking import Mask
from codestore.keeper.output.pipes import Output
from codestore.keeper.protocol.messages import ChildView, Exited, Notify, Started
from codestore.keeper.run import Run
from codestore.keeper.shortage import post_mortem
from codestore.keeper.sleeping import Sleep
from codestore.keeper.sockets.dialling import dial
from codestore.keeper.spawning.launch import Launch
from codestore.keeper.spec import ChildSpec, signal_number
from codestore.keeper.starting import prepared, start

_log = logging.getLogger(__name__)

LAST_WORDS: Final = 0.5
"""Seconds to wait for the end of the output when a child has ended but its pipes are held open."""


class Child:
    """A named child, from its first start to its last end. It begins to live when it is made.

    ``first_start`` is the pid of its first run, or the ``KeeperError`` why there is none; ``life``
    is done when no run will follow. ``woken_at`` is when a connection was noticed for which it
    is started.
    """

    def __init__(self, spec: ChildSpec, home: Home, woken_at: float | None = None) -> None:
        self.spec = spec
        self._home = home
        self._woken_at = woken_at
        self._run: Run | None = None
        self._sleep: Sleep | None = None
        self._runs = 0
        self._stopping = asyncio.Event()
        self._news = News(self._publish_news)
        self._probe: asyncio.Task[None] | None = None
        self._kill_timer: asyncio.TimerHandle | None = None
        self.first_start: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.life = asyncio.create_task(self._live(), name=f"child {spec.name}")

    @property
    def resting(self) -> bool:
        """Whether it has ended and only waits to be started again."""
        return self._run is not None and self._run.over and not self.life.done()

    async def pid(self) -> int:
        """Return the pid of its last run, waiting for the first. Raises ``KeeperError``."""
        first = await asyncio.shield(self.first_start)
        return self._run.pid if self._run else first

    def signal(self, name: str, group: bool, cause: str = "") -> None:
        """Send a signal, with a ``cause`` to end it. Raises ``KeeperError(not-running)``."""
        run = self._running()
        if cause:
            run.cause = cause
            run.say(cause)
        send = os.killpg if group else os.kill
        send(run.pid, signal_number(name))

    async def freeze(self, socket: str, queue: int) -> bool:
        """Freeze it until a connection arrives at ``socket``; tell whether it is frozen.

        Raises ``KeeperError``: ``not-running``, ``not-found`` for the socket.
        """
        self._running()
        if self._sleep is None or self._stopping.is_set():  # it is to end, not to sleep
            return False
        return await self._sleep.freeze(socket, queue)

    def thaw(self) -> None:
        """Let it run on. Idempotent."""
        if self._sleep:
            self._sleep.thaw()

    def stop(self, grace: float, frozen: bool = False) -> bool:
        """Ask it to stop, and kill it ``grace`` seconds later; tell whether an end will follow.

        Asked again, it may bring the end forward. A frozen child is thawed, to end well. With
        ``frozen``, raises ``KeeperError(awake)`` unless it is frozen now.
        """
        run = self._run
        if frozen and not (run and run.frozen):
            raise KeeperError(AWAKE, f"{self.spec.name!r} is not frozen")
        asked = self._stopping.is_set()
        self._stopping.set()
        if run is None or run.over:
            return False
        run.stopping = True
        self._home.forwards.changed(self.spec.name)
        if not asked and run.alive:
            # To the process alone: its helpers may be what it needs to end well.
            os.kill(run.pid, signal_number(self.spec.stop_signal))
        self.thaw()
        loop = asyncio.get_running_loop()
        when = loop.time() + grace
        if self._kill_timer is None or when < self._kill_timer.when():
            if self._kill_timer:
                self._kill_timer.cancel()
            self._kill_timer = loop.call_at(when, run.kill)
        return True

    def heard(self, variables: Mapping[str, str]) -> None:
        """Take in what it, or a process of its session, has said by sd_notify."""
        run = self._run
        was_ready = run is not None and run.ready
        if run and run.hear(variables) and run.told:
            self._news.changed(urgent=run.ready != was_ready)

    def view(self) -> ChildView | None:
        """Return it as listed, or ``None`` before its first run."""
        run = self._run
        if run is None:
            return None
        code, signal_name = run.outcome()
        return ChildView(
            name=self.spec.name,
            pid=run.pid,
            started_at=run.started_at,
            running=not run.over,
            code=code,
            signal=signal_name,
            will_restart=self._will_restart(),
            restarts=self._runs - 1,
            ready=run.ready and not run.over,
            status=run.status,
            label=self.spec.label,
            port=run.port,
            frozen=run.frozen,
            forked=run.forked,
            stopping=run.stopping,
            cause=run.cause,
        )

    async def _live(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            born, orderly = time.monotonic(), False
            try:
                orderly = await self._run_once() == 0
            except (OSError, KeeperError) as failure:
                if not self.first_start.done():
                    self.first_start.set_exception(_told(failure))
                    return
                _log.warning("%s did not start again: %s", self.spec.name, failure)
            if not self._will_restart():
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.after(time.monotonic() - born, orderly)):
                    await self._stopping.wait()
        if not self.first_start.done():
            self.first_start.set_exception(
                KeeperError(NOT_RUNNING, f"{self.spec.name!r} was stopped before it began")
            )

    async def _run_once(self) -> int | None:
        """Live from fork to exit; return its code. Raises when the program could not be started."""
        spec, home = self.spec, self._home
        woken_at = self._woken_at if self._runs == 0 else None
        run, launched = await start(prepared(spec, woken_at), home, woken_at is not None)
        self._run = run
        if self._stopping.is_set():  # while its parent was asked
            run.kill()
        self._runs += 1
        home.leaders[run.pid] = self
        home.journal.add(run.pid)
        permitted = launched.permit()  # before all that can be done while it begins
        log = LogFile(home.logs / spec.log) if spec.log else None
        output = Output(launched.outputs, log, Mask.of(spec))
        run.say = output.say
        try:
            await self._let_go(run, launched, permitted)
        finally:
            await run.ended
            words = post_mortem(run)
            self._lay_down(run)
            await output.drain(LAST_WORDS)
            output.close(words)
            self._news.flush()
            self._bury(run)
        code, signal_name = run.outcome()
        label = self.spec.label  # it may have changed since
        restarts = self._will_restart()
        home.publish(Exited(spec.name, run.pid, code, signal_name, label, restarts, run.cause))
        return code

    async def _let_go(self, run: Run, launched: Launch, permitted: bool) -> None:
        """Let it run its program, and tell everybody. Raises ``KeeperError(exec)``."""
        home = self._home
        folder = run.bounds.folder if run.bounds else None
        self._sleep = Sleep(run, home.freezer.hold(run.pid, folder), home)
        await launched.release(permitted)
        home.runs[run.name] = run
        view = self.view()
        assert view is not None
        home.publish(Started(run.name, run.pid, view))
        run.told = True
        if run.ready or run.status:  # it may have been faster than we are
            self._news.changed(urgent=run.ready)
        if not self.first_start.done():
            self.first_start.set_result(run.pid)
        if run.port:
            self._probe = asyncio.create_task(self._becomes_ready(run), name=f"probe {run.name}")

    async def _becomes_ready(self, run: Run) -> None:
        link = run.cell.link if run.cell else None
        connection = await dial(run.port, run.ended, link.take_inside() if link else None)
        if connection and run.alive:
            if self._home.forwards.awaited(run.name):
                run.probe = connection
            else:
                connection.close()
            run.ready = True
            self._home.forwards.changed(run.name)  # first: somebody may wait
            self._news.changed(urgent=True)

    def _publish_news(self) -> None:
        if self._run:
            self._home.publish(Notify(self.spec.name, self._run.ready, self._run.status))

    def _running(self) -> Run:
        run = self._run
        if run is None or not run.alive:
            raise KeeperError(NOT_RUNNING, f"{self.spec.name!r} is not running")
        return run

    def _lay_down(self, run: Run) -> None:
        """It has ended: nothing may be asked of it any more."""
        self._home.runs.pop(run.name, None)
        self._home.forwards.changed(run.name)
        if self._sleep:
            self._sleep.end()
            self._sleep = None
        for left in (run.channel, run.take_probe()):
            if left:
                left.close()

    def _bury(self, run: Run) -> None:
        run.over = True
        self._home.leaders.pop(run.pid, None)
        self._home.journal.remove(run.pid)
        if self._kill_timer:
            self._kill_timer.cancel()
        if run.cell:  # the kernel ends whoever is left in it
            run.cell.leave()
        if run.bounds:
            run.bounds.release()

    def _will_restart(self) -> bool:
        return self.spec.restart and not self._stopping.is_set()


def _told(failure: OSError | KeeperError) -> KeeperError:
    return failure if isinstance(failure, KeeperError) else KeeperError(SYSTEM, str(failure))
