"""Lock files: what uv gets to see of them, and what it never does."""

import pytest

from codestore.artifacts.locks import recipe
from codestore.domain.faults import Fault

PROJECT = b'[project]\nname = "blog"\nrequires-python = ">=3.11"\n[tool.uv]\ncache-dir = "/etc"\n'
HASH = "sha256:" + "0" * 64


def requirements(text: str) -> str:
    return recipe("requirements.txt", {"requirements.txt": text.encode()}.get).files.get(
        "requirements.txt", ""
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("# nothing\n\n", ""),
        ("idna==3.10 # why\r\n", "idna==3.10\n"),
        ("\ufeffidna", "idna\n"),
        (f"idna==3.10 \\\n    --hash={HASH} \\\n    --hash={HASH}\n", None),
        ("uvicorn[standard] >=0.3,<1 ; python_version>'3'", None),
        ("x @ https://example.org/x-1-py3-none-any.whl#sha256=00", None),
        ("--index-url https://example.org/simple\n--pre\nidna", None),
    ],
)
def test_requirements_in_a_plain_form(text: str, plain: str | None) -> None:
    read = requirements(text)
    assert plain is None or read == plain
    assert requirements(read) == read


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "-r/etc/passwd",
        "--requirement=/etc/passwd",
        "-c constraints.txt",
        "-e .",
        ".",
        "./wheels/x.whl",
        "/etc/passwd",
        "https://example.org/x.whl",
        "x @ file:///etc/passwd",
        "x @ /etc/passwd",
        "x @ https://example.org/${TOKEN}",
        "--index-url https://${TOKEN}@example.org/",
        "--find-links /tmp",
        "--index-url file:///tmp",
        "${TOKEN}",
        "x==1 --config-settings=a=b",
        "--no-binary x",
        "--only-binary :none:",
        "x==1 --hash=md5:00",
        "a b",
        "idna \\",
    ],
)
def test_requirements_that_reach_out_are_refused(line: str) -> None:
    with pytest.raises(Fault) as caught:
        requirements(f"idna\n{line}")
    assert caught.value.letter.code == "bad_lock"
    assert caught.value.letter.where.startswith("requirements.txt")


def locked(source: str, more: str = "") -> bytes:
    return f'[[package]]\nname = "x"\nsource = {source}\n{more}'.encode()


def test_uv_gets_the_lock_and_a_project_with_no_settings() -> None:
    lock = locked('{ registry = "https://pypi.org/simple" }')
    made = recipe("api/uv.lock", {"api/uv.lock": lock, "api/pyproject.toml": PROJECT}.get)
    assert made.files["uv.lock"].encode() == lock
    assert "cache-dir" not in made.files["pyproject.toml"]
    assert 'name = "blog"' in made.files["pyproject.toml"]


@pytest.mark.parametrize(
    "lock",
    [
        locked('{ registry = "../wheels" }'),
        locked('{ path = "/etc/x.whl" }'),
        locked('{ editable = "../other" }'),
        locked('{ directory = "/root" }'),
        locked('{ git = "file:///root/x" }'),
        locked('{ git = "https://example.org/x.git" }'),
        locked('{ url = "file:///root/x.whl" }'),
        locked('{ registry = "https://a", path = "b" }'),
        locked("1"),
        locked('{ registry = "https://a/" }', 'wheels = [{ path = "/etc/x.whl" }]'),
        locked('{ registry = "https://a/" }', 'sdist = { url = "file:///etc/x" }'),
        b"not toml",
        b"\xff",
        b"a=" + b"[" * 5000,
        b"#" * (9 << 20),
    ],
)
def test_a_uv_lock_that_reaches_out_is_refused(lock: bytes) -> None:
    with pytest.raises(Fault) as caught:
        recipe("uv.lock", {"uv.lock": lock, "pyproject.toml": PROJECT}.get)
    assert caught.value.letter.code == "bad_lock"


@pytest.mark.parametrize(
    "project", [None, b"", b"project = 1", b"[project]", b"[project]\nname='a b'"]
)
def test_a_uv_lock_needs_its_project(project: bytes | None) -> None:
    files = {"uv.lock": b"", "pyproject.toml": project}
    with pytest.raises(Fault, match=r"pyproject\.toml"):
        recipe("uv.lock", files.get)


def test_a_project_without_a_lock_installs_its_dependencies() -> None:
    project = b'[project]\ndependencies = ["idna>=3"]\n[[tool.uv.index]]\nurl = "file:///etc"\n'
    made = recipe("pyproject.toml", {"pyproject.toml": project}.get)
    assert made.files == {"requirements.txt": "idna>=3\n"}
    bad = b'[project]\ndependencies = ["x @ file:///etc"]\n'
    with pytest.raises(Fault):
        recipe("pyproject.toml", {"pyproject.toml": bad}.get)


def test_nothing_to_install() -> None:
    assert recipe(None, {}.get).command == ()
    assert recipe("pyproject.toml", {"pyproject.toml": b"[tool.x]"}.get).command == ()
