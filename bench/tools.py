"""What the benches need that is no part of the product: h2load, nginx, gunicorn."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LOADER = "h2load"
PACKAGES = {LOADER: "nghttp2-client", "nginx": "nginx"}
INSTALLING = 300  # seconds
ANSWERED = re.compile(r"(\d+) 2xx")
RATE = re.compile(r"finished in .*?, ([\d.]+) req/s")


def need(program: str) -> str:
    """Return where a program is; install it where that can be done without asking."""
    # nginx is where an ordinary user's path does not lead.
    path = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(program, path=path)
    if found is not None:
        return found
    command = ["apt-get", "install", "--yes", "--no-install-recommends", PACKAGES[program]]
    if os.geteuid() == 0 and shutil.which(command[0]):
        print(f"{program} is not there: {' '.join(command)}", flush=True)
        # Below run level 2 a package does not start the service that it brings.
        quiet = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
        for each in (["apt-get", "update"], command):
            subprocess.run(each, env=quiet, capture_output=True, timeout=INSTALLING, check=False)
        found = shutil.which(program, path=path)
    return found or sys.exit(f"{program} is not there: {' '.join(command)}")


def need_packages(folder: Path, *names: str) -> None:
    """Put pure packages into a folder, without what they need."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *names]
    subprocess.run(command, timeout=INSTALLING, check=True, stdin=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class Target:
    """A way to a service: what is added to the tool's options, and the address to ask."""

    options: tuple[str, ...]
    address: str


def press(target: Target, path: str, *amount: str) -> float:
    """Run h2load; every answer must be a 2xx; return the requests a second."""
    said = run(target, path, *amount)
    found = RATE.search(said)
    assert found is not None, said
    return float(found[1])


def run(target: Target, path: str, *amount: str) -> str:
    """Run h2load; every answer must be a 2xx; return what it printed."""
    command = [LOADER, "--h1", *amount, *target.options, target.address + path]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=True, stdin=subprocess.DEVNULL
    )
    good = ANSWERED.search(done.stdout)
    bad = (re.search(rf"(\d+) {kind}", done.stdout) for kind in ("3xx", "4xx", "5xx", "failed,"))
    if not good or not int(good[1]) or any(not found or int(found[1]) for found in bad):
        sys.exit(f"{' '.join(command)}: not all was answered well\n{done.stdout}")
    return done.stdout
