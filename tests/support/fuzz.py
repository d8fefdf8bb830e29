"""What a user sends, made up: each target takes it, or refuses it with a Fault and nothing else."""

import contextlib
import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codestore.artifacts.folders import Folders
from codestore.artifacts.locks import recipe
from codestore.artifacts.manifest_file import read_document
from codestore.artifacts.sealing import seal_upload
from codestore.domain.faults import Fault, FaultKind
from codestore.domain.manifest import read_manifest
from codestore.domain.names import check_name, shown
from codestore.domain.secrets import check_key, check_value
from codestore.domain.versions import History, Number, next_number

MANIFEST = """service: blog
version: 1.2.3
run: {asgi: "app.main:app"}
python: {lock: requirements.txt}
database: true
migrate: alembic upgrade head
health: {path: /health, timeout: 10s}
secrets: [API_KEY]
environments:
  private: {standby: 5m, stop: 1h}
  production: {instances: {min: 2, max: 8}, concurrency: 40, limits: {rate: 5, memory: 64MiB}}
"""
LOCK = 'version = 1\n[[package]]\nname = "a"\nversion = "1"\nsource = {registry = "x"}\n'
PROJECT = '[project]\nname = "a"\nversion = "1.0.0"\ndependencies = ["a>=1"]\n'
FILES = frozenset({"app/main.py", "requirements.txt", "src/schema.graphql"})

NUMBERS = st.from_regex(r"v?[0-9]{1,3}(\.[0-9]{1,12}){1,3}(-rc1)?", fullmatch=True)
text = st.text(st.characters(), max_size=60)
words = st.sampled_from(
    [
        *("service", "run", "asgi", "command", "graphql", "python", "lock", "health", "timeout"),
        *("environments", "production", "instances", "min", "max", "limits", "rate", "canary"),
        *("steps", "hold", "null", "true", "1e999", "-0", ".nan", "0x1", "5m", "1GiB", "\u0661"),
        *("&a", "*a", "!!python/object", "<<", "---", "...", "%YAML 9", "? ", "- ", "{", "[", ": "),
    ]
)


def bent(original: str) -> st.SearchStrategy[bytes]:
    """Take a good text and put something else in the place of a part of it, some times."""
    size = len(original)
    place = st.tuples(st.integers(0, size), st.integers(0, 12), st.one_of(words, text))
    return st.lists(place, min_size=1, max_size=6).map(lambda cuts: _cut(original, cuts))


def _cut(original: str, cuts: list[tuple[int, int, str]]) -> bytes:
    for at, length, put in cuts:
        original = original[:at] + put + original[at + length :]
    return original.encode("utf-8", "surrogatepass")


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text, words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=12,
)


def manifest(raw: bytes) -> None:
    read_manifest(read_document(raw), FILES)


def values(value: Any) -> None:
    """Any data where a manifest has its own; YAML reads JSON."""
    for key in ("environments", "run", "health", "python"):
        said = {"service": "blog", "run": {"asgi": "app.main:app"}, key: value}
        refused_or(manifest, json.dumps(said).encode("utf-8", "replace"))


def archive(
    parts: tuple[bytes, list[tuple[str, str, int, bytes]], list[tuple[int, bytes]]],
) -> None:
    """An archive with a manifest, odd members, and bytes of it replaced."""
    said, members, cuts = parts
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", errors="surrogateescape") as written:
        for path, target, kind, content in [("codestore.yaml", "", 0, said), *members]:
            info = tarfile.TarInfo(path)
            info.type, info.linkname, info.size = KINDS[kind], target, len(content)
            with contextlib.suppress(UnicodeError, ValueError):  # no archiver writes that
                written.addfile(info, io.BytesIO(content))
    raw = bytearray(packed.getvalue())
    for at, put in cuts:
        at %= len(raw)
        raw[at : at + len(put)] = put
    with tempfile.TemporaryDirectory(prefix="cs-fuzz-") as root:
        upload = Path(root, "upload")
        upload.write_bytes(gzip.compress(raw, 1) if len(members) % 2 else raw)
        folders = Folders.open(Path(root, "artifacts"))
        try:
            seal_upload(folders, upload, "blog")
        except Fault:
            assert not list(folders.bundles.iterdir())
        assert not list(folders.scratch.iterdir())


def lock(raw: bytes) -> None:
    files = dict.fromkeys(("uv.lock", "pyproject.toml", "requirements.txt"), raw)
    for name in files:
        refused_or(lambda name: recipe(name, files.get), name)


def name(value: str) -> None:
    assert shown(value).isprintable()
    assert check_name("service", value).isascii()


def number(pair: tuple[str, str]) -> None:
    next_number(pair[0], History(newest=Number.parse("1.2.3"), declared=pair[1]))


def secret(pair: tuple[str, str]) -> None:
    check_value(pair[1])
    check_key(pair[0])


def refused_or(what: Callable[[Any], object], value: Any) -> None:
    """Have it done, or refused as one refuses people."""
    try:
        what(value)
    except Fault as fault:
        letter = fault.letter
        assert letter.kind is not FaultKind.FAILED
        assert letter.code and letter.title and letter.detail
        assert len(letter.detail) + len(letter.hint) + len(letter.where) < 1500
        assert "\x1b" not in letter.detail and "\0" not in letter.detail


KINDS = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, b"x")
odd = st.one_of(
    text,
    st.sampled_from(
        ["app/main.py", "../x", "/etc/passwd", "a/../b", "a\\b", ".git/x", "codestore.yaml"]
    ),
)
member = st.tuples(odd, odd, st.integers(0, len(KINDS) - 1), st.binary(max_size=40))
cut = st.tuples(st.integers(0, 1 << 16), st.binary(max_size=8))
TARGETS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None], int]] = {
    "manifest": (st.one_of(bent(MANIFEST), st.binary(max_size=200)), manifest, 30),
    "values": (plain, values, 15),
    "archive": (
        st.tuples(bent(MANIFEST), st.lists(member, max_size=4), st.lists(cut, max_size=3)),
        archive,
        10,
    ),
    "lock": (
        st.one_of(bent(LOCK), bent(PROJECT), bent("a==1\nb>=2 ; python_version > '3'\n")),
        lock,
        15,
    ),
    "name": (st.one_of(text, st.from_regex(r"[a-z0-9-]{1,45}", fullmatch=True)), name, 10),
    "number": (st.tuples(st.one_of(text, NUMBERS), st.one_of(text, NUMBERS)), number, 10),
    "secret": (st.tuples(text, text), secret, 10),
}
"""By name: what is made up, what takes it, and its share of all inputs in percent."""


def fuzz(target: str, count: int) -> None:
    """Try so many inputs; raise for the first that is neither taken nor refused."""
    inputs, what, _ = TARGETS[target]

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(inputs)
    def try_(value: Any) -> None:
        refused_or(what, value)

    try_()
