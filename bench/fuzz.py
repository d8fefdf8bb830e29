"""Makes up manifests, archives, locks, names, numbers and secrets: none may be met by a crash.

    python -m bench.fuzz [--inputs N]

Each is taken, or refused with a Fault that is short and printable; of an archive nothing is left.
Ends with 1 and the smallest input that breaks this, if there is one.
"""

import argparse
import time

from tests.support.fuzz import TARGETS, fuzz

INPUTS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    inputs = parser.parse_args().inputs
    for target, (_, _, share) in TARGETS.items():
        began, count = time.perf_counter(), max(1, inputs * share // 100)
        fuzz(target, count)
        print(f"{target}: {count} inputs, {time.perf_counter() - began:.0f} s", flush=True)
    print(f"fuzz: ok ({inputs} inputs)")


if __name__ == "__main__":
    main()
