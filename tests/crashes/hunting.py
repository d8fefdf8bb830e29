"""Testing the test: each mistake of ``bugs`` is made in a copy of the platform, and must be caught.

    PYTHONPATH=COPY:. python -m tests.crashes.hunting [--random N]

plays histories on whatever platform it finds until one goes wrong, and tells which, as JSON: the
fixed ones as they are, some random ones, some with something in the middle of a change, then those
with a kill at every point, all with something in the middle, and many random ones.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import codestore
from tests.crashes.bugs import BUGS, Bug
from tests.crashes.histories import ASGI, FIXED
from tests.crashes.intrusions import intrusions
from tests.crashes.playing import History
from tests.crashes.random_histories import random_histories
from tests.crashes.running import run, systematic

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "codestore"
FEW, MANY = 300, 20_000  # random histories
PATIENCE = 900.0  # seconds for one bug


@dataclass(frozen=True, slots=True)
class Caught:
    """What caught a bug: a sort of histories, and the check that failed; nothing if not caught."""

    bug: Bug
    sort: str = ""
    histories: int = 0
    seconds: float = 0.0
    check: str = ""


def apply(bug: Bug, copy: Path) -> None:
    """Make a mistake in a copy of the platform; its old text must be there exactly once."""
    path = copy / "codestore" / bug.file
    text = path.read_text()
    found = text.count(bug.old)
    assert found == 1, f"{bug.name}: its text is {found} times in {bug.file}"
    path.write_text(text.replace(bug.old, bug.new))


@contextmanager
def copied(bug: Bug) -> Iterator[Path]:
    """Lend a copy of the platform with a bug."""
    with tempfile.TemporaryDirectory(prefix="cs-bug-") as folder:
        copy = Path(folder)
        leave = shutil.ignore_patterns("__pycache__", "templates")
        shutil.copytree(SOURCE, copy / "codestore", ignore=leave)
        apply(bug, copy)
        yield copy


def catch(bug: Bug, most: int = MANY) -> Caught:
    """Play histories on a copy with this bug until one of them fails."""
    began = time.monotonic()
    with copied(bug) as copy:
        command = [sys.executable, "-m", "tests.crashes.hunting", "--random", str(most)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{copy}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:  # missed, as far as anybody knows: the hunt goes on
            return Caught(bug, seconds=PATIENCE)
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and lines, f"{bug.name}: {done.stderr[-2000:]}"
        told = json.loads(lines[-1])
        assert told.pop("platform").startswith(str(copy)), "not the copy"
    return Caught(bug, seconds=time.monotonic() - began, **told)


def hunt(only: str, processes: int) -> int:
    """Hunt all bugs (or those with a word in their name), side by side; return the exit code."""
    bugs = [bug for bug in BUGS if only in bug.name]
    missed = 0
    with ThreadPoolExecutor(processes) as pool:
        hunts = [pool.submit(catch, bug) for bug in bugs]
        for number, done in enumerate(as_completed(hunts), 1):
            caught = done.result()
            said = (
                f"{caught.sort} ({caught.histories}): {caught.check}" if caught.sort else "MISSED"
            )
            missed += not caught.sort
            print(
                f"{number:>2} {caught.bug.name} [{caught.bug.file}] {caught.seconds:.1f} s: {said}"
            )
            sys.stdout.flush()
    print(f"\n{len(bugs) - missed} of {len(bugs)} bugs were caught")
    return 1 if missed else 0


def sorts(most: int) -> Sequence[tuple[str, Iterable[History]]]:
    """Return the sorts of histories, in the order in which they are played."""
    return (
        ("as they are", FIXED),
        ("random", random_histories(0, FEW)),
        ("in the middle", intrusions((ASGI,), step=5)),
        ("killed at every point", systematic()),
        ("in the middle", intrusions()),
        ("random", random_histories(FEW, most)),
    )


def main() -> None:
    """Play until something goes wrong, and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", type=int, default=MANY, metavar="N")
    most = parser.parse_args().random
    told: dict[str, str | int] = {"platform": str(Path(codestore.__file__).parent)}
    played = 0
    for sort, histories in sorts(most):
        try:
            tally = run(histories, most=1)
        except AssertionError as error:  # already its own points cannot be counted
            told |= {"sort": sort, "histories": played, "check": f"{error}: {error.__cause__}"}
            break
        played += tally.histories
        if tally.failures:
            history, said = tally.failures[0]
            told |= {"sort": sort, "histories": played, "check": f"{history.name}: {said}"}
            break
    print(json.dumps(told))


if __name__ == "__main__":
    main()
