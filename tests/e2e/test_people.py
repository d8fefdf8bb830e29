"""People on a real platform: logging in from elsewhere, roles, organizations, the audit log."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.platform import CS, Platform
from tests.support.provider import CLIENT, CLIENT_SECRET, Provider, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("people"), pytest.mark.timeout(300)]


@dataclass
class KnownPlatform(Platform):
    """A platform that knows an OpenID provider."""

    issuer: str = ""

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "CODESTORE_OIDC_ISSUER": self.issuer,
            "CODESTORE_OIDC_CLIENT_ID": CLIENT,
            "CODESTORE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        }


@dataclass
class Person:
    """Somebody elsewhere: with a folder of their own, and a profile once they are logged in."""

    platform: Platform
    name: str
    said: str = field(default="", init=False)

    @property
    def place(self) -> list[str]:
        return ["--data", str(self.platform.home / self.name)]

    def run(self, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [str(CS), *arguments, *self.place, "-o", "json"],
            env=self.platform.environment(),
            cwd=self.platform.home,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said += done.stdout + done.stderr
        return done

    def cs(self, *arguments: str, typed: str = "") -> Any:
        done = self.run(*arguments, typed=typed)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> tuple[int, Any]:
        done = self.run(*arguments)
        assert done.returncode != 0, done.stdout
        return done.returncode, json.loads(done.stderr.strip().splitlines()[-1])

    def log_in(self, organization: str, password: str) -> Any:
        url = f"http://127.0.0.1:{self.platform.port}"
        account = f"{organization}/{self.name}"
        return self.cs("login", account, "--url", url, typed=f"{password}\n")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def platform(provider: Provider) -> Iterator[Platform]:
    made = KnownPlatform(issuer=provider.url, hurried=True)
    try:
        made.up()
        made.create("blog")
        yield made
    finally:
        made.close()


def test_who_starts_a_platform_is_its_owner_at_once(platform: Platform) -> None:
    told = platform.cs("whoami")
    assert (told["name"], told["organization"], told["role"]) == ("owner", "local", "owner")
    token = json.loads((platform.data / "profile.json").read_text())["token"]
    assert token.startswith("cs_pat_")
    assert [held["expires_at"] for held in platform.cs("token:list")] == [None]


def test_a_viewer_logs_in_elsewhere_looks_and_changes_nothing(platform: Platform) -> None:
    drawn = platform.cs("user:add", "vic", "--role", "viewer")["password"]
    vic = Person(platform, "vic")
    assert vic.log_in("local", drawn)["role"] == "viewer"
    blog = vic.cs("service:info", "blog")["environments"]
    assert httpx.get(blog["demo"]["url"] + "/graphql", verify=False).status_code < 500
    assert (blog["private"]["url"], blog["private"]["key"]) == (None, None)
    code, told = vic.refused("service:remove", "blog", "--yes")
    assert (code, told["code"]) == (5, "not_allowed")
    code, told = vic.refused("logs", "-s", "blog", "-e", "private")
    assert (code, told["code"]) == (5, "not_owner")
    token = json.loads((platform.home / "vic" / "profile.json").read_text())["token"]
    assert drawn not in vic.said
    assert token not in vic.said
    assert vic.cs("logout") == {"forgotten": True, "ended": True}
    url = f"http://127.0.0.1:{platform.port}"
    code, told = vic.refused("whoami", "--url", url, "--token", token)
    assert (code, told["code"]) == (5, "unauthenticated")


def test_who_is_removed_is_out_at_once(platform: Platform) -> None:
    drawn = platform.cs("user:add", "gone")["password"]
    person = Person(platform, "gone")
    person.log_in("local", drawn)
    platform.cs("user:remove", "gone", "--yes")
    assert person.refused("whoami")[0] == 5


def test_another_organization_learns_nothing(platform: Platform) -> None:
    made = platform.cs("organization:add", "wheels", "--owner", "eve")
    eve = Person(platform, "eve")
    eve.log_in("wheels", made["owner"]["password"])
    blog = platform.cs("service:info", "blog")["service"]
    assert eve.cs("service:list") == []
    assert eve.cs("status")["deployments"] == {}
    for command in (["service:info"], ["version:list"], ["service:remove", "--yes"]):
        there, gone = f"svc-{'0' * 12}", blog
        _, one = eve.refused(command[0], there, *command[1:])
        _, other = eve.refused(command[0], gone, *command[1:])
        assert one["status"] == 404
        assert json.dumps(one).replace(there, "X") == json.dumps(other).replace(gone, "X")
    code, told = eve.refused("organization:list")
    assert (code, told["code"]) == (5, "not_allowed")


def test_the_provider_says_who_somebody_is(platform: Platform, provider: Provider) -> None:
    platform.cs("user:add", "ada", "--email", "ada@example.org")
    provider.let_in("ada@example.org")
    ada = Person(platform, "ada")
    told = ada.cs("login", "--url", f"http://127.0.0.1:{platform.port}")
    assert (told["name"], told["role"]) == ("ada", "maker")
    assert "WDJB-MJHT" in ada.said
    assert ada.cs("whoami")["name"] == "ada"
    logs = [file.read_text() for file in platform.data.glob("logs/*.log")]
    assert not [text for text in logs if CLIENT_SECRET in text]


def test_what_people_changed_is_in_a_log_that_is_whole(platform: Platform) -> None:
    platform.cs("project:create", "shop")
    newest = platform.cs("audit")[-1]
    assert (newest["by"], newest["act"], newest["subject"]) == ("owner", "project:create", "shop")
    seal = platform.cs("audit:verify")["seal"]
    platform.cs("project:delete", "shop", "--yes")
    assert platform.cs("audit:verify", "--seal", seal)["noted"]
    unknown = platform.run("audit:verify", "--seal", "0" * 64, "-o", "json")
    assert (unknown.returncode, json.loads(unknown.stdout)["whole"]) == (1, False)
