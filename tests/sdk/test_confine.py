"""A fork is inside its control groups from its first instruction on."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import client
from nursery import Nursery, Parent

MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")

SERVICE = """
import json, os, subprocess, sys, threading
first = open("/proc/self/cgroup").read()
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    ids = [threading.get_native_id()]
    thread = threading.Thread(target=lambda: ids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    said = {
        "first": first,
        "helper": subprocess.run(["cat", "/proc/self/cgroup"], capture_output=True).stdout.decode(),
        "pid": os.getpid(),
        "threads": ids,
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of version 2 for this test, or a reason why there is none."""
    mounts = [Path(each) for each in MOUNTS if Path(each, "cgroup.controllers").exists()]
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[4:] for line in lines if line.startswith("0::")), "")
    place = Path(f"{mounts[0]}/{own}/test-{os.getpid()}-{time.monotonic_ns()}") if mounts else None
    try:
        assert place
        place.mkdir()
    except (AssertionError, OSError):
        pytest.skip("no control group of version 2 is ours to make here")
    yield place
    until = time.monotonic() + 5
    while (place / "cgroup.procs").read_text() and time.monotonic() < until:
        time.sleep(0.01)
    place.rmdir()


@pytest.fixture
def service(tmp_path: Path) -> Path:
    (tmp_path / "service.py").write_text(SERVICE)
    return tmp_path


def forked(
    nursery: Nursery, parent: Parent, service: Path, enter: list[Path], into: Path | None = None
) -> Any:
    """Fork a service, let it run and leave; return what it says of itself."""
    opened = [("enter", os.open(each, os.O_WRONLY)) for each in enter]
    if into:
        opened.append(("into", os.open(into, os.O_RDONLY)))
    try:
        instance = parent.fork(service, shared=nursery.shared, groups=opened)
    finally:
        for _, descriptor in opened:
            os.close(descriptor)
    instance.expect("READY=1\nSTATUS=ready")
    with client(instance.private) as private:
        found = private.get("/").json()
    instance.drain()
    assert instance.left() == 0
    assert found["pid"] == instance.process.pid
    return found


def test_it_is_forked_into_a_group_of_version_2(
    nursery: Nursery, parent: Parent, service: Path, group: Path
) -> None:
    never = service / "never"
    never.touch()
    for _ in range(2):
        found = forked(nursery, parent, service, [never], group)
        assert f"/{group.name}\n" in found["first"]
        assert found["helper"] == found["first"]
        assert found["threads"][0] == found["pid"] != found["threads"][1]
    assert never.read_text() == ""  # to move takes the kernel long
    assert group.name not in Path(f"/proc/{parent.instance.process.pid}/cgroup").read_text()
    found = forked(nursery, parent, service, [])
    assert group.name not in found["first"]


def test_where_it_cannot_be_it_enters(
    nursery: Nursery, parent: Parent, service: Path, group: Path
) -> None:
    for into in (None, service):
        found = forked(nursery, parent, service, [group / "cgroup.procs"], into)
        assert f"/{group.name}\n" in found["first"]


def test_it_enters_all_of_them_before_it_is_anybody(
    nursery: Nursery, parent: Parent, service: Path
) -> None:
    files = [service / "one", service / "two"]
    for file in files:
        file.touch()
    forked(nursery, parent, service, [files[0], Path("/dev/full"), files[1]])
    assert [file.read_text() for file in files] == ["0", "0"]
    parent.instance.process.terminate()
    assert "cannot enter its bounds: No space left" in parent.instance.output()


def test_one_that_cannot_be_told_its_bounds_is_refused(
    nursery: Nursery, parent: Parent, service: Path
) -> None:
    folder = os.open(service, os.O_RDONLY)
    packet = ["gate", "into", "into"]
    gate = parent.order({"a": folder, "b": folder}, cwd=str(service), fds=packet)
    os.close(folder)
    with gate.socket:
        assert gate.hear() == (b"", 0)
    assert parent.instance.process.poll() is None
