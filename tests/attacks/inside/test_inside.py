"""Nothing in one environment reaches another, or the platform: each sentence as an attack."""

import contextlib
import os
import resource
from pathlib import Path

import httpx
import psutil
import pytest

from tests.attacks.inside.conftest import Intruder, Scene

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks-inside")]

FILES = {
    "the master key": "{data}/master.key",
    "the token of the platform's owner": "{data}/profile.json",
    "the settings": "{data}/settings.json",
    "the configuration of Envoy": "{data}/envoy.json",
    "the log of the control process": "{data}/logs/control.log",
    "the data of PostgreSQL": "{data}/postgres/PG_VERSION",
    "what another one wrote": "{data}/work/{victim}/home/mine.txt",
    "the code of another one": "{code}/app/main.py",
    "passwords of the host": "/etc/shadow",
    "who may become root": "/etc/sudoers",
    "memory of the kernel": "/proc/kcore",
    "memory of the machine": "/dev/mem",
    "the log of the kernel": "/dev/kmsg",
    "the host's hardware": "/sys/kernel/uevent_seqnum",
    "control groups": "/sys/fs/cgroup/cgroup.procs",
}
FOLDERS = {
    "the data folder": "{data}",
    "the deployments": "{data}/work",
    "the home of another one": "{data}/work/{victim}/home",
    "the logs of services": "{data}/logs/services",
    "the sealed bundles": "{data}/artifacts/bundles",
    "the code of another one": "{code}",
    "the uploads": "{data}/uploads",
    "the held sockets": "{run}/s",
    "the folder of the sockets": "{run}",
    "the home of root": "/root",
}
SOCKETS = {
    "the keeper": "{run}/keeper.sock",
    "the platform's API": "{run}/s/api",
    "Envoy's admin": "{run}/admin.sock",
    "Envoy's configuration": "{run}/xds.sock",
    "another one's requests": "{run}/s/{victim}",
    "another one's own socket": "{run}/s/{victim}.1.0",
}
PLACES_TO_WRITE = {
    "programs": "/usr/bin/env",
    "accounts": "/etc/passwd",
    "names of hosts": "/etc/hosts",
    "the way of core dumps": "/proc/sys/kernel/core_pattern",
    "the kernel's buttons": "/proc/sysrq-trigger",
    "the killer's mind": "/proc/self/oom_score_adj",
    "whom the groups hold": "/sys/fs/cgroup/cgroup.procs",
}
CALLS = (
    "ptrace", "init_module", "keyctl", "add_key", "perf_event_open", "bpf", "userfaultfd",
    "process_vm_readv", "open_by_handle_at", "reboot", "kexec_load", "swapon", "settimeofday",
    "syslog", "pivot_root", "acct", "kcmp", "quotactl", "io_uring_setup", "open_tree", "fsopen",
    "pidfd_getfd",
)  # fmt: skip
NAMESPACES = {"users": "10000000", "mounts": "20000", "processes": "20000000", "net": "40000000"}


def named(scene: Scene, text: str) -> str:
    victim = scene.victim["id"]
    return text.format(data=scene.data, run=scene.run, victim=victim, code=scene.code)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_files_of_others_cannot_be_read(intruder: Intruder, scene: Scene, path: str) -> None:
    path = named(scene, path)
    intruder.is_refused("read", path=path)
    intruder.is_refused("read_by_link", path=path)
    intruder.is_refused("climb", path=path)
    intruder.is_refused("through_root_of_process_1", path=path)


@pytest.mark.parametrize("path", FOLDERS.values(), ids=FOLDERS)
def test_folders_of_others_are_empty_or_not_there(
    intruder: Intruder, scene: Scene, path: str
) -> None:
    told = intruder.attack("listing", path=named(scene, path))
    own = {"work", "home", "artifacts", "environments", "runtimes", "run", "n", "pg", "notify.sock"}
    own |= {
        scene.awake["id"],
        scene.sleepy["id"],
        "tmp",
        "data",
        "preload",
        ".pyenv",
        "uv",
        ".local",
    }
    found = set(told.get("got", "").split())
    assert not {name for name in found if name not in own and "dep-" not in name}, told
    assert scene.victim["id"] not in found, told


@pytest.mark.parametrize("path", SOCKETS.values(), ids=SOCKETS)
def test_sockets_of_others_are_not_there(intruder: Intruder, scene: Scene, path: str) -> None:
    intruder.is_refused("connect_unix", path=named(scene, path))


@pytest.mark.parametrize("path", PLACES_TO_WRITE.values(), ids=PLACES_TO_WRITE)
def test_what_is_everybodys_cannot_be_changed(intruder: Intruder, path: str) -> None:
    intruder.is_refused("write", path=path)


def test_what_versions_share_cannot_be_changed(intruder: Intruder, scene: Scene) -> None:
    found = intruder.attack("listing", path=f"{scene.data}/artifacts/environments")["got"]
    for name in found.split():
        intruder.is_refused("make", path=f"{scene.data}/artifacts/environments/{name}")
    intruder.is_refused("make", path=f"{scene.data}/artifacts/runtimes")
    intruder.is_refused("make", path="/usr/local/bin")
    intruder.is_refused("make", path="/")


def test_what_is_its_own_can_be_changed(intruder: Intruder) -> None:
    assert intruder.attack("make", path="/tmp")["got"] == "made"
    assert intruder.attack("make", path="~")["got"] == "made"


def test_its_own_code_cannot_be_changed(intruder: Intruder, scene: Scene) -> None:
    assert intruder.attack("read", path="app/main.py")["got"]
    for place in (".", "app"):
        intruder.is_refused("make", path=place)
        intruder.is_refused("unlock", path=place)
    intruder.is_refused("unlock", path="app/main.py")
    intruder.is_refused("write", path="app/main.py")
    intruder.is_refused("replace", path="app/main.py")


def test_nobody_else_is_in_the_process_list(intruder: Intruder) -> None:
    known = "codestore.keeper,codestore.control,postgres,envoy,pytest"
    intruder.is_refused("processes", known=known)


def test_other_processes_are_out_of_reach(intruder: Intruder, scene: Scene) -> None:
    victim = scene.process_of(scene.victim).pid
    for pid in (victim, scene.keeper, os.getpid()):
        for attack in ("environ_of", "memory_of", "executable_memory_of_another"):
            intruder.is_refused(attack, pid=pid)
        for attack in ("send_signal", "watch_process", "enter_namespace_of"):
            intruder.is_refused(attack, pid=pid)
        intruder.is_refused("through_root_of_another", pid=pid, path="/etc/hostname")


def test_process_1_of_its_cell_is_nobody_it_could_use(intruder: Intruder) -> None:
    for attack in ("environ_of", "memory_of", "enter_namespace_of"):
        intruder.is_refused(attack, pid=1)


def test_abstract_sockets_of_the_host_are_out_of_reach(intruder: Intruder, abstract: str) -> None:
    intruder.is_refused("connect_unix", path=abstract)


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_no_service_needs_are_refused(intruder: Intruder, name: str) -> None:
    intruder.is_refused("call", which=name)


@pytest.mark.parametrize("flags", NAMESPACES.values(), ids=NAMESPACES)
def test_no_namespace_can_be_made(intruder: Intruder, flags: str) -> None:
    intruder.is_refused("unshare", flags=flags)


@pytest.mark.parametrize(
    "attack",
    [
        "become_root", "change_groups", "capabilities", "new_privileges", "suid_program",
        "mount_something", "unmount_something", "change_root", "clone_into_user_namespace",
        "enter_own_namespace", "trace_a_child", "raise_priority", "rename_host", "raw_socket",
        "algorithm_socket", "core_dump", "leak_of_the_host", "map_page_zero", "inherited",
    ],
)  # fmt: skip
def test_it_does_not_become_more_than_it_is(intruder: Intruder, attack: str) -> None:
    intruder.is_refused(attack)


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_PACKET", "AF_BLUETOOTH", "AF_KEY"])
def test_only_usual_kinds_of_sockets_are_made(intruder: Intruder, family: str) -> None:
    intruder.is_refused("open_socket", family=family)


def test_a_device_cannot_be_made(intruder: Intruder) -> None:
    root = Path("/").stat().st_dev
    intruder.is_refused("device", number=root)


def test_memory_of_the_host_is_not_shared(intruder: Intruder, segment: int) -> None:
    intruder.is_refused("share_memory", key=segment)


def test_a_fork_bomb_ends_and_nobody_notices(intruder: Intruder, scene: Scene) -> None:
    with contextlib.suppress(httpx.HTTPError, AssertionError):  # it may have ended itself by that
        intruder.is_refused("fork_bomb")
    assert scene.victim_answers()
    assert len(psutil.pids()) < 2000


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/var/tmp"])
def test_memory_cannot_be_filled_with_files(intruder: Intruder, place: str) -> None:
    intruder.is_refused("fill", path=place)


def test_it_is_the_user_that_it_should_be(scene: Scene) -> None:
    found = {scene.process_of(each).uids().real for each in (scene.awake, scene.victim)}
    if os.geteuid() == 0:
        assert len(found) == 2
        assert all(uid >= 0x70000000 for uid in found)
    else:
        assert found == {os.geteuid()}
    assert resource.getrlimit(resource.RLIMIT_NPROC) != (1024, 1024)


def test_a_link_in_place_of_the_list_of_imports_gives_nothing_away(
    intruder: Intruder, scene: Scene
) -> None:
    home = Path(scene.data, "work", scene.sleepy["id"], "home")
    imports = home / ".imports-1.json"
    before = imports.read_bytes() if imports.exists() else b""
    imports.unlink(missing_ok=True)
    imports.symlink_to(scene.data / "master.key")
    assert intruder.attack("")
    assert imports.is_symlink() or imports.read_bytes()[:1] == b"["
    imports.unlink()
    if before:
        imports.write_bytes(before)
        if os.geteuid() == 0:
            os.chown(imports, *_owner(home))


def _owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid
