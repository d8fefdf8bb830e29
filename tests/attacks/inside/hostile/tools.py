"""What attacks are made with: the C library, numbers of system calls, a process that may die."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

BEGUN = "begun"
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


def checked(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return f"answered {result}"


def in_child(attack):
    """Do it in a process of its own, which may not survive it."""
    place, module, name = Path(__file__).parents[1], attack.__module__, attack.__name__
    code = f"import sys; sys.path.insert(0, {str(place)!r}); from {module} import {name} as attack"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print({BEGUN!r}, flush=True); print(attack() or '')"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    begun, _, told = done.stdout.partition("\n")
    if begun != BEGUN:
        raise RuntimeError(f"it did not come to the attack: {done.stderr}")
    if done.returncode:
        raise PermissionError(f"{done.returncode}: {done.stderr[-200:]}")
    return told.strip()
