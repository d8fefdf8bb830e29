"""Attacks on what this process may do: as another user, in other namespaces, by rare calls."""

import ctypes
import mmap
import os
import signal
import subprocess
from pathlib import Path

from app.tools import LIBC, NUMBER, checked


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
    return checked(LIBC.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None))


def unmount_something():
    return checked(LIBC.umount2(b"/proc", 2))


def change_root():
    os.chroot("/tmp")
    return "changed"


def unshare(flags):
    return checked(LIBC.unshare(int(flags, 16)))


def clone_into_user_namespace():
    arguments = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = LIBC.syscall(ctypes.c_long(435), arguments, ctypes.c_size_t(64))
    if pid == 0:
        os._exit(0)
    return checked(pid)


def enter_namespace_of(pid):
    descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    return checked(LIBC.setns(descriptor, 0))


def enter_own_namespace():
    with Path("/proc/self/ns/mnt").open() as file:
        return checked(LIBC.setns(file.fileno(), 0))


def call(which):
    """A system call with nothing useful in it: what is refused is refused before that is looked at.

    EINVAL, EFAULT and the like are answers of the call itself: it was let through.
    """
    result = LIBC.syscall(ctypes.c_long(NUMBER[which]), 0, 0, 0, 0, 0, 0)
    code = ctypes.get_errno()
    if result < 0 and code in (1, 38):  # EPERM, ENOSYS
        raise OSError(code, os.strerror(code))
    return f"let through: {result} {os.strerror(code)}"


def map_page_zero():
    return str((mmap.mmap(-1, 4096) and LIBC.mmap(0, 4096, 3, 0x32, -1, 0) == 0) or "")
