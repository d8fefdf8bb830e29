"""What strangers packed is unpacked and compiled; none of it runs, and nothing of it gets out.

There are no walls here: whatever ran or got out would be seen.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import SERVICE
from building import Push, builder_at
from packages import offered, sources, wheel

from codestore.artifacts.builder import UvBuilder
from codestore.domain.faults import Fault

LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "blog"
version = "0.1.0"
source = {{ virtual = "." }}
dependencies = [{{ name = "evil" }}]

[[package]]
name = "evil"
version = "1.0"
source = {{ url = "{url}/evil-1.0.tar.gz" }}
sdist = {{ hash = "sha256:{digest}" }}
"""
PROJECT = b'[project]\nname = "blog"\nversion = "0.1.0"\ndependencies = ["evil"]\n'


@pytest.fixture
def fresh(root: Path, runtimes: Path, tmp_path: Path) -> UvBuilder:
    """A builder with a cache of its own: addresses are used again by the system."""
    root.mkdir()
    (root / "runtimes").symlink_to(runtimes)
    return builder_at(root, tmp_path / "cache")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    (tmp_path / "packages").mkdir()
    return tmp_path / "packages"


@pytest.fixture
def url(packages: Path) -> Iterator[str]:
    with offered(packages) as url:
        yield url


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Where code of a stranger's leaves a note that it ran."""
    return tmp_path / "ran"


def noting(ran: Path) -> str:
    return f"import os; open({str(ran)!r}, 'a').write(str(os.getuid()))\n"


async def install(builder: UvBuilder, push: Push, url: str, file: str) -> Path:
    """Have a package installed; return where its modules are."""
    needs = f"evil @ {url}/{file}\n".encode()
    artifact = await builder.prepare(await push(builder, {**SERVICE, "requirements.txt": needs}))
    assert artifact.runtime
    return next(Path(artifact.runtime).parents[1].glob("lib/python*/site-packages"))


async def refused(builder: UvBuilder, push: Push, url: str, file: str) -> str:
    with pytest.raises(Fault) as caught:
        await install(builder, push, url, file)
    assert caught.value.letter.code == "build_failed"
    return caught.value.letter.detail


async def test_code_that_python_runs_at_its_start_does_not_run(
    fresh: UvBuilder, push: Push, packages: Path, url: str, ran: Path
) -> None:
    code = noting(ran).encode()
    names = ("evil.pth", "sitecustomize.py", "usercustomize.py", "struct.py", "encodings/evil.py")
    made = wheel("evil", {**dict.fromkeys(names, code), "evil.py": b"x = 1\n"})
    (packages / "evil-1.0-py3-none-any.whl").write_bytes(made)
    modules = await install(fresh, push, url, "evil-1.0-py3-none-any.whl")
    assert not ran.exists()
    assert (modules / "evil.pth").exists() and any(modules.glob("__pycache__/evil.*.pyc"))
    subprocess.run([modules.parents[2] / "bin" / "python", "-c", ""], check=True)
    assert ran.exists()  # it would have


async def test_sources_are_not_built(
    fresh: UvBuilder, push: Push, packages: Path, url: str, ran: Path
) -> None:
    (packages / "evil-1.0.tar.gz").write_bytes(sources("evil", noting(ran)))
    assert "evil" in await refused(fresh, push, url, "evil-1.0.tar.gz")
    assert not ran.exists()


async def test_sources_that_a_lock_names_are_not_built(
    fresh: UvBuilder, push: Push, packages: Path, url: str, ran: Path
) -> None:
    (packages / "evil-1.0.tar.gz").write_bytes(sources("evil", noting(ran)))
    lock = LOCK.format(url=url, digest="0" * 64).encode()
    seal = await push(fresh, {**SERVICE, "uv.lock": lock, "pyproject.toml": PROJECT})
    with pytest.raises(Fault) as caught:
        await fresh.prepare(seal)
    assert "evil" in caught.value.letter.detail
    assert not ran.exists()


OUT = {
    "dots": {"../../../../../../../out": b"x"},
    "dots in its data": {"evil-1.0.data/data/../../../../../../out": b"x"},
    "dots in its scripts": {"evil-1.0.data/scripts/../../../../../out": b"#!python\n"},
    "dots in its headers": {"evil-1.0.data/headers/../../../../../out": b"x"},
    "a name from the top": {"{tmp}/out": b"x"},
    "a name from the top in its data": {"evil-1.0.data/data/{tmp}/out": b"x"},
}


@pytest.mark.parametrize("files", OUT.values(), ids=OUT)
async def test_files_of_a_package_do_not_get_out(
    fresh: UvBuilder,
    push: Push,
    packages: Path,
    url: str,
    tmp_path: Path,
    files: dict[str, bytes],
) -> None:
    named = {path.replace("{tmp}", str(tmp_path)): file for path, file in files.items()}
    made = wheel("evil", {"evil.py": b"", **named})
    (packages / "evil-1.0-py3-none-any.whl").write_bytes(made)
    try:
        modules = await install(fresh, push, url, "evil-1.0-py3-none-any.whl")
    except Fault as fault:
        assert fault.letter.code == "build_failed"
        modules = None
    inside = modules.parents[2] if modules else None
    found = [path for path in tmp_path.rglob("out") if not inside or inside not in path.parents]
    assert not [path for path in found if (tmp_path / "cache") not in path.parents]


SCRIPTS = ("../../../../../out", "{tmp}/out", "python", "..")


@pytest.mark.parametrize("name", SCRIPTS)
async def test_scripts_of_a_package_do_not_get_out(
    fresh: UvBuilder, push: Push, packages: Path, url: str, tmp_path: Path, name: str
) -> None:
    points = f"[console_scripts]\n{name.replace('{tmp}', str(tmp_path))} = evil:main\n"
    made = wheel("evil", {"evil.py": b""}, entry_points=points)
    (packages / "evil-1.0-py3-none-any.whl").write_bytes(made)
    await refused(fresh, push, url, "evil-1.0-py3-none-any.whl")
    assert not list(tmp_path.rglob("out"))


async def test_no_file_of_a_package_makes_anybody_somebody_else_or_is_a_link(
    fresh: UvBuilder, push: Push, packages: Path, url: str
) -> None:
    files = {"evil.py": b"", "evil/su": b"x", "evil/link": b"/etc/passwd"}
    modes = {"evil/su": 0o106777, "evil/link": stat.S_IFLNK | 0o777}
    (packages / "evil-1.0-py3-none-any.whl").write_bytes(wheel("evil", files, modes))
    modules = await install(fresh, push, url, "evil-1.0-py3-none-any.whl")
    assert stat.S_IMODE((modules / "evil/su").stat().st_mode) == 0o755
    assert not (modules / "evil/link").is_symlink()
    environment = modules.parents[2]
    python = environment / "bin" / "python"
    for path in environment.rglob("*"):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
        if path.is_symlink():
            assert path.resolve() == python.resolve() or path.resolve().is_relative_to(environment)
        else:
            assert not status.st_mode & 0o6022, path
            assert path.is_dir() or status.st_nlink == 1, path


async def test_what_one_index_offers_is_not_taken_for_anothers(
    fresh: UvBuilder, push: Push, packages: Path, url: str
) -> None:
    """The cache is everybody's, so what a stranger's index had must not be found under a name."""
    made = wheel("idna", {"idna/__init__.py": b"evil = True\n"}, version="3.10")
    (packages / "idna").mkdir()
    (packages / "idna" / "idna-3.10-py3-none-any.whl").write_bytes(made)
    theirs, ours = f"--index-url {url}\nidna==3.10\n".encode(), b"idna==3.10\n"
    assert await is_evil(fresh, push, theirs)
    assert not await is_evil(fresh, push, ours)


async def is_evil(builder: UvBuilder, push: Push, needs: bytes) -> bool:
    artifact = await builder.prepare(await push(builder, {**SERVICE, "requirements.txt": needs}))
    assert artifact.runtime
    said = subprocess.run(
        [artifact.runtime, "-I", "-c", "import idna; print(hasattr(idna, 'evil'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip() == "True"
