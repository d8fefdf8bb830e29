"""The list of a service's libraries: what is in it, and what becomes of a bad one."""

import json
import sys
from pathlib import Path

import pytest
from house import House, appears, client

from codestore_sdk.errors import StartError
from codestore_sdk.imports import MOST, hidden_by, import_all, read_imports

SERVE = ("asgi", "service:app")


def test_an_instance_lists_the_libraries_it_has_loaded(house: House, tmp_path: Path) -> None:
    service = tmp_path / "service"
    (service / "parts" / "inner").mkdir(parents=True)
    (service / "parts" / "inner" / "module.py").write_text("")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "some_library.py").write_text("import wave")
    (service / "service.py").write_text(
        "import os, sys, types\n"
        f"sys.path.append({str(tmp_path / 'lib')!r})\n"
        "import some_library, parts.inner.module\n"
        "sys.modules['no_module'] = object()\n"
        "sys.modules['made_up'] = types.ModuleType('made_up')\n"
        "assert 'CODESTORE_IMPORTS' not in os.environ\n"
        "async def app(scope, receive, send): raise RuntimeError\n"
    )
    place = tmp_path / "imports"
    house.ready(service, *SERVE, CODESTORE_IMPORTS=str(place))
    appears(place)
    names = json.loads(place.read_text())
    assert {"some_library", "wave", "uvicorn", "codestore_sdk.engine", "asyncio"} <= set(names)
    assert names.index("wave") < names.index("some_library")  # what it needed was done first
    foreign = {"__main__", "service", "parts", "parts.inner", "parts.inner.module"}
    assert not {*foreign, "no_module", "made_up", "os.path"} & set(names)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("imports")] == [
        "imports"
    ]


def test_a_list_that_is_as_long_is_left_alone(house: House, plain: Path, tmp_path: Path) -> None:
    place = tmp_path / "imports"
    for before, after in ((long := json.dumps(["os"] * 5000), long), ("[]", None), ("{", None)):
        place.write_text(before)
        instance = house.ready(plain, *SERVE, CODESTORE_IMPORTS=str(place))
        with client(instance.private) as private:
            assert private.get("/").status_code == 200
        instance.drain()
        assert instance.left() == 0
        assert (place.read_text() == after) is (after is not None)


def test_what_the_first_requests_load_is_listed_when_the_instance_leaves(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "late.py").write_text(
        "async def app(scope, receive, send):\n"
        "    import colorsys\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b''})\n"
    )
    place = tmp_path / "imports"
    instance = house.ready(tmp_path, "asgi", "late:app", CODESTORE_IMPORTS=str(place))
    with client(instance.private) as private:
        assert private.get("/").status_code == 200
    instance.drain()
    assert instance.left() == 0
    assert "colorsys" in json.loads(place.read_text())


def test_a_list_that_cannot_be_written_is_no_error(house: House, plain: Path) -> None:
    instance = house.ready(plain, *SERVE, CODESTORE_IMPORTS="/proc/nowhere/imports")
    instance.drain()
    assert instance.left() == 0
    assert instance.output() == "started\nstopped\n"


def test_only_what_can_be_a_name_is_read(tmp_path: Path) -> None:
    place = tmp_path / "imports"
    place.write_text(json.dumps(["a.b", "", "a..b", "a b", 3, None, ["c"], "ä", "a;b", "../a"]))
    assert read_imports(place) == ["a.b", "ä"]
    place.write_text(json.dumps([f"name{number}" for number in range(MOST + 1)]))
    assert len(read_imports(place)) == MOST


@pytest.mark.parametrize("text", [None, "", "[", '{"a": 1}', "\xff"])
def test_what_is_no_list_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "imports").write_text(text, encoding="latin-1")
    with pytest.raises(StartError, match="the list of imports"):
        read_imports(tmp_path / "imports")


def test_failing_imports_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "leaves_at_once.py").write_text("raise SystemExit(1)")
    (tmp_path / "is_broken_here.py").write_text("1 / 0")
    (tmp_path / "is_fine_here.py").write_text("")
    bad = ["leaves_at_once", "is_broken_here", "is_not_there"]
    assert import_all([*bad, "is_fine_here"]) == bad
    assert sys.modules.pop("is_fine_here")


def test_a_service_that_would_be_hidden_by_a_library_is_found(tmp_path: Path) -> None:
    for name in ("service.py", "json.txt", "json.old.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "httpx").mkdir()  # a namespace package gives way to a real one
    assert hidden_by(str(tmp_path)) is None
    (tmp_path / "httpx" / "__init__.py").write_text("")
    assert hidden_by(str(tmp_path)) == "httpx"
