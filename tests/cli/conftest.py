"""A stage to play on, and the real command line before it."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from codestore.cli import changes
from codestore.cli.main import main
from codestore.cli.profile import Profile, write_profile
from tests.cli.stage import TOKEN, Stage

GOLDEN = Path(__file__).with_name("golden")


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str


Cs = Callable[..., Run]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, in UTC, with no setting of the machine's."""
    for name in ("CODESTORE_URL", "CODESTORE_TOKEN", "CODESTORE_DATABASE_URL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CODESTORE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    patience = changes.Patience(out_of_sight=0.3, first_pause=0.01, longest_pause=0.05)
    monkeypatch.setattr(changes, "PATIENCE", patience)
    return here


@pytest.fixture
def cs(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cs:
    """Run a command against the stage, whose profile is in the data folder."""
    write_profile(tmp_path / "data", Profile(stage.url, TOKEN))

    def run(*arguments: str) -> Run:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return Run(int(ended.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def new_york(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read in another zone."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with a file; with GOLDEN=write in the environment, write it."""

    def check(name: str, actual: str) -> None:
        file = GOLDEN / name
        if os.environ.get("GOLDEN") == "write":
            file.write_text(actual)
        assert actual == file.read_text()

    return check
