"""Ignore files mean here what they mean to git, and cannot be made slow."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from codestore.artifacts import ignore
from codestore.artifacts.ignore import kept, read_rule
from codestore.domain.faults import Fault

PATHS = [
    "a",
    "b.log",
    "a.txt",
    "#a",
    "!a",
    "a b",
    "a ",
    "a*b",
    "[x]",
    "-",
    "]",
    "d/a",
    "d/e/a",
    "d/e/f/a",
    "d/e/f/b.log",
    "x/d/e/a",
    "logs/b.log",
    "x/logs/debug/b.log",
    "aXbYb",
    "build/out/a",
    "src/build",
]
RULES = [
    "a",
    "/a",
    "*.log",
    "d/",
    "d/*",
    "d/**",
    "**/a",
    "**/e/a",
    "d/**/a",
    "**/logs/**",
    "**/logs/**/*.log",
    "e/a",
    "/d/e/f",
    "*\n!a",
    "d/*\n!d/e",
    "d/\n!d/a",
    "\\#a",
    "#a",
    "\\!a",
    "a\\ ",
    "a   ",
    "a\\*b",
    "a?b",
    "[abc]",
    "[!abc]",
    "[^a]*",
    "[[:alpha:]]",
    "[]-]",
    "\\[x\\]",
    "[z-a]",
    "[",
    "a\\",
    "a*b*b",
    "***",
    "**",
    "d/***/a",
    "*/a",
    "**/**/a",
    "build",
    "build/\n",
    "*/",
    "!*",
    "?",
    "a\r\nb.log\r",
    "d/**/f/**/a",
    "/",
    "//",
    "a\n/",
    "!/",
]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
def test_git_leaves_out_the_same(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "core.excludesFile=", *words]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        return ended.stdout.decode()

    git("init", "-q")
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    differing = {}
    for rules in RULES:
        (tmp_path / ".gitignore").write_bytes(rules.encode())
        listed = git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
        ours = kept(PATHS, {".gitignore": rules})
        if ours != set(listed) - {"", ".gitignore"}:
            differing[rules] = ours ^ (set(listed) - {"", ".gitignore"})
    assert not differing


@given(st.text("ab*?/!", max_size=8), st.lists(st.text("ab/", min_size=1, max_size=9), max_size=5))
def test_pathspec_leaves_out_the_same(rule: str, candidates: list[str]) -> None:
    paths = {"/".join(filter(None, path.split("/"))) for path in candidates} - {""}
    if "//" in rule or "***" in rule or not rule.strip("!/"):
        return  # where the library and git disagree; git is asked above
    expected = {path for path in paths if not GitIgnoreSpec.from_lines([rule]).match_file(path)}
    assert kept(paths, {".gitignore": rule}) == expected


def test_a_deeper_file_has_the_last_word() -> None:
    rules = {".gitignore": "*.log\n", "keep/.gitignore": "!*.log\n", "keep/no/.gitignore": "a.log"}
    paths = ["a.log", "keep/a.log", "keep/no/a.log", "keep/no/b.log"]
    assert kept(paths, rules) == {"keep/a.log", "keep/no/b.log"}


def test_what_is_never_source_cannot_be_brought_back() -> None:
    rules = {".gitignore": "!.git\n!.venv/\n!__pycache__\n"}
    paths = [".git", "a/.git/x", ".venv/x", "a/__pycache__/x", ".github/x", "venv/x"]
    assert kept(paths, rules) == {".github/x", "venv/x"}


@pytest.mark.parametrize(
    "rule",
    ["*a" * 100 + "*b", "**/a/" * 100 + "b", "*[a]" * 100 + "c", "?*" * 100 + "b", "a*" * 400],
)
def test_no_rule_makes_matching_slow(rule: str) -> None:
    compiled = read_rule(rule)
    assert compiled is not None
    began = time.perf_counter()
    for path in ("a" * 255, "a/" * 400 + "x", "/".join(["a" * 200] * 4)):
        compiled.pattern.match(path)
    assert time.perf_counter() - began < 0.2


def test_rules_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Fault, match="characters"):
        kept(["a"], {".gitignore": "a\n" * 40_000})
    monkeypatch.setattr(ignore, "_MAX_SECONDS", 0.0)
    with pytest.raises(Fault, match="too long"):
        kept(["a"], {".gitignore": "b"})
