"""Free TCP ports for what binds them a little later."""

import itertools
import os
import random
import socket

# Below those that the kernel gives to outgoing connections and to whoever asks for any port, and
# beside those of keepers: nobody else takes one meanwhile, except another run of tests.
_FIRST, _COUNT, _WORKERS = 10_000, 1_200, 8
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_numbers = itertools.count(random.randrange(_COUNT))


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has, another one each time.

    Each worker of a run has its own to choose from.
    """
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + _WORKER * _COUNT + number % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
