"""Tells whoever started the service how it is doing (systemd's `sd_notify` protocol)."""

import socket
from collections.abc import MutableMapping

PATIENCE = 2.0
"""Seconds: whoever reads has more to do than that only when something is wrong."""


class Notifier:
    """Sends states as datagrams to `$NOTIFY_SOCKET`; without one it says nothing."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the address out of the environment: a child must not speak for the service."""
        address = environ.pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of Linux's abstract addresses.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, *assignments: str) -> None:
        """Send `KEY=value` lines in one datagram. Never raises; waits for room, `PATIENCE` at most.

        Nobody may be listening any more, and that is no reason to stop serving. But a system keeps
        ten datagrams for whoever reads them (`net.unix.max_dgram_qlen`), and when many services
        start at once there are more.
        """
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(PATIENCE)
            try:
                sender.connect(self._address)  # or else the wait for room would end at once
                sender.send("\n".join(assignments).encode())
            except OSError:
                return
