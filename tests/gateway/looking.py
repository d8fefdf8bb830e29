"""Looks at what Envoy has counted."""

import asyncio

A = "a" * 32
PATIENCE = 20.0


async def counted(stage, hash_=A):
    return (await stage.gateway.traffic.reading([hash_])).counters[hash_]


async def at_rest(stage):
    """Wait until nothing is under way: then all that ended has been counted."""
    async with asyncio.timeout(PATIENCE):
        while await stage.gateway.traffic.loads([A]):
            await asyncio.sleep(0.01)
