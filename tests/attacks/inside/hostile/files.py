"""Attacks on files: of others, of the platform, of the host; and on the room for them."""

import os
from pathlib import Path


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


def device(number):
    os.mknod(Path(os.environ["HOME"], "device"), 0o660 | 0o060000, int(number))
    return "made"


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
