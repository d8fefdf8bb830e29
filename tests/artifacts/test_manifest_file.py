"""YAML as data only: what is refused, and on which line."""

import pytest

from codestore.artifacts.manifest_file import read_document
from codestore.domain.faults import Fault

REFUSED = {
    "syntax": (b"service: blog\nrun: [\n", 3),
    "indentation": (b"a: 1\n  b: 2\n", 2),
    "tab": (b"a:\n\tb: 1\n", 2),
    "tag": (b"a: 1\nb: !!python/object/apply:os.system [id]\n", 2),
    "plain tag": (b"a: !!str 1\n", 1),
    "anchor": (b"a: &x 1\n", 1),
    "alias": (b"a: 1\nb: *x\n", 2),
    "merge of an alias": (b"a: &x {}\n", 1),
    "directive": (b"%YAML 1.1\n---\na: yes\n", 2),
    "second document": (b"a: 1\n---\nb: 1\n", 2),
    "duplicate": (b"a: 1\nb: 2\na: 3\n", 3),
    "key that is a list": (b"[a]: 1\n", 1),
    "deep": (b"a: " + b"[" * 1000, 1),
    "surrogate": (b'a: "\\ud800"\n', 1),
    "not UTF-8": (b"a: 1\nb: \xff\n", 2),
    "control character": (b"a: \x00\n", None),
    "long": (b"a: 1\n" * 20_000, None),
}


@pytest.mark.parametrize(("raw", "line"), REFUSED.values(), ids=list(REFUSED))
def test_refused_with_file_and_line(raw: bytes, line: int | None) -> None:
    with pytest.raises(Fault) as caught:
        read_document(raw)
    letter = caught.value.letter
    assert letter.code == "bad_manifest"
    assert letter.where == (f"codestore.yaml:{line}" if line else "codestore.yaml")
    assert letter.hint


def test_words_mean_what_yaml_1_2_says() -> None:
    raw = b"a: [1, 0o17, 0x1f, -3, true, yes, 1.5, 1e3, ~, '1', 2001-01-01, 0.1.0, .inf, -0x1]\n"
    value = read_document(raw).child("a").value
    assert value == [
        *[1, 15, 31, -3, True, "yes", 1.5, 1000.0, None],
        *["1", "2001-01-01", "0.1.0", ".inf", "-0x1"],
    ]


def test_every_key_knows_its_line() -> None:
    document = read_document(
        b"\xef\xbb\xbf# hello\nservice: blog\nrun:\n  asgi:\n    - a\n    - b\n"
    )
    assert document.lines == {
        (): 2,
        ("service",): 2,
        ("run",): 3,
        ("run", "asgi"): 4,
        ("run", "asgi", "0"): 5,
        ("run", "asgi", "1"): 6,
    }


def test_an_empty_file_is_nothing() -> None:
    assert read_document(b"").missing
    assert read_document(b"# only a comment\n").missing
