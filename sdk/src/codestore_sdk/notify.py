"""Tells whoever started the service how it is doing (systemd's `sd_notify` protocol)."""

import socket
from collections.abc import MutableMapping


class Notifier:
    """Sends states as datagrams to `$NOTIFY_SOCKET`; without one it says nothing."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the address out of the environment: a child must not speak for the service."""
        address = environ.pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of Linux's abstract addresses.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, *assignments: str) -> None:
        """Send `KEY=value` lines in one datagram. Never raises, never waits.

        Nobody may be listening any more, and that is no reason to stop serving.
        """
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(assignments).encode(), self._address)
            except OSError:
                return
