"""What a seal is made of, and that the same source gives the same one everywhere."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import pytest
from archives import COMMAND, MANIFEST, SERVICE, files, hard_link, link, member, pack, upload
from building import Push
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.folders import Folders
from codestore.artifacts.sealing import seal_upload
from codestore.domain.faults import Fault, Letter
from codestore.domain.versions import Migration, Seal

NAMES = st.text("abcé.-_", min_size=1, max_size=6).filter(lambda name: set(name) != {"."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.dictionaries(PATHS, st.tuples(st.binary(max_size=600), st.booleans()), max_size=8)


def bundled(root: Path, seal: Seal) -> tarfile.TarFile:
    return tarfile.open(root / "bundles" / f"{seal.digest}.tar")


def description(root: Path, seal: Seal) -> dict[str, object]:
    with bundled(root, seal) as bundle:
        first = bundle.next()
        assert first is not None and first.name == "codestore.seal.json"
        content = bundle.extractfile(first)
        assert content is not None
        return json.load(content)


def no_folder_is_a_file(paths: set[str]) -> bool:
    return not any(other.startswith(f"{path}/") for path in paths for other in paths)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTENTS, st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_the_digest_depends_on_the_source_alone(
    tmp_path: Path,
    contents: dict[str, tuple[bytes, bool]],
    dice: random.Random,
    zipped: bool,
    gnu: bool,
) -> None:
    if not no_folder_is_a_file(set(contents)):
        return
    contents |= {name: (content, False) for name, content in COMMAND.items()}
    folders = Folders.open(tmp_path / "data")
    plain = [member(n, c, mode=0o755 if run else 0o644) for n, (c, run) in contents.items()]
    first = seal_upload(folders, upload(tmp_path, pack(plain)), "blog")
    disguised = [
        member(
            f"./{name}",
            content,
            mode=(0o700 if run else 0o600) | dice.choice([0, 0o22]),
            mtime=dice.randrange(2**31),
            uid=dice.randrange(2**16),
            uname="somebody",
        )
        for name, (content, run) in contents.items()
    ]
    dice.shuffle(disguised)
    disguised.insert(0, member("./", type=tarfile.DIRTYPE))
    form = tarfile.GNU_FORMAT if gnu else tarfile.PAX_FORMAT
    again = seal_upload(folders, upload(tmp_path, pack(disguised, form, zipped=zipped)), "blog")
    assert again == first
    sealed = folders.bundle(first.digest).read_bytes()
    assert hashlib.sha256(sealed).hexdigest() == first.digest


async def test_the_digest_stays_the_same_from_release_to_release(
    sealer: UvBuilder, push: Push
) -> None:
    seal = await push(sealer, {**COMMAND, "x" * 120: b"long names have a form of their own"})
    assert seal.digest == "cf81a0a5b8603f668fd683bef08ac6ed64783a91c22f9d9a2a3f70976dae8e23"


async def test_limits_that_are_not_said_are_not_sealed(
    sealer: UvBuilder, root: Path, push: Push
) -> None:
    """Manifests could not always say all of them, and the digest stays what it was."""
    said = b"environments: {private: {limits: {memory: 128MiB}}}\n"
    seal = await push(sealer, {**COMMAND, "codestore.yaml": COMMAND["codestore.yaml"] + said})
    manifest = description(root, seal)["manifest"]
    assert isinstance(manifest, dict)
    known = ("rate", "max_requests", "max_body", "idle_timeout", "memory", "cpu")
    assert tuple(manifest["overrides"]["private"]["limits"]) == tuple(sorted(known))


async def test_any_change_of_the_source_changes_both_digests(
    sealer: UvBuilder, push: Push, tmp_path: Path
) -> None:
    first = await push(sealer, COMMAND)
    runnable = pack([member(n, c, mode=0o755) for n, c in COMMAND.items()])
    linked = pack([*files(COMMAND), link("other", "serve")])
    others = [
        await push(sealer, {**COMMAND, "serve": b"#!/bin/bash\n"}),
        await push(sealer, {**COMMAND, "new": b""}),
        await sealer.seal(upload(tmp_path, runnable), "blog"),
        await sealer.seal(upload(tmp_path, linked), "blog"),
    ]
    assert len({seal.digest for seal in (first, *others)}) == 5
    assert len({seal.content for seal in (first, *others)}) == 5


async def test_a_bundle_is_a_plain_archive_that_says_what_it_is(
    sealer: UvBuilder, root: Path, tmp_path: Path
) -> None:
    source = {
        "codestore.yaml": b"service: blog\nsecrets: [TOKEN]\nservices: [mail]\nmigrate: go up\n"
        b"health: {path: /ok}\nenvironments: {private: {standby: 5m}}\n",
        "src/schema.graphql": b"type Query { a: Int }",
        "requirements.txt": b"idna==3.10\n",
        "migrations/001.sql": b"create table a();",
        "alembic/versions/a.py": b"",
        "blog/migrations/0001_initial.py": b"",
        "blog/migrations/__init__.py": b"",
        "migrations/env.py": b"",
        "migrations/README": b"",
        "emigrations/a.py": b"",
    }
    archive = pack([*files(source), member("run", b"x", mode=0o755), link("to", "src")])
    seal = await sealer.seal(upload(tmp_path, archive), "blog")
    with bundled(root, seal) as bundle:
        members = bundle.getmembers()[1:]
    assert [info.name for info in members] == sorted([*source, "run", "to"])
    assert {(info.mtime, info.uid, info.gid, info.uname) for info in members} == {(0, 0, 0, "")}
    assert {info.name: info.mode for info in members if info.mode != 0o644} == {
        "run": 0o755,
        "to": 0o777,
    }
    told = description(root, seal)
    schema = hashlib.sha256(source["src/schema.graphql"]).hexdigest()
    lock = hashlib.sha256(source["requirements.txt"]).hexdigest()
    assert told["format"] == 1 and told["service"] == "blog"
    assert told["schema"] == {"path": "src/schema.graphql", "sha256": schema}
    assert told["lock"] == {"path": "requirements.txt", "sha256": lock}
    assert told["links"] == {"to": "src"}
    manifest = told["manifest"]
    assert isinstance(manifest, dict)
    assert (manifest["secrets"], manifest["services"]) == (["TOKEN"], ["mail"])
    assert (manifest["migrate"], manifest["health"]["path"]) == (["go", "up"], "/ok")
    assert manifest["overrides"]["private"]["standby"] == 300
    assert (seal.lock, seal.schema) == (lock, schema)
    assert seal.migrations == tuple(
        Migration(path, hashlib.sha256(source[path]).hexdigest())
        for path in (
            "alembic/versions/a.py",
            "blog/migrations/0001_initial.py",
            "migrations/001.sql",
        )
    )
    assert (seal.files, seal.size) == (12, sum(map(len, source.values())) + 1)
    assert (root / "bundles" / f"{seal.digest}.tar").stat().st_mode & 0o777 == 0o400


async def test_links_inside_the_folder_and_second_names_stay(
    sealer: UvBuilder, tmp_path: Path
) -> None:
    members = [
        *files(COMMAND),
        member("a/b/c", b"deep"),
        link("a/up", "../serve"),
        link("a/b/far", "./../up"),
        link("a/dangling", "not-yet"),
        link("folder", "a//b/"),
        link("through", "folder/../up"),
        hard_link("copy", "a/b/c"),
        *[link(f"chain{n:02}", f"chain{n + 1:02}") for n in range(39)],
    ]
    seal = await sealer.seal(upload(tmp_path, pack(members)), "blog")
    artifact = await sealer.prepare(seal)
    tree = Path(artifact.code)
    assert (tree / "a/b/far").read_bytes() == (tree / "through").read_bytes() == COMMAND["serve"]
    assert (tree / "copy").read_bytes() == b"deep" and not (tree / "copy").is_symlink()
    await sealer.prepare(seal)


async def test_what_is_ignored_is_left_out_here_as_well(sealer: UvBuilder, tmp_path: Path) -> None:
    contents = {
        **COMMAND,
        ".gitignore": b"*.log\nbuild/\n",
        ".codestoreignore": b"docs\n!keep.log\n",
        "a.log": b"",
        "keep.log": b"",
        "build/x": b"",
        "docs/index": b"",
        "web/.gitignore": b"/dist\n!special.log\n",
        "web/dist/x": b"",
        "web/special.log": b"",
        "web/src/dist/x": b"",
        ".git/config": b"",
        "web/.venv/bin/x": b"",
        "src/__pycache__/x.pyc": b"",
        "node_modules/x/index.js": b"",
    }
    # A link out of the folder does no harm where it is ignored: virtual environments have one.
    archive = pack([*files(contents), link(".venv/bin/python", "/usr/bin/python3")])
    seal = await sealer.seal(upload(tmp_path, archive), "blog")
    tree = Path((await sealer.prepare(seal)).code)
    found = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert found == {
        *COMMAND,
        ".gitignore",
        ".codestoreignore",
        "keep.log",
        "web/.gitignore",
        "web/special.log",
        "web/src/dist/x",
        "node_modules/x/index.js",
    }


async def letter_of(sealer: UvBuilder, push: Push, contents: dict[str, bytes]) -> Letter:
    with pytest.raises(Fault) as caught:
        await push(sealer, contents)
    return caught.value.letter


async def test_no_manifest(sealer: UvBuilder, push: Push) -> None:
    letter = await letter_of(sealer, push, {"app.py": b""})
    assert letter.code == "no_manifest" and "service: blog" in letter.hint


async def test_another_service(sealer: UvBuilder, push: Push) -> None:
    manifest = b"# mine\nservice: shop\nrun: {asgi: a:b}\n"
    letter = await letter_of(sealer, push, {"codestore.yaml": manifest})
    assert (letter.code, letter.where) == ("wrong_service", "codestore.yaml:2")


async def test_a_mistake_in_the_manifest_has_its_line(sealer: UvBuilder, push: Push) -> None:
    manifest = b"service: blog\nrun:\n  asgi: app:app\nhealth:\n  timeout: soon\n"
    letter = await letter_of(sealer, push, {"codestore.yaml": manifest})
    assert (letter.code, letter.where) == ("bad_manifest", "codestore.yaml:5")


async def test_a_lock_that_reaches_out_is_refused_at_the_push(
    sealer: UvBuilder, push: Push
) -> None:
    letter = await letter_of(
        sealer, push, {**SERVICE, "requirements.txt": b"idna==3.10\n-r /etc/passwd\n"}
    )
    assert (letter.code, letter.where) == ("bad_lock", "requirements.txt:2")


@pytest.mark.parametrize(
    ("manifest", "pyproject", "version"),
    [
        (b"version: 1.2.3\n", b'[project]\nversion = "9.9.9"\n', "1.2.3"),
        (b"", b'[project]\nversion = "9.9.9"\n', "9.9.9"),
        (b"", b'[project]\nversion = "1.0.dev0"\n', None),
        (b"", b'project = "broken', None),
        (b"", b"project = 1", None),
        (b"", None, None),
    ],
)
async def test_the_version_is_the_manifests_else_the_projects(
    sealer: UvBuilder, push: Push, manifest: bytes, pyproject: bytes | None, version: str | None
) -> None:
    contents = {"codestore.yaml": manifest + b"service: blog\npython: {lock: lock.txt}\n"}
    contents |= {"src/schema.graphql": b"", "lock.txt": b""}
    if pyproject:
        contents["pyproject.toml"] = pyproject
    assert (await push(sealer, contents)).manifest.version == version


async def test_the_source_comes_back_as_it_was_sent(
    sealer: UvBuilder, push: Push, tmp_path: Path
) -> None:
    contents = {**COMMAND, "src/long" + "g" * 200: b"y" * 700_000}
    seal = await push(sealer, contents)
    packed = b"".join([piece async for piece in sealer.source(seal)])
    assert packed == b"".join([piece async for piece in sealer.source(seal)])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        assert archive.getnames() == sorted(contents)
    again = await sealer.seal(upload(tmp_path, packed), "blog")
    assert again == seal


async def test_manifest_bytes_are_kept(sealer: UvBuilder, push: Push) -> None:
    seal = await push(sealer, {**SERVICE, "codestore.yaml": MANIFEST + b"# a comment\n"})
    assert seal.manifest == (await push(sealer, SERVICE)).manifest
    assert seal.digest != (await push(sealer, SERVICE)).digest
