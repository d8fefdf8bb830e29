"""Requests without a pause, to change things under."""

import asyncio
import contextlib


@contextlib.asynccontextmanager
async def load(stage, path, connections=4):
    """Ask for a path without a pause, over connections that are kept; give all that was seen."""
    seen, stop = [], asyncio.Event()

    async def ask():
        reader, writer = await stage.streams()
        while not stop.is_set():
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            head, body = await stage.read(reader)
            seen.append((head.split(" ")[1], body))
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask())
        yield seen
        stop.set()


async def grown(seen, by=50):
    target = len(seen) + by
    while len(seen) < target:
        await asyncio.sleep(0)
