"""A fork is a service that owes its parent nothing but the libraries."""

import os
import select
from pathlib import Path

from house import PATIENCE, House, Instance, client
from nursery import Nursery, Parent


def look(instance: Instance) -> dict:
    with client(instance.private) as private:
        return private.get("/").json()


def test_a_fork_answers_on_its_sockets(nursery: Nursery, parent: Parent, plain: Path) -> None:
    instance = parent.fork(plain, shared=nursery.shared)
    instance.expect("READY=1\nSTATUS=ready")
    with client(instance.private) as private:
        assert private.get("/").json()["pid"] == instance.process.pid
    instance.accept()
    with client(nursery.shared_path) as shared:
        assert shared.get("/").json()["pid"] == instance.process.pid
    instance.drain()
    assert instance.left() == 0
    assert instance.output() == "started\nstopped\n"


def test_nothing_of_the_parent_is_in_a_fork(nursery: Nursery, parent: Parent, mirror: Path) -> None:
    instance = parent.fork(
        mirror, shared=nursery.shared, GREETING="hello", TZ="UTC", CODESTORE_ACCEPT="1"
    )
    instance.expect("READY=1\nSTATUS=accepting")
    found = look(instance)
    assert found["environ"] == {"GREETING": "hello", "TZ": "UTC"}
    assert found["cwd"] == found["path"][0] == str(mirror)
    assert str(parent.folder) not in found["path"]
    assert found["argv"][0].endswith("codestore_sdk/serve.py")
    assert found["argv"][1:] == ["asgi", "service:app"]
    assert found["umask"] == 0o027
    pid = instance.process.pid
    assert found["pids"] == [pid, os.getpid(), pid]
    assert (found["threads"], found["blocked"], found["own"]) == (1, [], ["service"])
    assert found["signals"][0] == found["signals"][2] == "<Handlers.SIG_DFL: 0>"
    assert "default_int_handler" in found["signals"][1]
    assert found["files"][0] == "/dev/null"
    instance.drain()
    assert instance.left() == 0
    assert instance.output() == "looked at\nleft in good order\n"


def test_forks_in_turn_have_each_their_own(
    nursery: Nursery, parent: Parent, mirror: Path, plain: Path
) -> None:
    first, second = (parent.fork(mirror, shared=nursery.shared, NUMBER=n) for n in "12")
    third = parent.fork(plain, shared=nursery.shared)
    for instance in (first, second, third):
        instance.expect("READY=1\nSTATUS=ready")
    one, two = look(first), look(second)
    assert (one["environ"], two["environ"]) == ({"NUMBER": "1"}, {"NUMBER": "2"})
    assert one["dice"] != two["dice"]
    with client(third.private) as private:
        assert private.get("/").json()["pid"] == third.process.pid


def test_a_fork_has_no_other_descriptors_than_a_plain_start(
    house: House, nursery: Nursery, parent: Parent, plain: Path
) -> None:
    forked = parent.fork(plain, shared=nursery.shared)
    forked.expect("READY=1\nSTATUS=ready")
    started = house.ready(plain, "asgi", "service:app")
    assert kinds_of_descriptors(forked) == kinds_of_descriptors(started)


def kinds_of_descriptors(instance: Instance) -> list[str]:
    with client(instance.private) as private:
        # Having answered, it is at rest; before, it may just be telling that it is ready.
        found = Path(f"/proc/{private.get('/').json()['pid']}/fd")
        kinds = {int(path.name): path.readlink().name.partition(":")[0] for path in found.iterdir()}
    return sorted(kind for descriptor, kind in kinds.items() if descriptor > 2)


def test_a_service_that_cannot_start_leaves_as_in_a_plain_start(
    nursery: Nursery, parent: Parent, plain: Path
) -> None:
    instance = parent.fork(plain, "asgi", "nowhere:app", shared=nursery.shared)
    assert instance.left() == 1
    assert "cannot start: there is no module 'nowhere'" in instance.output()


def test_a_fork_ends_with_its_keeper(nursery: Nursery, plain: Path) -> None:
    # The keeper is the helper here, as the process of the tests has to stay.
    script = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path\n"
        "from nursery import Nursery, adopt_orphans\n"
        "adopt_orphans(True)\n"
        "nursery = Nursery(Path(sys.argv[1]))\n"
        "instance = nursery.load([]).fork(Path(sys.argv[2]), shared=nursery.shared)\n"
        "instance.expect('READY=1\\nSTATUS=ready')\n"
        "print(instance.process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    inner = nursery.folder / "inner"
    inner.mkdir()
    with nursery.helper(script, str(inner), str(plain), str(Path(__file__).parent)) as keeper:
        pid = int(keeper.stdout.readline())
        end = os.pidfd_open(pid)
        keeper.kill()
    assert select.select([end], [], [], PATIENCE)[0]
    os.close(end)
