"""Every example and every template is a folder that can be pushed from any machine."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted(REPOSITORY.glob("examples/*/"))
TEMPLATES = sorted(REPOSITORY.glob("src/codestore/cli/templates/*/"))
KEYS = {"service", "version", "run", "python", "database", "redis", "migrate", "health"}
PUBLIC = {"pypi.org", "files.pythonhosted.org"}
ABSOLUTE = re.compile(r"(?<![\w.:/}*])/(home|root|tmp|usr|opt|var|work|Users|private)/")

each_folder = pytest.mark.parametrize("folder", [*EXAMPLES, *TEMPLATES], ids=lambda f: f.name)
each_locked = pytest.mark.parametrize(
    "folder",
    [folder for folder in (*EXAMPLES, *TEMPLATES) if (folder / "pyproject.toml").exists()],
    ids=lambda folder: folder.name,
)


def texts(folder: Path) -> dict[Path, str]:
    """What belongs to the service: no caches, no environment."""
    return {
        path: path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"__pycache__", ".venv", "node_modules"} & set(path.parts)
    }


def manifest(folder: Path) -> dict[str, Any]:
    text = (folder / "codestore.yaml").read_text().replace("{{name}}", "some-service")
    found: dict[str, Any] = YAML(typ="safe").load(text)
    return found


def test_there_are_three_of_each() -> None:
    assert [folder.name for folder in EXAMPLES] == ["blog", "inbox", "orders"]
    assert [folder.name for folder in TEMPLATES] == ["asgi", "command", "graphql"]


@each_folder
def test_its_manifest_has_known_keys_and_one_way_to_run(folder: Path) -> None:
    found = manifest(folder)
    assert found.keys() <= KEYS
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,38}", found["service"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert len(found["run"]) == 1


@each_folder
def test_what_it_runs_is_there(folder: Path) -> None:
    [(kind, target)] = manifest(folder)["run"].items()
    expected = {
        "graphql": lambda: f"{target}/schema.graphql",
        "asgi": lambda: target.partition(":")[0].replace(".", "/") + ".py",
        "command": lambda: target[-1],
    }
    assert (folder / expected[kind]()).is_file()


@each_folder
def test_it_names_no_place_of_one_machine(folder: Path) -> None:
    for path, text in texts(folder).items():
        assert not ABSOLUTE.search(text), path


@each_folder
def test_its_readme_is_short(folder: Path) -> None:
    assert len((folder / "README.md").read_text().splitlines()) <= 15


@pytest.mark.parametrize("folder", TEMPLATES, ids=lambda folder: folder.name)
def test_a_template_has_no_placeholder_but_its_name(folder: Path) -> None:
    for path, text in texts(folder).items():
        assert set(re.findall(r"\{\{.*?\}\}", text)) <= {"{{name}}"}, path
    assert manifest(folder)["service"] == "some-service"


@each_locked
def test_its_lock_holds_every_dependency_from_the_public_index(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    text = (folder / "uv.lock").read_text()
    hosts = {urlsplit(url).hostname for url in re.findall(r'https?://[^"]+', text)}
    assert hosts <= PUBLIC
    packages = {package["name"]: package for package in tomllib.loads(text)["package"]}
    own = packages[project["name"]]
    wanted = {re.split(r"[\[<>=~ ]", line)[0] for line in project["dependencies"]}
    assert own["version"] == project["version"]
    assert {dependency["name"] for dependency in own["dependencies"]} == wanted
    assert wanted <= packages.keys()
