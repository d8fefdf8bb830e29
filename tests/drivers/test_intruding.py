"""The intruder: what it tries from inside a cell, what it is told, and that it can succeed.

A wall that stands is tried, and one that is not there: whoever can only be refused proves nothing.
"""

import asyncio
import hashlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.instances import Workload
from codestore.domain.secret import Secret
from codestore.domain.verification import PLATFORM, Aim, Attempt, Verdict, judge
from codestore.drivers.process.intruding import FOLDER, Landmarks, ProcessIntruder
from codestore.drivers.process.places import provide_folders
from tests.drivers.stage import PATIENCE, Stage, deployment, python, workload
from tests.keeper.house import listed
from tests.support.postgres import RunningServer, own_server

__all__ = ["own_server"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls are Linux's")


def intruder(stage: Stage, paths: Mapping[Aim, Path] | None = None) -> ProcessIntruder:
    marks = Landmarks(paths or {}, trees(stage))
    return ProcessIntruder(stage.driver.children, stage.host, stage.logs.tail_of, marks)


async def told(stage: Stage, wanted: Workload, *attempts: Attempt, **more: object) -> list[str]:
    paths = more.get("paths")
    return await intruder(stage, paths).attempt(wanted, attempts, PATIENCE)  # type: ignore[arg-type]


def trees(stage: Stage) -> Path:
    return stage.host.work / "trees"


def neighbour(stage: Stage) -> str:
    """Another deployment, with folders and logs, and code."""
    id_ = deployment()
    provide_folders(stage.host, id_)
    (trees(stage) / "3").mkdir(parents=True, exist_ok=True)
    (stage.host.logs / id_).mkdir(parents=True)
    return id_


FILES = (Aim.HOME, Aim.LOGS, Aim.CODE)


async def test_what_is_its_own_is_reached_and_what_is_anothers_is_not(stage: Stage) -> None:
    id_, other = deployment(), neighbour(stage)
    files = [Attempt(aim, other, "3") for aim in FILES]
    own = Attempt(Aim.OWN_HOME, id_)
    answers = await told(stage, workload(id_), own, *files, Attempt(Aim.PROCESSES, PLATFORM))
    assert answers == ["reached", "ENOENT", "ENOENT", "ENOENT", "none"]
    assert list(stage.home(id_).iterdir()) == []


async def test_what_is_shown_although_it_is_anothers_is_told(stage: Stage) -> None:
    """The wall is broken on purpose: one folder too many is in the view."""
    other = neighbour(stage)
    for folder in (stage.host.work / other, stage.host.work / other / "home"):
        folder.chmod(0o755)
    home = str(stage.host.work / other / "home")
    broken = replace(stage.host, shown=(*stage.host.shown, home))
    tried = ProcessIntruder(
        stage.driver.children, broken, stage.logs.tail_of, Landmarks({}, trees(stage))
    )  # fmt: skip
    answers = await tried.attempt(
        workload(deployment()), [Attempt(aim, other, "3") for aim in FILES], PATIENCE
    )
    assert answers == ["reached", "ENOENT", "ENOENT"]


async def test_a_service_without_a_runtime_is_tried_by_the_platforms_own(stage: Stage) -> None:
    id_ = deployment()
    wanted = workload(id_, "no-such-program", runtime=None)
    assert await told(stage, wanted, Attempt(Aim.OWN_HOME, id_)) == ["reached"]


async def test_what_is_the_platforms_is_not_there(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("secret")
    keeper = stage.house.run / "keeper.sock"
    paths = {Aim.MASTER_KEY: tmp_path / "master.key", Aim.KEEPER: keeper, Aim.BUNDLES: tmp_path}
    tried = [Attempt(aim, PLATFORM) for aim in (*paths, Aim.KEYRING)]
    answers = await told(stage, workload(deployment()), *tried, paths=paths)
    assert answers == ["ENOENT", "ENOENT", "ENOENT", "skipped: there is none"]


async def test_sockets_and_ports(stage: Stage) -> None:
    id_, home = deployment(), deployment()
    wanted = workload(id_)
    own = stage.home(id_) / "door"
    with socket.socket(socket.AF_UNIX) as seen, socket.socket(socket.AF_UNIX) as hidden:
        hidden_at = stage.home(home) / "door"
        for listener, path in ((seen, own), (hidden, hidden_at)):
            listener.bind(str(path))
            path.chmod(0o777)
            listener.listen()
        answers = await told(
            stage,
            wanted,
            Attempt(Aim.SOCKET, "x", f"unix:{own}"),
            Attempt(Aim.SOCKET, "x", f"unix:{own}", quiet=True),
            Attempt(Aim.SOCKET, "x", f"unix:{hidden_at}"),
            Attempt(Aim.SOCKET, "x", f"unix:{hidden_at}", quiet=True),
            Attempt(Aim.PORT, "x", "tcp://127.0.0.1:1"),
            Attempt(Aim.PORT, "x", "tcp://127.0.0.1:1", quiet=True),
        )
        assert answers[:4] == ["reached", "reached", "ENOENT", "ENOENT"]
        assert answers[4] in ("ECONNREFUSED", "ENETUNREACH", "EPERM", "EACCES")
        assert answers[5] == "skipped: it sleeps"
        seen.setblocking(False)
        seen.accept()[0].close()
        with pytest.raises(BlockingIOError):  # quiet: nobody came a second time
            seen.accept()
    own.unlink()
    hidden_at.unlink()


async def test_its_variables_are_looked_through_and_what_is_not_there_is_not_found(
    stage: Stage,
) -> None:
    id_ = deployment()
    given = {"DATABASE_URL": "postgresql://x:0123abc@/x", "OTHER": "plain"}
    wanted = workload(id_, environment=given)

    def digest(value: str) -> str:
        return "salt:" + hashlib.sha256(f"salt{value}".encode()).hexdigest()

    tried = [Attempt(Aim.PASSWORD, "x", digest(each)) for each in ("0123abc", "plain", "else")]
    answers = await told(stage, wanted, *tried, Attempt(Aim.NAMES, PLATFORM))
    assert answers == ["reached: in DATABASE_URL", "reached: in OTHER", "none", "none"]


@pytest.fixture
async def databases(own_server: RunningServer) -> AsyncIterator[PostgresDatabases]:
    made = PostgresDatabases(own_server.embedded.admin_url)
    await made.harden()
    yield made
    await made.close()


async def test_databases_of_others_are_refused_and_one_that_was_opened_is_told(
    stage: Stage, databases: PostgresDatabases, own_server: RunningServer
) -> None:
    id_, password = deployment(), Secret("p" * 40)
    for name in ("mine", "theirs"):
        await databases.create(name, password if name == "mine" else Secret("q" * 40))
    settings = {k: v.reveal() for k, v in databases.settings("mine", password).items()}
    host = replace(stage.host, shown=(*stage.host.shown, settings["DATABASE_HOST"]))
    tried = ProcessIntruder(
        stage.driver.children, host, stage.logs.tail_of, Landmarks({}, trees(stage))
    )
    attempts = [
        Attempt(Aim.OWN_DATABASE, id_),
        Attempt(Aim.DATABASE, "x", "theirs"),
        Attempt(Aim.ROLE, "x", "theirs"),
        Attempt(Aim.STATE, PLATFORM, "postgres"),
        Attempt(Aim.DATABASE, "x", "none_such"),
    ]
    wanted = workload(id_, environment=settings)
    answers = await tried.attempt(wanted, attempts, PATIENCE)
    assert answers == ["reached", "sql 42501", "sql 28P01", "sql 42501", "sql 3D000"]
    own_server.execute("GRANT CONNECT ON DATABASE theirs TO mine")
    answers = await tried.attempt(wanted, attempts, PATIENCE)
    assert answers[:3] == ["reached", "reached", "sql 28P01"]
    own_server.execute("ALTER ROLE mine NOLOGIN")
    answers = await tried.attempt(wanted, attempts, PATIENCE)
    assert judge(answers[0])[0] is Verdict.REFUSED  # so the rest proves nothing


async def test_what_a_run_before_left_is_ended_and_tried_anew(stage: Stage) -> None:
    id_ = deployment()
    first = asyncio.create_task(
        stage.tasks.run(python(id_, "print('up'); input()\nwhile 1: pass"), FOLDER, 60)
    )
    while not any(child.name == f"{id_}.{FOLDER}" for child in stage.driver.children.all()):
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    pid = (await listed(stage.client, f"{id_}.{FOLDER}")).pid
    assert await told(stage, workload(id_), Attempt(Aim.OWN_HOME, id_)) == ["reached"]
    assert [child.name for child in (await stage.client.list()).children] == ["control"]
    assert not Path(f"/proc/{pid}").exists()


async def test_nothing_is_left_and_nothing_is_a_log_of_the_deployments(stage: Stage) -> None:
    id_ = deployment()
    await told(stage, workload(id_), Attempt(Aim.OWN_HOME, id_))
    assert await stage.logs.tail(id_, 100) == []
    assert list((stage.host.work / FOLDER).iterdir()) == []
    assert list((stage.host.logs / FOLDER).iterdir()) == []
    if os.geteuid() == 0:
        assert (stage.host.work / FOLDER).stat().st_mode & 0o077 == 0


async def test_what_a_crash_has_left_is_not_kept(stage: Stage) -> None:
    left = stage.host.work / FOLDER / "of-one-that-is-gone.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    id_ = deployment()
    assert await told(stage, workload(id_), Attempt(Aim.OWN_HOME, id_)) == ["reached"]
    assert not left.exists()
