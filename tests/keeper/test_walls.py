"""Walls around a child: a cell, as root and as an ordinary user; Landlock; and none."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from codestore import keeper
from codestore.keeper import processes
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls import cell, filters, landlock
from codestore.keeper.walls.view import View
from tests.keeper.house import VIEW, House, alive, child, gone, run, script
from tests.keeper.test_users import NOBODY, OLD, PYTHON

LATE = """
import os, socket, sys
from codestore.keeper.walls import cell
keeper, report = os.getpid(), socket.socket(fileno=int(sys.argv[2]))
until, held = os.pipe()
if os.fork():
    os._exit(0)
os.close(held)
os.read(until, 1)
cell.split(cell.Site(sys.argv[1], os.geteuid() == 0), keeper, report)
"""
WITHOUT_CELLS = """
import sys
from codestore.keeper import keeper
from codestore.keeper.walls import landlock, picking
def pick(base, reach):
    known = landlock.version()
    return picking.Walls("KIND", None, known, "there are none in this test")
keeper.pick_walls = pick
from codestore.keeper.__main__ import main
sys.exit(main())
"""
PROBES = """
import ctypes, json, os, socket, sys
def attempt(what):
    try:
        return str(what())
    except OSError as refused:
        return refused.strerror
def talk(name):
    with socket.socket(socket.AF_UNIX) as plug:
        plug.connect(name)
def status(word):
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith(word))
secret, own, parent, abstract = sys.argv[-4:]
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace(0, 0, 0, 0)
print(json.dumps({
    "secret": attempt(lambda: open(secret).read()),
    "own": attempt(lambda: open(own, "w").write("x")),
    "signal": attempt(lambda: os.kill(int(parent), 0)),
    "environ": attempt(lambda: open(f"/proc/{parent}/environ").read(1)),
    "abstract": attempt(lambda: talk(chr(0) + abstract)),
    "ptrace": os.strerror(ctypes.get_errno()),
    "rights": [status("CapEff:"), status("NoNewPrivs:"), status("Seccomp:")],
}), flush=True)
"""
NOTHING = ["0000000000000000", "1", "2"]
SCOPED = landlock.version() >= landlock.SCOPES_SINCE


async def kind_of(client: KeeperClient) -> str:
    return (await client.list()).walls


def prober(house: House, abstract: str, user: tuple[int, int] | None) -> ChildSpec:
    """A child that tries what it should not be able to do, from a view of its own."""
    assert house.keeper
    secret, own = house.root / "secret", house.root / "own"
    secret.write_text("for nobody")
    own.mkdir(exist_ok=True)
    own.chmod(0o777)
    spec = script("x", "", PYTHON, log="x.log", user=user)
    arguments = (str(secret), str(own / "file"), str(house.keeper.pid), abstract)
    view = View((*VIEW.read, str(Path(PYTHON).parent)), (str(own),), str(own))
    return replace(spec, argv=(PYTHON, "-I", "-S", "-c", PROBES, *arguments), view=view)


async def told(house: House, client: KeeperClient, spec: ChildSpec) -> dict[str, object]:
    ended = await run(client, spec)
    lines = [text for _, _, text in house.log("x.log")]
    assert (ended.code, ended.signal) == (0, None), lines
    found: dict[str, object] = json.loads(lines[-1])
    return found


@pytest.fixture
async def abstract() -> AsyncIterator[str]:
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"codestore-walls-{os.getpid()}"
        listener.bind("\0" + name)
        listener.listen()
        yield name


async def test_in_a_cell_nothing_else_is_there(own_house: House, abstract: str) -> None:
    client = await own_house.connect()
    if await kind_of(client) != "cell":
        pytest.skip("there are no cells here")
    user = (NOBODY, NOBODY) if os.geteuid() == 0 else None
    found = await told(own_house, client, prober(own_house, abstract, user))
    missing = "No such file or directory"
    assert (found["secret"], found["environ"]) == (missing, missing)
    assert (found["own"], found["signal"]) == ("1", "No such process")
    assert (found["ptrace"], found["rights"]) == ("Operation not permitted", NOTHING)
    if not (await client.list()).exposed:  # they are of a network
        assert found["abstract"] == "Connection refused"
    elif SCOPED:
        assert found["abstract"] == "Operation not permitted"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
@pytest.mark.skipif(bool(OLD), reason=f"{PYTHON} is too old")
async def test_an_ordinary_user_has_cells_too(empty_house: House, abstract: str) -> None:
    sources = Path(keeper.__file__).parent
    shutil.copytree(sources, empty_house.root / "codestore" / "keeper")
    os.chown(empty_house.root, NOBODY, NOBODY)
    command = [PYTHON, "-m", "codestore.keeper", *empty_house.arguments()]
    client = await empty_house.started(command, user=NOBODY, group=NOBODY, extra_groups=[])
    listing = await client.list()
    if listing.walls != "cell":
        pytest.skip(listing.breach)
    found = await told(empty_house, client, prober(empty_house, abstract, None))
    assert (found["secret"], found["own"]) == ("No such file or directory", "1")
    assert (found["signal"], found["rights"]) == ("No such process", NOTHING)


@pytest.mark.skipif(landlock.version() == 0, reason="there is no Landlock here")
async def test_without_cells_landlock_closes_files(empty_house: House, abstract: str) -> None:
    code = WITHOUT_CELLS.replace("KIND", "landlock")
    client = await empty_house.started([sys.executable, "-c", code, *empty_house.arguments()])
    listing = await client.list()
    assert (listing.walls, listing.breach) == ("landlock", "there are none in this test")
    found = await told(empty_house, client, prober(empty_house, abstract, None))
    assert (found["secret"], found["own"]) == ("Permission denied", "1")
    assert found["environ"] == "Permission denied"
    assert (found["ptrace"], found["rights"]) == ("Operation not permitted", NOTHING)
    if SCOPED:
        refused = "Operation not permitted"
        assert (found["signal"], found["abstract"]) == (refused, refused)


async def test_without_anything_it_runs_and_the_list_says_so(empty_house: House) -> None:
    code = WITHOUT_CELLS.replace("KIND", "none")
    client = await empty_house.started([sys.executable, "-c", code, *empty_house.arguments()])
    assert await kind_of(client) == "none"
    assert (await run(client, child("x", "true", view=VIEW))).code == 0


async def test_what_is_left_in_a_cell_ends_with_its_child(own_house: House) -> None:
    client = await own_house.connect()
    if await kind_of(client) != "cell":
        pytest.skip("there are no cells here")
    argument = f"1000.{os.getpid()}"
    code = f"""
import subprocess
subprocess.Popen(["sleep", "{argument}"], start_new_session=True)
say("READY=1")
"""
    assert (await run(client, script("x", code, view=VIEW))).code == 0
    for pid in sleepers(argument):
        await gone(pid)
    assert sleepers(argument) == []


async def test_a_cell_dies_with_the_keeper(own_house: House) -> None:
    client = await own_house.connect()
    if await kind_of(client) != "cell":
        pytest.skip("there are no cells here")
    keeper_pid = own_house.keeper.pid if own_house.keeper else 0
    await client.spawn(child("x", view=VIEW))
    below = processes.children_of(keeper_pid)
    await own_house.kill()
    for pid in below:
        await gone(pid)
    assert not [pid for pid in below if alive(pid)]


@pytest.mark.usefixtures("many_files")
def test_what_a_cell_says_is_heard_although_the_keeper_holds_many_sockets() -> None:
    """One for each sleeper: the next descriptor may have a number beyond 1,023."""
    report, written = socket.socketpair()
    try:
        with socket.socket(fileno=fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, 1500)) as high:
            written.send(b"no namespaces: as a test")
            with pytest.raises(OSError, match="as a test"):
                cell.split_off(high)
    finally:
        report.close()
        written.close()


def test_no_cell_is_made_for_a_keeper_that_is_gone(tmp_path: Path) -> None:
    """Nobody would end it: there is nobody left whose end its anchor could be told of."""
    report, written = socket.socketpair()
    with report:
        with written:
            end = written.fileno()
            command = [sys.executable, "-c", LATE, str(tmp_path), str(end)]
            subprocess.run(command, pass_fds=[end], check=True, timeout=30)
        # Two ways to notice it: while somebody has yet to collect the keeper, it has a descriptor.
        assert report.recv(100) in (b"", b"no namespaces: No such process")


async def test_a_view_that_climbs_is_refused(client: KeeperClient) -> None:
    with pytest.raises(Exception, match="not an absolute path"):
        child("x", view=View(("/tmp/../etc",), (), "/"))
    assert "x" not in {each.name for each in (await client.list()).children}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_one_that_a_kernel_takes(machine: str) -> None:
    code = filters.assembled(machine)
    assert code is not None and len(code) % 8 == 0
    assert len(code) // 8 < 4096
    if os.uname().machine == machine:
        done = subprocess.run(
            [sys.executable, "-c",
             "from codestore.keeper.walls import calls, filters\n"
             "calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1); filters.refuse_calls()\n"
             "import os, subprocess; subprocess.run(['true'], check=True)\n"
             "calls.unshare(calls.CLONE_NEWUSER)"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert "PermissionError" in done.stderr
        assert "subprocess.py" not in done.stderr


def test_an_unknown_machine_has_no_filter() -> None:
    assert filters.assembled("abacus") is None


def sleepers(argument: str) -> list[int]:
    found = []
    for pid in processes.everyone():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if argument.encode() in command and alive(pid):
            found.append(pid)
    return found
