"""The server of the API, and how it ends."""

import socket

import uvicorn
from fastapi import FastAPI

from codestore.api.ending import Streams

GRACE = 3  # seconds that requests under way get at the end
# Only the gateway closes idle connections, as it does those to instances: were one closed here,
# a request could be on its way on it.
KEEP_ALIVE = 2 * 3600


class Server(uvicorn.Server):
    """Serves until told to end; then whoever only follows events is let go at once."""

    def __init__(self, app: FastAPI, grace: int = GRACE) -> None:
        self._streams = Streams(app)
        config = uvicorn.Config(
            self._streams,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=grace,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of everybody."""
        self._streams.end()
        await super().shutdown(sockets)
