"""``python -m codestore.control --data DIR``: the control process, started by the keeper.

It inherits the API's listening socket as descriptor 3, so requests that arrive while it is being
restarted wait instead of failing.
"""

import argparse
import asyncio
import socket
import sys
from pathlib import Path

import structlog

from codestore.domain.faults import Fault, FaultKind
from codestore.keeper.keeper import GIVEN_UP
from codestore.keeper.saying import say
from codestore.settings import read_settings
from codestore.wiring.serving import serve

API_DESCRIPTOR = 3  # the first that is handed over, as in systemd's socket activation


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser("codestore.control")
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(sort_keys=False, bool_as_flag=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    settings = read_settings(data)
    try:
        with socket.socket(fileno=API_DESCRIPTOR) as api:
            asyncio.run(serve(settings, api))
    except Fault as fault:
        if fault.letter.kind is FaultKind.UNAVAILABLE:  # may pass: the keeper starts us again
            raise
        letter = fault.letter
        say(settings.run, status=f"cannot start. {letter.title}: {letter.detail} {letter.hint}")
        sys.exit(GIVEN_UP)


if __name__ == "__main__":
    main()
