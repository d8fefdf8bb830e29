"""Asking an instance itself, over its own socket or port."""

import asyncio

import httpx

from codestore.domain.faults import failed
from codestore.domain.manifest import Health

BETWEEN = 0.05  # seconds between two tries
ONE_TRY = 5.0  # seconds for one answer
UNIX, TCP = "unix:", "tcp://"


async def prove(address: str, health: Health) -> None:
    """Ask until the answer is good, for at most ``health.timeout`` seconds.

    Raises a FAILED fault that says what the last answer was.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + health.timeout
    async with _client(address) as client:
        while True:
            problem = await _ask(client, health, min(ONE_TRY, max(0.1, until - loop.time())))
            if problem is None:
                return
            if loop.time() + BETWEEN >= until:
                break
            await asyncio.sleep(BETWEEN)
    raise failed(
        "unhealthy",
        "The health check failed",
        f"GET {health.path or '/'} {problem} for {health.timeout:g} s.",
        "Mend it and push again, or name another path: health: {path: /health}.",
    )


async def _ask(client: httpx.AsyncClient, health: Health, timeout: float) -> str | None:
    """Return what is wrong with the answer; ``None`` when nothing is."""
    try:
        async with client.stream("GET", health.path or "/", timeout=timeout) as response:
            status = response.status_code
    except httpx.TimeoutException:
        return "did not answer"
    except httpx.HTTPError as error:
        return f"failed ({type(error).__name__})"
    worst = 399 if health.path else 499
    return None if status <= worst else f"answered {status}"


def _client(address: str) -> httpx.AsyncClient:
    """Return a client for an address of ours; no proxies, no certificates to load."""
    headers = {"user-agent": "codestore-probe", "connection": "close"}
    if address.startswith(UNIX):
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix(UNIX), verify=False)
        return httpx.AsyncClient(transport=transport, base_url="http://instance", headers=headers)
    transport = httpx.AsyncHTTPTransport(verify=False)
    base = f"http://{address.removeprefix(TCP)}"
    return httpx.AsyncClient(transport=transport, base_url=base, headers=headers)
