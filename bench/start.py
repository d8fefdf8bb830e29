"""How long ``cs up --detach`` takes: in an empty folder, and again after ``cs down``.

    python -m bench.start [--rounds N]

Against what any server like it pays before its first line of work: an interpreter that imports
fastapi, sqlalchemy and grpc.
"""

import subprocess
import sys
import time

from bench.common import Figure, ratios, rounds, tell
from tests.support.platform import Platform

ROUNDS = 5
IMPORTS = (sys.executable, "-c", "import fastapi, sqlalchemy, grpc")
TARGET = 3.0  # seconds


def importing() -> float:
    began = time.perf_counter()
    subprocess.run(IMPORTS, check=True, timeout=60)
    return time.perf_counter() - began


def starting(platform: Platform) -> float:
    began = time.perf_counter()
    platform.up()
    return time.perf_counter() - began


def main() -> None:
    count = rounds(__doc__, ROUNDS)
    imports, first, later = [], [], []
    importing()  # whose files are read from the disk once
    for number in range(count):
        platform = Platform()
        try:
            imports.append(importing())
            first.append(starting(platform))
            platform.cs("down")
            later.append(starting(platform))
        finally:
            platform.close()
        print(f"round {number + 1} of {count}", flush=True)
    print()
    tell(
        [
            Figure("importing fastapi, sqlalchemy, grpc", imports, "s"),
            Figure("first cs up", first, "s", TARGET),
            Figure("  against importing", ratios(first, imports), "×"),
            Figure("later cs up", later, "s", TARGET),
            Figure("  against importing", ratios(later, imports), "×"),
        ]
    )


if __name__ == "__main__":
    main()
