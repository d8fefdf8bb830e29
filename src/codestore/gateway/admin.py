"""Questions to a running Envoy, over its admin socket."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import httpx

NAMED = 200  # clusters asked for by name; of more, all are asked for


class EnvoyAdmin:
    """Asks one Envoy about itself. Methods raise ``httpx.HTTPError`` if it does not answer.

    Life: lasts from its making to ``close``; Envoy may come and go meanwhile.
    """

    def __init__(self, socket: Path, timeout: float) -> None:
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
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

    async def active_requests(self, cluster: str) -> dict[str, int]:
        """Count the requests under way at each endpoint of a cluster, by its address as a URI."""
        filter_ = f"^{re.escape(cluster)}$"
        answer = await self._json("/clusters", format="json", filter=filter_)
        return {
            _uri(host["address"]): _count(host, "rq_active")
            for found in answer.get("cluster_statuses", [])
            for host in found.get("host_statuses", [])
        }

    async def requests(self, clusters: Collection[str]) -> dict[str, tuple[int, int]]:
        """Return how many requests each cluster has had, and has now; none is not listed."""
        names = "|".join(clusters) if len(clusters) <= NAMED else "[0-9a-f]+"
        filter_ = rf"^cluster\.({names})\.upstream_rq_(total|active)$"
        answer = await self._json("/stats", format="json", filter=filter_)
        found: dict[str, tuple[int, int]] = {}
        for stat in answer.get("stats", []):
            if "name" in stat:  # else it is the one that tells of histograms
                _, cluster, figure = str(stat["name"]).split(".")
                total, active = found.get(cluster, (0, 0))
                value = int(stat["value"])
                found[cluster] = (total, value) if figure.endswith("active") else (value, active)
        return found

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
