"""Questions to a running Envoy, over its admin socket."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import httpx

from codestore.domain.faults import Fault, unavailable
from codestore.gateway.counting import (
    CALLED,
    HASH,
    KEPT,
    LIMITED,
    NAME,
    Figures,
    read_calls,
    read_figures,
)

NAMED = 200  # deployments asked for by hash; of more, all are asked for


def away(why: str) -> Fault:
    """Say that Envoy does not answer."""
    return unavailable("gateway_unavailable", "The gateway does not answer", why, "cs status")


class EnvoyAdmin:
    """Asks one Envoy about itself. Methods raise ``httpx.HTTPError`` if it does not answer.

    Life: lasts from its making to ``close``; Envoy may come and go meanwhile.
    """

    def __init__(self, socket: Path, timeout: float) -> None:
        self._socket = socket
        # Nobody speaks TLS here: to read the certificates of all the world takes 28 ms of a start.
        transport = httpx.AsyncHTTPTransport(uds=str(socket), verify=False)
        self._http = httpx.AsyncClient(
            transport=transport, base_url="http://envoy", timeout=timeout, trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def version(self) -> str:
        """Return the version of Envoy, such as ``1.40.0``."""
        info = await self._json("/server_info")
        # "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
        return str(info["version"]).split("/")[1]

    async def ready(self) -> bool:
        """Tell whether Envoy serves: it runs, its first configuration is there, the port is open.

        Raises nothing: an Envoy that does not answer is not ready.
        """
        try:
            answer = await self._http.get("/ready")
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def run(self) -> str:
        """Name the run of Envoy: each makes a socket of its own. No socket is an ``OSError``.

        Nothing that Envoy says of itself does: its bootstrap is the same each time, and it rounds
        its uptime to seconds.
        """
        made = self._socket.stat()
        return f"{made.st_ino:x}-{made.st_mtime_ns:x}"

    async def active_requests(self, hash_: str) -> dict[str, int]:
        """Count the requests under way at each endpoint of a deployment, by address as a URI."""
        answer = await self._json("/clusters", format="json", filter=rf"^{hash_}(-\d+)?$")
        return {
            _uri(host["address"]): _count(host, "rq_active")
            for found in answer.get("cluster_statuses", [])
            for host in found.get("host_statuses", [])
        }

    async def figures(
        self, hashes: Collection[str] | None = None, kept: str = KEPT
    ) -> dict[str, Figures]:
        """Return what Envoy has counted for the clusters of deployments (of all), by cluster."""
        named = hashes is not None and len(hashes) <= NAMED
        which = f"({'|'.join(hashes or ())})" if named else HASH
        whose = f"{which}[0-9a-f-]+" if named else NAME
        filter_ = rf"^(cluster\.{whose}\.upstream_rq_({kept})|{which}\.{LIMITED})$"
        answer = await self._http.get("/stats", params={"format": "prometheus", "filter": filter_})
        answer.raise_for_status()
        return read_figures(answer.text)

    async def calls(self) -> dict[str, dict[str, int]]:
        """Return how often each client called, by its id and the hash of the deployment."""
        query = {"format": "prometheus", "filter": f"^{CALLED}$"}
        answer = await self._http.get("/stats", params=query)
        answer.raise_for_status()
        return read_calls(answer.text)

    async def _json(self, path: str, **query: str) -> dict[str, Any]:
        answer = await self._http.get(path, params=query)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _uri(address: dict[str, Any]) -> str:
    if "pipe" in address:
        return f"unix:{address['pipe']['path']}"
    at = address["socket_address"]
    host = f"[{at['address']}]" if ":" in at["address"] else at["address"]
    return f"tcp://{host}:{at['port_value']}"


def _count(host: dict[str, Any], name: str) -> int:
    # Envoy leaves out a value that is zero, and writes others as strings.
    return sum(int(stat.get("value", 0)) for stat in host.get("stats", []) if stat["name"] == name)
