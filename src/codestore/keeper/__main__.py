"""``python -m codestore.keeper --run DIR --logs DIR [--socket NAME] [--reach PORT] -- ARGV...``.

Be the keeper.

``ARGV`` is the command of the control process: the child ``control``, started again whenever it
ends, with the environment and the working folder that the keeper itself was given. Sockets named
are held and handed over to it: what connects while it restarts, waits. Ports are those of the
host's loopback that children find in a network of their own. The keeper is
ready when ``DIR/keeper.sock`` takes connections. Exit code 0 after a shutdown, 1 when it could
not start.
"""

import argparse
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Final

from codestore.keeper.errors import IN_USE, KeeperError
from codestore.keeper.keeper import keep
from codestore.keeper.rundir import RunDir
from codestore.keeper.spec import ChildSpec

CONTROL_ORDER: Final = -1
"""The control process ends first: it would take the end of the services (0) for a failure."""

RUNS_ALREADY: Final = 75
"""Exit code when another keeper has the run folder (``EX_TEMPFAIL`` of sysexits)."""

MAX_FILES: Final = 524_288
"""Descriptors a process may have; not more, because some programs close every possible one."""


def main() -> int:
    """Run the keeper; return its exit code."""
    parser = argparse.ArgumentParser("codestore.keeper", description="Hold sockets and children.")
    parser.add_argument("--run", type=Path, required=True, help="folder of sockets and lock")
    parser.add_argument("--logs", type=Path, required=True, help="folder of the children's logs")
    parser.add_argument(
        "--socket", action="append", default=[], help="held for the control process"
    )
    parser.add_argument(
        "--reach", action="append", type=int, default=[], help="port that walled children find"
    )
    parser.add_argument("argv", nargs="+", help="command of the control process, after --")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s keeper %(levelname)s %(message)s")
    _allow_many_sockets()
    try:
        control = ChildSpec(
            name="control",
            argv=tuple(given.argv),
            # The one place where the keeper looks: its own environment is meant for control.
            env=dict(os.environ),  # noqa: TID251
            cwd=str(Path.cwd()),
            sockets=tuple((name, name) for name in given.socket),
            log="control.log",
            restart=True,
            order=CONTROL_ORDER,
        )
        run, logs = RunDir(given.run.absolute()), given.logs.absolute()
        wanted = keep(run, logs, control, _tell, given.reach)
    except (KeeperError, OSError) as failure:
        sys.stderr.write(f"codestore.keeper: {failure}\n")
        taken = isinstance(failure, KeeperError) and failure.code == IN_USE
        return RUNS_ALREADY if taken else 1
    return 0 if wanted else 1


def _tell(line: str) -> None:
    sys.stdout.write(f"codestore: {line}\n")
    sys.stdout.flush()


def _allow_many_sockets() -> None:
    """Raise the limit of open files as far as it makes sense; children inherit it."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if most == resource.RLIM_INFINITY else min(most, MAX_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if __name__ == "__main__":
    sys.exit(main())
