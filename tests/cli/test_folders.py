"""What a push sends, what a new folder has, and what a pull unpacks."""

import gzip
import io
import json
import os
import socket
import tarfile
from pathlib import Path

import pytest

from codestore.cli import pack as packing
from codestore.cli.pack import packed
from codestore.cli.problems import CommandError
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Answer, Stage, refusal, stream, told

CREATE = ("POST", "/api/services")
PUSH = ("POST", "/api/services/blog/versions")
SOURCE = ("GET", "/api/services/blog/source")


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def lay(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def pack(folder: Path) -> bytes:
    with packed(folder) as archive:
        archive.seek(0)
        return archive.read()


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", ["a.log", "a.py", "sub/a.log", "sub/b.py"]),
        ("*.log", ["a.py", "sub/b.py"]),
        ("/a.log", ["a.py", "sub/a.log", "sub/b.py"]),
        ("sub/", ["a.log", "a.py"]),
        ("*.log\n!sub/a.log", ["a.py", "sub/a.log", "sub/b.py"]),
        ("sub\n!sub/b.py", ["a.log", "a.py"]),
        ("*\n!*/\n!*.py\n!.gitignore", ["a.py", "sub/b.py"]),
        ("# a.log\n\n[", ["a.log", "a.py", "sub/a.log", "sub/b.py"]),
        ("a.py/", ["a.log", "a.py", "sub/a.log", "sub/b.py"]),
        ("**/a.log", ["a.py", "sub/b.py"]),
    ],
)
def test_a_push_leaves_out_what_git_ignores(place: Path, rules: str, kept: list[str]) -> None:
    lay(place, a_dot_py="", a_dot_log="", sub__b_dot_py="", sub__a_dot_log="")
    (place / ".gitignore").write_text(rules)
    assert names(pack(place)) == [".gitignore", *kept]


def test_the_nearest_rules_and_those_for_codestore_have_the_last_word(place: Path) -> None:
    lay(
        place, _dot_gitignore="*.log", sub___dot_gitignore="!*.log", sub__a_dot_log="", b_dot_log=""
    )
    (place / ".codestoreignore").write_text("!b.log\nsub/.gitignore")
    assert names(pack(place)) == [".codestoreignore", ".gitignore", "b.log", "sub/a.log"]


def test_tools_folders_stay_out_and_node_modules_only_if_ignored(place: Path) -> None:
    lay(place, _dot_git__config="", _dot_venv__x="", node_modules__m_dot_js="")
    (place / "lib" / "__pycache__").mkdir(parents=True)
    (place / "lib" / "__pycache__" / "x.pyc").write_text("")
    assert "node_modules/m.js" in names(pack(place))
    assert not [name for name in names(pack(place)) if "pyc" in name or ".git/" in name]


def test_the_same_files_are_the_same_bytes(place: Path) -> None:
    lay(place, b="2", a="1")
    first = pack(place)
    os.utime(place / "a", (1, 1))
    assert pack(place) == first


def test_modes_and_links_are_kept(place: Path) -> None:
    lay(place, run="#!/bin/sh")
    (place / "run").chmod(0o700)
    (place / "link").symlink_to("run")
    with tarfile.open(fileobj=io.BytesIO(pack(place))) as tar:
        assert (tar.getmember("run").mode, tar.getmember("link").linkname) == (0o755, "run")


def test_too_much_is_refused_with_the_names_of_the_largest(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(place, small="1", large="1" * 3000)
    monkeypatch.setattr(packing, "MAX_SIZE", 2000)
    with pytest.raises(CommandError, match=r"large \("):
        pack(place)
    monkeypatch.setattr(packing, "MAX_FILES", 1)
    with pytest.raises(CommandError, match=r"\./ \(2 files\)"):
        pack(place)


def test_what_is_no_file_is_refused_by_name(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("here.sock")
        with pytest.raises(CommandError) as refused:
            pack(place)
    assert refused.value.problem.where == "here.sock"


def test_a_file_that_cannot_be_read_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(place, closed="1")

    def closed(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(CommandError) as refused:
        pack(place)
    assert refused.value.problem.where == "closed"


def test_a_push_sends_the_folder_and_its_notes(cs: Cs, stage: Stage, place: Path) -> None:
    lay(place, codestore_dot_yaml="service: blog\n", app_dot_py="1")
    stage.on(*PUSH, told(samples.change(samples.release(), "private"), 202))
    stage.on("GET", "/api/watch", stream(("end", samples.conclusion("private"))))
    assert cs("push", "-r", "Tags & more").code == 0
    sent = stage.asked(*PUSH)[0]
    assert sent.query == {"notes": ["Tags & more"]}
    assert sent.headers["content-type"] == "application/gzip"
    assert names(sent.body) == ["app.py", "codestore.yaml"]


def test_a_push_from_elsewhere_is_refused(cs: Cs, stage: Stage) -> None:
    run = cs("push", "-r", "x")
    assert (run.code, "--dir" in run.err, stage.requests) == (1, True, [])


@pytest.mark.parametrize("text", ["service: [", "name: x", "- a", "service: 7"])
def test_a_manifest_without_a_service_is_refused(cs: Cs, place: Path, text: str) -> None:
    (place / "codestore.yaml").write_text(text)
    run = cs("push")
    assert (run.code, "codestore.yaml" in run.err) == (1, True)


@pytest.mark.parametrize("template", ["graphql", "asgi", "command"])
def test_a_new_service_starts_from_a_template(
    cs: Cs, stage: Stage, place: Path, template: str
) -> None:
    stage.on(*CREATE, told(samples.change(samples.service("deploying"), "private", "demo"), 202))
    stage.on("GET", "/api/watch", stream(("end", samples.conclusion("private", "demo"))))
    run = cs("service:create", "blog", "--template", template, "-o", "json")
    assert run.code == 0
    assert json.loads(run.out)["environments"]["demo"]["state"] == "ready"
    assert "service: blog" in (place / "blog" / "codestore.yaml").read_text()
    sent = stage.asked(*CREATE)[0]
    assert sent.query == {"name": ["blog"]}
    assert b"{{name}}" not in gzip.decompress(sent.body)


def test_a_folder_with_a_manifest_is_deployed_as_it_is(cs: Cs, stage: Stage, place: Path) -> None:
    lay(place, old__codestore_dot_yaml="service: blog\n")
    stage.on(*CREATE, told(samples.change(samples.service("deploying"), "private"), 202))
    run = cs("service:create", "--dir", "old", "--detach")
    assert run.code == 0
    assert names(stage.requests[0].body) == ["codestore.yaml"]


def test_a_template_writes_over_nothing(cs: Cs, stage: Stage, place: Path) -> None:
    lay(place, blog__README_dot_md="mine")
    run = cs("service:create", "blog")
    assert (run.code, stage.requests) == (1, [])
    assert "README.md" in run.err
    assert [file.name for file in (place / "blog").iterdir()] == ["README.md"]


def test_a_refused_folder_that_was_made_is_kept_and_named(
    cs: Cs, stage: Stage, place: Path
) -> None:
    stage.on(*CREATE, refusal(409, "service_exists"))
    run = cs("service:create", "blog")
    assert run.code == 1
    assert "The folder blog was made and is kept" in run.err
    assert (place / "blog" / "codestore.yaml").exists()


@pytest.mark.parametrize("name", ["../blog", "/tmp/blog", ".blog", ""])
def test_a_name_that_leads_elsewhere_makes_no_folder(cs: Cs, stage: Stage, name: str) -> None:
    assert cs("service:create", name).code in (1, 2)
    assert stage.requests == []


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> Answer:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    headers = {"x-codestore-version": "0.0.2", "x-codestore-digest": "d" * 64}
    return Answer(buffer.getvalue(), 200, "application/gzip", headers)


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def device(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.CHRTYPE
    return info


def test_a_pull_brings_the_folder(cs: Cs, stage: Stage, place: Path) -> None:
    stage.on(*SOURCE, archive_of((tarfile.TarInfo("src/app.py"), b"1")))
    run = cs("pull", "blog", "--version", "0.0.2", "-o", "json")
    assert json.loads(run.out) == {
        "service": "blog",
        "version": "0.0.2",
        "digest": "d" * 64,
        "folder": "blog",
    }
    assert (place / "blog" / "src" / "app.py").read_bytes() == b"1"
    assert stage.requests[0].query == {"version": ["0.0.2"]}


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("a/../../outside"),
        link("link", "/etc/passwd"),
        link("link", "../outside"),
        device("device"),
    ],
    ids=lambda info: f"{info.name} {info.linkname}",
)
def test_a_hostile_archive_leaves_nothing_behind(
    cs: Cs, stage: Stage, place: Path, member: tarfile.TarInfo
) -> None:
    stage.on(*SOURCE, archive_of((tarfile.TarInfo("good"), b"1"), (member, b"")))
    run = cs("pull", "blog")
    assert (run.code, run.out) == (1, "")
    assert list(place.iterdir()) == []
    assert not (place.parent / "outside").exists()


def test_a_damaged_archive_leaves_nothing_behind(cs: Cs, stage: Stage, place: Path) -> None:
    whole = archive_of((tarfile.TarInfo("good"), os.urandom(4096)))
    stage.on(*SOURCE, Answer(whole.body[:2000], 200, "application/gzip"))
    assert cs("pull", "blog").code == 1
    assert list(place.iterdir()) == []


def test_a_folder_that_is_not_empty_is_written_over_only_when_told_to(
    cs: Cs, stage: Stage, place: Path
) -> None:
    lay(place, blog__src__mine="mine", blog__good="old")
    stage.on(*SOURCE, archive_of((tarfile.TarInfo("good"), b"new")))
    assert cs("pull", "blog").code == 2
    assert stage.requests == []
    assert cs("pull", "blog", "--yes").code == 0
    assert (place / "blog" / "good").read_text() == "new"
    assert (place / "blog" / "src" / "mine").read_text() == "mine"
