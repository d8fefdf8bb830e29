"""uvicorn's protocols and lifespan on sockets of our choosing, without uvicorn's Server.

`uvicorn.Server` accepts on all its sockets at once and closes idle connections when it stops;
a service here must do neither. What is used of uvicorn (0.30 and later), and nothing else:

- `Config(...)`, `Config.load()`, `.loaded_app` (replaced by a wrapper), `.http_protocol_class`,
  `.lifespan_class`; `uvicorn.config.WS_PROTOCOLS` to see which WebSocket protocols it knows;
- `ServerState()` with `.connections` and `.tasks`;
- a protocol is made with `config=, server_state=, app_state=, _loop=` (of which it uses
  `create_task` and `call_later`, the latter for idle connections alone), has `.transport`, and
  `.shutdown()` ends it when idle, or with code 1012 when it is a WebSocket;
- lifespan: `startup()`, `shutdown()`, `.state`, `.should_exit`; and the logger `uvicorn.error`.
"""

import asyncio
import gc
import importlib.util
import logging
import socket
from typing import Any

from uvicorn.config import WS_PROTOCOLS, Config
from uvicorn.server import ServerState

from codestore_sdk.errors import StartError
from codestore_sdk.responses import Responses
from codestore_sdk.waking import Wake

# Every process that accepts sets the queue's length anew for all; the kernel caps it.
BACKLOG = 4096
# Only the side that sends requests may close an idle connection: one that is closed here just
# while it is being used again loses a request. So idle means "for a year", in seconds, where
# a timer is set at all (see `Untimed`).
KEEP_ALIVE = 365 * 24 * 3600
# How often a draining server looks whether it is empty, in seconds; uvicorn tells nobody.
GLANCE = 0.02
# So many more objects than were freed, and garbage is looked for; Python's own 700 is for scripts.
GARBAGE = 20_000
# How long an application may take to notice that its clients were hung up on, in seconds.
GOODBYE = 1.0


class Untimed:
    """The loop as a connection needs it, without the timer that would close it when it is idle.

    uvicorn sets one after each response and takes it back with the next request. Here only the
    other side closes what is idle (see `KEEP_ALIVE`).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._never = loop.call_later(KEEP_ALIVE, _nothing)
        self._never.cancel()
        self.create_task = loop.create_task

    def call_later(self, *_: Any) -> asyncio.TimerHandle:
        """Set no timer; return one that is over."""
        return self._never

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def _nothing() -> None:
    pass


class Engine:
    """Serves one ASGI application on any number of sockets, each for as long as asked."""

    def __init__(self, app: Any, wake: Wake, *, trust_proxy: bool, websockets: bool) -> None:
        """`trust_proxy`: believe X-Forwarded-For and -Proto whoever sends them.

        That is right on a Unix socket, which only the gateway can reach; otherwise uvicorn's
        own rule holds (loopback, or FORWARDED_ALLOW_IPS).
        """
        self._config = Config(
            app,
            ws=_websocket_protocol() if websockets else "none",
            log_config=None,  # logging belongs to the service
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            proxy_headers=not trust_proxy,
        )
        self._config.load()
        self.wake = wake
        self._responses = Responses(self._config.loaded_app, wake, trust_proxy=trust_proxy)
        self._config.loaded_app = self._responses
        self._state = ServerState()

    async def start(self) -> None:
        """Run the application's lifespan startup. Raises StartError when that fails."""
        self._lifespan = self._config.lifespan_class(self._config)
        await self._lifespan.startup()
        # A service that configures logging may switch off loggers it does not know; this one
        # carries the tracebacks of its unhandled exceptions.
        logging.getLogger("uvicorn.error").disabled = False
        if self._responses.left:
            raise StartError("the application left (SystemExit) in its lifespan startup")
        if self._lifespan.should_exit:
            raise StartError("the application's lifespan startup failed", "see the lines above")
        # What is there now stays: looking through it for garbage would cost each request its share.
        gc.freeze()
        gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])

    async def stop(self) -> None:
        """Run the application's lifespan shutdown."""
        await self._lifespan.shutdown()

    async def accept(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Accept connections from `listener` until the returned server is closed.

        A duplicate is served: closing it neither shuts the socket down nor unlinks it, others
        that share it go on, and it can be accepted from again.
        """
        loop = asyncio.get_running_loop()
        untimed = Untimed(loop)

        def connection() -> asyncio.Protocol:
            return self._config.http_protocol_class(  # type: ignore[call-arg]
                config=self._config,
                server_state=self._state,
                app_state=self._lifespan.state,
                _loop=untimed,
            )

        return await loop.create_server(connection, sock=listener.dup(), backlog=BACKLOG)

    def last_responses(self) -> None:
        """Let every response that begins from now on carry `Connection: close`."""
        self._responses.closing = True

    async def empty(self) -> None:
        """Wait until no connection is left and no request is being worked on.

        The first glance comes late on purpose: a connection that was accepted just now is
        counted only some turns of the event loop later.
        """
        await asyncio.sleep(GLANCE)
        while self._state.connections or self._state.tasks:  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(GLANCE)

    async def hang_up(self) -> None:
        """End what is left: WebSockets with code 1012, event streams with a last chunk.

        Whatever else has not been answered to its end is cut.

        The application sees its clients leave; what has not ended after `GOODBYE` seconds is
        cancelled.
        """
        await self._responses.endless.end()
        # A WebSocket is left open until its client has answered: were something unread when it is
        # closed, the kernel would reset the connection, and the client might never hear the code.
        for connection in list(self._state.connections):
            if isinstance(connection, self._config.http_protocol_class):
                connection.shutdown()
                connection.transport.close()
        try:
            async with asyncio.timeout(GOODBYE):
                await self.empty()
        except TimeoutError:
            for connection in list(self._state.connections):
                connection.transport.abort()
            for task in list(self._state.tasks):
                task.cancel()


def _websocket_protocol() -> Any:
    """The protocol on websockets' present interface where both sides have it."""
    if "websockets-sansio" in WS_PROTOCOLS and importlib.util.find_spec("websockets"):
        return "websockets-sansio"
    return "auto"
