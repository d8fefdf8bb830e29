"""Visitors of children: an echo to visit, and what a visitor hears."""

import asyncio

from codestore.keeper.protocol.client import KeeperClient
from tests.keeper.house import PATIENCE

ECHO = """
import threading
listener = socket.socket(fileno=3)
def serve(visitor):
    with visitor:
        while data := visitor.recv(65536):
            visitor.sendall(data)
say("READY=1")
while True:
    visitor, _ = listener.accept()
    threading.Thread(target=serve, args=(visitor,), daemon=True).start()
"""
"""A child script that sends back what it is sent, from its first socket."""
PORT_ECHO = """
import threading
def serve(visitor):
    with visitor:
        while data := visitor.recv(65536):
            visitor.sendall(data)
def listen():
    return socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=2048)
def echo(listener):
    while True:
        visitor, _ = listener.accept()
        threading.Thread(target=serve, args=(visitor,), daemon=True).start()
"""
"""Defines functions for a child with a port."""
NOW = PORT_ECHO + "echo(listen())"
"""It listens and echoes."""
ASKED = PORT_ECHO + "import signal; signal.sigwait({signal.SIGUSR1}); echo(listen())"
"""It does so when it is sent SIGUSR1; ``BLOCKED`` goes before."""
BLOCKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); "


async def echoed(path: str, text: bytes) -> bytes:
    """What an echoing child answers to this text and an end; it has closed by then."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        async with asyncio.timeout(PATIENCE):
            sending = asyncio.create_task(_say(writer, text))
            answer = await reader.read()
            await sending
            return answer
    finally:
        writer.close()


async def _say(writer: asyncio.StreamWriter, text: bytes) -> None:
    writer.write(text)
    await writer.drain()
    writer.write_eof()


async def asleep(client: KeeperClient, name: str, socket: str) -> None:
    """Return when the keeper has frozen a child; the last connection may take a moment to end."""
    async with asyncio.timeout(PATIENCE):
        while not await client.freeze(name, socket):
            await asyncio.sleep(0.005)  # nobody is told of the end of a connection
