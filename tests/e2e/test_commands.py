"""A contract that runs through every command: the help, the JSON, the exit codes."""

import concurrent.futures
import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.services import Small
from tests.support.platform import CS, Platform
from tests.support.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
# Each command with words that it takes; {dir} is the folder of the service "contract".
# A command that is not here fails the tests: add it, with words that change nothing.
CHANGES = {
    "service:create": "contract --dir {dir}",
    "push": "--dir {dir}",
    "promote": "contract",
    "service:roll": "contract --env private --version 9.9.9",
    "service:remove": "no-such-service --yes",
    "project:create": "contract-project",
    "project:delete": "no-such-project --yes",
    "project:service:add": "contract-project no-such-service",
    "project:service:promote": "contract-project contract --to staging",
    "project:service:roll": "contract-project contract --env staging --version latest",
    "project:service:remove": "contract-project no-such-service --yes",
    "rollout:pause": "contract-project contract --env staging",
    "rollout:resume": "contract-project contract --env staging",
    "rollout:abort": "contract-project contract --env staging",
    "hold": "contract-project no-such-service --env staging",
    "unhold": "contract-project no-such-service --env staging",
    "password": "",
    "token:add": "x" * 101,
    "token:revoke": "no-such-token",
    "user:add": "Not-A-Name",
    "user:role": "nobody viewer",
    "user:password": "nobody --yes",
    "user:remove": "nobody --yes",
    "organization:add": "local --owner ada",
    "project:client:add": "no-such-project --email ada@example.org",
    "project:client:remove": "contract-project --email nobody@example.org --yes",
    "key:rotate": "-p no-such-project --yes",
    "db:rotate": "contract-project no-such-service --env staging --yes",
    "secret:add": "-s no-such-service -e private -k TOKEN",
    "secret:update": "-s contract -e private -k NO_SUCH_TOKEN",
    "secret:remove": "-s contract -e private -k NO_SUCH_TOKEN --yes",
}
QUESTIONS = {
    "status": "",
    "whoami": "",
    "token:list": "",
    "user:list": "",
    "organization:list": "",
    "audit": "",
    "audit:verify": "",
    "service:list": "",
    "service:info": "contract",
    "version:list": "contract",
    "project:list": "",
    "project:info": "contract-project",
    "project:service:list": "contract-project",
    "project:service:info": "contract-project contract",
    "rollout:status": "contract-project contract --env staging",
    "env:list": "",
    "env:show": "contract/private",
    "env:verify": "-s contract --last",
    "plan": "-s contract",
    "logs": "-s contract",
    "events": "-s contract",
    "sla": "",
    "project:client:list": "contract-project",
    "secret:list": "-s contract -e private",
    "secret:explain": "NO_SUCH_TOKEN -s contract -e private",
    "secret:rekey": "",  # no question, but it may always be asked for, and nobody notices
    "pull": "contract --dir {dir}-pulled --yes",
}
LOCAL = {"up", "down", "login", "logout"}  # about this machine: they need no platform


@pytest.fixture(scope="module")
def commands(platform: Platform) -> list[str]:
    """Every command, as the help lists them."""
    text = platform.run("--help").stdout
    found = re.findall(r"^  ([a-z][a-z:]+)  ", text.partition("Commands:")[2], re.MULTILINE)
    assert len(found) >= 30
    return found


@pytest.fixture(scope="module")
def small(platform: Platform) -> Iterator[Small]:
    made = Small(platform, "contract")
    made.create()
    platform.cs("project:create", "contract-project")
    platform.cs("project:service:add", "contract-project", "contract")
    yield made
    platform.cs("project:service:remove", "contract-project", "contract", "--yes")
    platform.cs("project:delete", "contract-project", "--yes")
    platform.cs("service:remove", "contract", "--yes")


def run_all(
    platform: Platform, lines: dict[str, list[str]]
) -> dict[str, "subprocess.CompletedProcess[str]"]:
    """Run these command lines side by side; return what became of each."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda words: platform.run(*words), lines.values())
        return dict(zip(lines, done, strict=True))


def words(small: Small, name: str) -> list[str]:
    arguments = (CHANGES | QUESTIONS)[name].format(dir=small.folder)
    return [name, *arguments.split()]


def problem_of(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.strip().splitlines()[-1])
    return found


def test_every_command_is_in_this_contract(commands: list[str]) -> None:
    assert set(commands) == set(CHANGES) | set(QUESTIONS) | LOCAL


def test_every_command_has_help_with_an_example(platform: Platform, commands: list[str]) -> None:
    for name, done in run_all(platform, {name: [name, "--help"] for name in commands}).items():
        assert (done.returncode, done.stderr) == (0, ""), name
        assert re.search(rf"Example:\n\s+cs {name}\b", done.stdout), name
        for option in ("--output", "--yes", "--help"):
            assert option in done.stdout, name


def test_every_command_refuses_an_option_that_it_has_not(
    platform: Platform, commands: list[str]
) -> None:
    lines = {name: [name, "--no-such-option"] for name in commands}
    for name, done in run_all(platform, lines).items():
        assert (done.returncode, done.stdout) == (2, ""), name
        assert "no-such-option" in done.stderr, name
        assert "Traceback" not in done.stderr, name


def test_two_words_are_one_command_and_cs_is_codestore(platform: Platform, small: Small) -> None:
    one = platform.run("service:info", "contract", "-o", "json")
    two = platform.run("service", "info", "contract", "-o", "json")
    long = subprocess.run(
        [CS.with_name("codestore"), "service:info", "contract", "-o", "json"],
        env=platform.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert one.stdout == two.stdout == long.stdout


def test_every_question_answers_json_alone(platform: Platform, small: Small) -> None:
    lines = {name: [*words(small, name), "-o", "json"] for name in QUESTIONS}
    for name, done in run_all(platform, lines).items():
        assert done.returncode in ({0, 3} if name == "plan" else {0}), (name, done.stderr)
        json.loads(done.stdout)


def test_every_refused_change_is_one_problem_on_stderr_and_exits_with_1(
    platform: Platform, small: Small
) -> None:
    refused = {name: [*words(small, name), "-o", "json"] for name in CHANGES if name != "push"}
    for name, done in run_all(platform, refused).items():
        assert (done.returncode, done.stdout) == (1, ""), (name, done.stderr)
        told = problem_of(done.stderr)
        assert set(told) == {"type", "title", "detail", "status", "code", "hint", "where"}, name
        for member in ("title", "detail", "code"):
            assert told[member], (name, member)
        assert "Undo" not in done.stderr, name


def test_without_a_platform_every_command_exits_with_4(
    platform: Platform, small: Small, commands: list[str]
) -> None:
    nowhere = ["--url", f"http://127.0.0.1:{free_port()}", "--token", "t", "-o", "json"]
    lines = {name: [*words(small, name), *nowhere] for name in commands if name not in LOCAL}
    lines["login"] = ["login", "--data", str(platform.home / "nobody"), *nowhere]
    for name, done in run_all(platform, lines).items():
        assert (done.returncode, done.stdout) == (4, ""), (name, done.stderr)
        assert problem_of(done.stderr)["code"] == "unreachable", name
    assert not (platform.home / "nobody").exists()


def test_with_a_bad_token_every_command_exits_with_5(
    platform: Platform, small: Small, commands: list[str]
) -> None:
    bad = ["--url", f"http://127.0.0.1:{platform.port}", "--token", "wrong", "-o", "json"]
    lines = {name: [*words(small, name), *bad] for name in commands if name not in LOCAL}
    lines["login"] = ["login", "--data", str(platform.home / "nobody"), *bad]
    for name, done in run_all(platform, lines).items():
        assert (done.returncode, done.stdout) == (5, ""), (name, done.stderr)
        told = problem_of(done.stderr)
        assert told["code"] == "unauthenticated", name
        assert "cs login" in str(told["hint"]), name
    assert not (platform.home / "nobody").exists()


def test_commands_about_this_machine(platform: Platform) -> None:
    empty = ["--data", str(platform.home / "empty")]
    token = json.loads((platform.data / "profile.json").read_text())["token"]
    url = f"http://127.0.0.1:{platform.port}"
    login = platform.run("login", "--url", url, "--token", token, *empty, "-o", "json")
    assert json.loads(login.stdout)["name"] == "owner"
    assert token not in login.stdout + login.stderr
    for forgotten in (True, False):
        logout = platform.run("logout", *empty, "-o", "json")
        assert json.loads(logout.stdout) == {"forgotten": forgotten, "ended": False}
    up = platform.run("up", "--detach", "-o", "json")
    assert json.loads(up.stdout)["state"] == "ready"
    assert "already" in up.stderr
