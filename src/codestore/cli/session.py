"""What every command has: its options, the way to the platform, and a voice to ask with."""

import socket
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import typer

from codestore.cli.client import Client
from codestore.cli.folder import service_of
from codestore.cli.output import Form, Output
from codestore.cli.problems import ExitCode, unreachable, wrong_usage
from codestore.cli.profile import data_folder, read_profile


@dataclass(frozen=True, slots=True)
class Options:
    """What can be said to every command."""

    form: Form = Form.TABLE
    yes: bool = False
    url: str | None = None
    token: str | None = None
    data: Path | None = None


class Session:
    """One run of a command."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.output = Output(options.form)

    @cached_property
    def data(self) -> Path:
        """The data folder of the platform that is meant."""
        return data_folder(self.options.data)

    @cached_property
    def client(self) -> Client:
        """The way to the platform: what the options say, else the profile."""
        url, token = self.options.url, self.options.token
        profile = read_profile(self.data)
        if url is None and profile is None:
            raise unreachable(f"There is no profile in {self.data}, and no --url.")
        if profile is not None and url is None:
            url = profile.url
        if profile is not None and token is None and url == profile.url:
            token = profile.token  # it goes nowhere but to the platform it belongs to
        return connect(url or "", token or "")

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.options.yes

    def need(self, given: str | None, name: str, question: str) -> str:
        """Return what was given, or asked for; in a pipe it must be named."""
        if given is not None:
            return given
        if not self.can_ask:
            raise wrong_usage(f"{name} is missing.", f"Name it: {name}")
        return str(typer.prompt(question, err=True))

    def secret(self, question: str) -> str:
        """Ask for a secret without showing it; in a pipe it is the next line."""
        if self.can_ask:
            return str(typer.prompt(question, "", hide_input=True, show_default=False, err=True))
        return sys.stdin.readline().rstrip("\r\n")

    @property
    def machine(self) -> str:
        """What a token of this machine is called."""
        return f"cs on {socket.gethostname()}"[:100]

    def need_service(self, given: str | None, folder: Path | None = None) -> str:
        """Return the service that was given, or that the folder is of, or that was asked for."""
        found = given or service_of(folder or Path.cwd())
        return self.need(found, "SERVICE", "Which service?")

    def confirm(self, loss: str) -> None:
        """Ask before something is lost for good."""
        if self.options.yes:
            return
        if not self.can_ask:
            raise wrong_usage(f"{loss} Nobody is here to ask.", "Add --yes")
        if not typer.confirm(f"{loss} Go on?", err=True):
            self.output.note("Nothing was changed.")
            raise typer.Exit(ExitCode.FAILED)


def connect(url: str, token: str) -> Client:
    """Return a client; a token with letters that no token has is refused here."""
    token = token.strip()
    if not all("!" <= letter <= "~" for letter in token):
        raise wrong_usage("The token has letters that no token has.", "Check --token")
    return Client(url.rstrip("/"), token)
