"""A service that attacks from inside: GET /NAME does it and tells what it got, or was refused with.

It knows all that somebody could find out who has read the platform's code and its process list:
what it is told in the query. No name of an attack begins with an underscore. A function returns
what it has reached; whoever is refused raises, or returns nothing.
"""

import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import traceback
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {
        "ptrace": 101, "init_module": 175, "keyctl": 250, "perf_event_open": 298, "bpf": 321,
        "userfaultfd": 323, "process_vm_readv": 310, "open_by_handle_at": 304, "reboot": 169,
        "kexec_load": 246, "swapon": 167, "settimeofday": 164, "add_key": 248, "syslog": 103,
        "pivot_root": 155, "acct": 163, "kcmp": 312, "quotactl": 179,
    },
    "aarch64": {
        "ptrace": 117, "init_module": 105, "keyctl": 219, "perf_event_open": 241, "bpf": 280,
        "userfaultfd": 282, "process_vm_readv": 270, "open_by_handle_at": 265, "reboot": 142,
        "kexec_load": 104, "swapon": 224, "settimeofday": 170, "add_key": 217, "syslog": 116,
        "pivot_root": 41, "acct": 89, "kcmp": 272, "quotactl": 60,
    },
}  # fmt: skip
NUMBER = {
    **NUMBERS.get(os.uname().machine, {}),
    "io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "clone3": 435, "pidfd_getfd": 438,
    "AF_KEY": 15, "AF_PACKET": 17, "AF_BLUETOOTH": 31, "AF_VSOCK": 40,
}  # fmt: skip


def _checked(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return f"answered {result}"


def _in_child(attack):
    """Do it in a process of its own, which may not survive it."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import hostile\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print(hostile.{attack} or '')"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    if done.returncode:
        raise PermissionError(f"{done.returncode}: {done.stderr[-200:]}")
    return done.stdout.strip()


def read(path):
    return Path(path).read_bytes()[:40].hex()


def write(path):
    with Path(path).open("ab") as file:
        file.write(b"x")
    return "written"


def make(path):
    Path(path, "intruder").expanduser().write_text("x")
    return "made"


def unlock(path):
    Path(path).chmod(0o777)
    return "unlocked"


def replace(path):
    Path(path).rename(f"{path}.before")
    return "replaced"


def listing(path):
    return " ".join(each.name for each in Path(path).iterdir())


def read_by_link(path):
    """By a link in our own home, which others may follow."""
    link = Path(os.environ["HOME"], "link")
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return link.read_bytes()[:40].hex()


def climb(path):
    """Out of the root, by a folder that was open before (there is none)."""
    return read("/" + "../" * 40 + path.lstrip("/"))


def through_root_of_another(pid, path):
    return read(f"/proc/{pid}/root{path}")


def through_root_of_process_1(path):
    return read(f"/proc/1/root{path}")


def environ_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()[:40].hex()


def memory_of(pid):
    return os.open(f"/proc/{pid}/mem", os.O_RDONLY)


def processes(known):
    """Are there any that are not ours? The keeper's number is told."""
    names = []
    for entry in Path("/proc").glob("[0-9]*"):
        command = (entry / "cmdline").read_bytes()
        names.append(command.decode(errors="replace"))
    foreign = [name for name in names if any(word in name for word in known.split(","))]
    return " ".join(foreign)


def send_signal(pid):
    os.kill(int(pid), 0)
    return "may signal it"


def watch_process(pid):
    return os.pidfd_open(int(pid))


def raise_priority():
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)
    return "more important"


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as plug:
        plug.settimeout(5)
        plug.connect(path if not path.startswith("@") else "\0" + path[1:])
        return "connected"


def send_unix(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
        plug.sendto(b"READY=1", "\0" + path[1:])
        return "sent"


def connect_tcp(address, port):
    with socket.create_connection((address, int(port)), timeout=3):
        return "connected"


def scan():
    """Every TCP port of the loopback at which somebody listens."""
    found = []
    for port in range(1, 65536):
        with socket.socket() as plug:
            plug.settimeout(1)
            if plug.connect_ex(("127.0.0.1", port)) == 0 and plug.getsockname()[1] != port:
                found.append(port)
    return " ".join(map(str, found))


def ask_udp(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.settimeout(2)
        plug.connect((address, int(port)))
        plug.send(b"hello")
        return plug.recv(100).decode()


def own_loopback():
    """TCP and UDP to ourselves, which is nobody else's business."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5),
    ):
        server.accept()[0].close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
            plug.sendto(b"x", server.getsockname())
            return f"heard {server.recv(1).decode()}"


def own_database():
    with socket.socket(socket.AF_UNIX) as plug:
        place = f"{os.environ['DATABASE_HOST']}/.s.PGSQL.{os.environ['DATABASE_PORT']}"
        plug.connect(place)
        return "connected"


def call_url(url, key):
    request = urllib.request.Request(url, headers={"x-user-authorization": key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def open_the_way(address):
    """Take away the route by which an address leads nowhere (SIOCDELRT)."""
    place = struct.pack("=H2x4s8x", socket.AF_INET, socket.inet_aton(address))
    mask = struct.pack("=H2x4s8x", socket.AF_INET, b"\xff\xff\xff\xff")
    route = struct.pack("L16s16s16sHhLPhPLLH", 0, place, bytes(16), mask, 5, 0, 0, 0, 0, 0, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, 0x890C, route)
        return "opened"


def route_by_netlink():
    """Take away the route of metadata addresses (RTM_DELROUTE)."""
    body = struct.pack("BBBBBBBBI", socket.AF_INET, 16, 0, 0, 254, 0, 0, 0, 0)
    body += struct.pack("HH4s", 8, 1, socket.inet_aton("169.254.0.0"))
    head = struct.pack("IHHII", 16 + len(body), 25, 5, 1, 0)  # with a request for an answer
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as plug:
        plug.send(head + body)
        (code,) = struct.unpack_from("i", plug.recv(4096), 16)
        if code:
            raise OSError(-code, os.strerror(-code))
        return "opened"


def change_address():
    """Have the loopback down (SIOCSIFFLAGS)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, 0x8914, struct.pack("16sh22x", b"lo", 0))
        return "changed"


def open_socket(family):
    with socket.socket(
        NUMBER[family], socket.SOCK_RAW if family in ("AF_PACKET", "AF_KEY") else socket.SOCK_STREAM
    ):
        return "made"


def raw_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "made"


def algorithm_socket():
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET):
        return "made"


def become_root():
    os.setuid(0)
    return "root"


def change_groups():
    os.setgroups([0])
    return "changed"


def capabilities():
    lines = Path("/proc/self/status").read_text().splitlines()
    held = [line for line in lines if line.startswith(("CapEff", "CapPrm", "CapAmb"))]
    return " ".join(line for line in held if int(line.split()[1], 16))


def new_privileges():
    lines = Path("/proc/self/status").read_text().splitlines()
    return "" if "NoNewPrivs:\t1" in lines and "Seccomp:\t2" in lines else "may get some"


def suid_program():
    """Whether a program of root's makes us root; each of those tells who it is."""
    for name in ("su", "mount", "passwd", "sudo", "newgrp", "umount"):
        path = Path("/usr/bin", name)
        if path.exists() and path.stat().st_mode & 0o4000:
            done = subprocess.run(
                ["/bin/sh", "-c", f"exec {path} --help >/dev/null 2>&1 & "
                 "sleep 0.05; grep -h CapEff /proc/*/status"],
                capture_output=True, text=True,
            )  # fmt: skip
            if any(int(line.split()[1], 16) for line in done.stdout.splitlines()):
                return done.stdout
    return ""


def mount_something():
    return _checked(LIBC.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None))


def unmount_something():
    return _checked(LIBC.umount2(b"/proc", 2))


def change_root():
    os.chroot("/tmp")
    return "changed"


def unshare(flags):
    return _checked(LIBC.unshare(int(flags, 16)))


def clone_into_user_namespace():
    arguments = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = LIBC.syscall(ctypes.c_long(435), arguments, ctypes.c_size_t(64))
    if pid == 0:
        os._exit(0)
    return _checked(pid)


def enter_namespace_of(pid):
    descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    return _checked(LIBC.setns(descriptor, 0))


def enter_own_namespace():
    with Path("/proc/self/ns/mnt").open() as file:
        return _checked(LIBC.setns(file.fileno(), 0))


def call(which):
    """A system call with nothing useful in it: what is refused is refused before that is looked at.

    EINVAL, EFAULT and the like are answers of the call itself: it was let through.
    """
    result = LIBC.syscall(ctypes.c_long(NUMBER[which]), 0, 0, 0, 0, 0, 0)
    code = ctypes.get_errno()
    if result < 0 and code in (1, 38):  # EPERM, ENOSYS
        raise OSError(code, os.strerror(code))
    return f"let through: {result} {os.strerror(code)}"


def trace_a_child():
    return _in_child("_traced()")


def _traced():
    return _checked(LIBC.syscall(ctypes.c_long(NUMBER["ptrace"]), 0, 0, 0, 0))


def device(number):
    os.mknod(Path(os.environ["HOME"], "device"), 0o660 | 0o060000, int(number))
    return "made"


def executable_memory_of_another(pid):
    return os.open(f"/proc/{pid}/maps", os.O_RDONLY)


def share_memory(key):
    """System V: a segment of the host's, by its number."""
    return _checked(LIBC.shmget(int(key), 1, 0o600))


def fork_bomb():
    return _in_child("_bomb()")


def _bomb():
    """How many there can be; each of them ends with its parent."""
    children = []
    try:
        while len(children) < 3000:
            pid = os.fork()
            if pid == 0:
                LIBC.prctl(1, signal.SIGKILL)
                signal.pause()
                os._exit(0)
            children.append(pid)
    except OSError:
        return ""
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    return f"{len(children)} processes"


def fill_disk(variable):
    """Files in a folder of its own; of temporary ones, every other is deleted and held."""
    held = []
    for n in range(4000):
        path = Path(os.environ[variable], f"filler-{n}")
        held.append(os.open(path, os.O_WRONLY | os.O_CREAT))
        os.write(held[-1], bytes(1 << 22))
        if n % 2 and variable == "TMPDIR":
            path.unlink()
    return f"{len(held) * 4} MiB"


def one_large_file():
    with Path(os.environ["HOME"], "large").open("wb") as file:
        file.seek(1 << 40)
        file.write(b"x")
    return "1 TiB"


def fill(path):
    """Files that are in memory, which is everybody's."""
    place = Path(path, "filler")
    piece = bytes(1 << 20)
    try:
        with place.open("wb") as file:
            for _ in range(256):
                file.write(piece)
    finally:
        place.unlink(missing_ok=True)
    return "256 MiB"


def core_dump():
    return _in_child("_core()")


def _core():
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    return "may leave one"


def rename_host():
    socket.sethostname("intruder")
    return "renamed"


def leak_of_the_host():
    """What the mounts and the name tell of the host."""
    return socket.gethostname() if socket.gethostname() != "service" else ""


def map_page_zero():
    return str((mmap.mmap(-1, 4096) and LIBC.mmap(0, 4096, 3, 0x32, -1, 0) == 0) or "")


def inherited():
    """Descriptors that nobody should have been given: whatever is not a socket, pipe or null.

    Null was opened before the cell was closed, so it is called by its place in the host's own."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if not target.startswith(
            ("socket:", "pipe:", "anon_inode:", "/dev/null", "/null", "/proc/")
        ):
            found.append(target)
    return " ".join(found)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name = scope["path"].strip("/")
    query = {key: each[0] for key, each in parse_qs(scope["query_string"].decode()).items()}
    told = {}
    attack = globals().get(name)
    if not name or name.startswith("_") or not callable(attack):
        told["command"] = Path("/proc/self/cmdline").read_text().split("\0")
    else:
        try:
            told["got"] = str(attack(**query) or "")
        except OSError as refused:
            told["refused"] = str(refused)
        except Exception:
            told["failed"] = traceback.format_exc()
    body = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
