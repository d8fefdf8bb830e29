"""Command lines: their two forms, their help, and how fast they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from codestore.cli.main import COMMANDS, NAMES
from codestore.cli.words import family, joined
from tests.cli import samples
from tests.cli.conftest import Cs
from tests.cli.stage import Stage, listing, told

CONTRACT = {
    "": "up down status login logout whoami password push promote pull logs events plan hold "
    "unhold audit",
    "service:": "create list info push promote pull logs remove",
    "version:": "list",
    "project:": "create list info delete",
    "project:service:": "add list info promote roll remove",
    "env:": "list show verify",
    "rollout:": "status pause resume abort",
    "token:": "add list revoke",
    "user:": "add list role password remove",
    "organization:": "add list",
    "audit:": "verify",
}


def test_every_command_of_the_contract_is_there() -> None:
    asked = {f"{of}{name}" for of, names in CONTRACT.items() for name in names.split()}
    assert asked <= NAMES


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("service create blog", "service:create blog"),
        ("service:create blog", "service:create blog"),
        ("project service add shop blog", "project:service:add shop blog"),
        ("project:service add shop blog", "project:service:add shop blog"),
        ("project service:add shop blog", "project:service:add shop blog"),
        ("project list", "project:list"),
        ("push -r notes", "push -r notes"),
        ("--help", "--help"),
        ("nothing known", "nothing known"),
        ("", ""),
    ],
)
def test_words_and_colons_are_one_command(typed: str, meant: str) -> None:
    assert joined(typed.split(), NAMES) == meant.split()


def test_a_family_is_not_a_command() -> None:
    assert family(["project", "service", "--help"], NAMES) == "project:service"
    assert family(["service"], NAMES) == "service"
    assert family(["push"], NAMES) is None


def test_a_family_lists_its_commands(cs: Cs) -> None:
    asked, unasked = cs("project", "service", "--help"), cs("project:service")
    assert (asked.code, unasked.code) == (0, 2)
    assert "cs project:service:add" in asked.out
    assert "cs project:create" not in asked.out


def test_both_forms_run(cs: Cs, stage: Stage) -> None:
    stage.on("GET", "/api/services", listing(samples.service()))
    assert cs("service", "list").out == cs("service:list").out != ""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_a_command_has_an_example_of_it(cs: Cs, command: object) -> None:
    name = command.name  # type: ignore[attr-defined]
    run = cs(name, "--help")
    assert run.code == 0
    assert f"Example:\n    cs {name.removeprefix('service:')}" in run.out or (
        f"Example:\n    cs {name}" in run.out
    )
    assert "--output <table|json|yaml>" in run.out
    assert "--yes" in run.out


def test_the_summaries_fit_on_a_line_of_a_terminal(cs: Cs) -> None:
    listed = cs("--help").out.partition("Commands:")[2]
    assert listed and "..." not in listed


def test_an_unknown_command_is_wrong_usage(cs: Cs) -> None:
    assert cs("servise:list").code == 2


def test_the_version_is_told(cs: Cs) -> None:
    assert cs("--version").code == 0


def test_a_command_loads_nothing_that_it_can_do_without(stage: Stage, tmp_path: Path) -> None:
    """Each of these takes as long to import as everything else together."""
    stage.on("GET", "/api/whoami", told(samples.PROFILE))
    heavy = ("rich", "ruamel", "pathspec", "pydantic", "httpx", "asyncio", "fastapi")
    program = (
        "import sys\nfrom codestore.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "whoami", "-o", "json"]
    access = ["--url", stage.url, "--token", "token-of-the-owner"]
    run = subprocess.run([*command, *access], capture_output=True, text=True, check=True)
    assert run.stderr == "[]\n"
