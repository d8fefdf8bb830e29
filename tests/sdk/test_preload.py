"""A parent loads libraries, refuses those that cannot be forked, and leaves when it may."""

import json
from pathlib import Path

import pytest
from house import House, appears
from nursery import Nursery, Parent


def test_it_is_fed_what_an_instance_wrote(
    house: House, nursery: Nursery, hello: Path, tmp_path: Path
) -> None:
    place = tmp_path / "imports"
    house.ready(hello, "graphql", "src", CODESTORE_IMPORTS=str(place))
    appears(place)
    again = tmp_path / "again"
    instance = nursery.load(place).fork(
        hello, "graphql", "src", shared=nursery.shared, CODESTORE_IMPORTS=str(again)
    )
    instance.expect("READY=1\nSTATUS=ready")
    appears(again)
    had, has = (json.loads(each.read_text()) for each in (place, again))
    assert "graphql" in had
    # Nothing is left to be imported but what is the parent's own.
    assert all(
        name.startswith(("codestore_sdk", "ctypes", "_ctypes")) for name in set(has) - set(had)
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "from threading import Event, Thread\nThread(target=Event().wait, daemon=True).start()",
            "a library starts a thread when it is imported",
        ),
        (
            "import socket\nkept = socket.socket(socket.AF_UNIX)",
            "a library opens a socket when it is imported",
        ),
        (
            "kept = open(__file__)",
            "a library keeps a file open when it is imported",
        ),
    ],
)
def test_libraries_that_cannot_be_forked_are_refused(
    nursery: Nursery, tmp_path: Path, source: str, reason: str
) -> None:
    (tmp_path / "unfit.py").write_text(source)
    parent = nursery.start(["wave", "unfit"], PYTHONPATH=str(tmp_path))
    parent.instance.expect(f"STATUS=cannot be forked: {reason}")
    assert parent.instance.left() == 3
    assert f"cannot be forked: {reason}" in parent.instance.output()


def test_it_leaves_when_nobody_can_order_any_more(parent: Parent) -> None:
    parent.forks.close()
    assert parent.instance.left() == 0
    assert parent.instance.output() == ""


def test_it_leaves_when_it_is_told_to(parent: Parent) -> None:
    parent.instance.process.terminate()
    assert parent.instance.left() == 0


def test_told_to_leave_while_a_library_is_imported_it_does(
    nursery: Nursery, tmp_path: Path
) -> None:
    (tmp_path / "stubborn.py").write_text(
        "import time\n"
        "print('importing', flush=True)\n"
        "try: time.sleep(60)\n"
        "except BaseException: time.sleep(60)\n"
    )
    parent = nursery.start(["stubborn"], PYTHONPATH=str(tmp_path))
    parent.instance.read_until("importing\n")
    parent.instance.process.terminate()
    assert parent.instance.left() == 0


def test_it_says_what_could_not_be_imported(nursery: Nursery) -> None:
    parent = nursery.load(["not_there_at_all", "wave"])
    parent.forks.close()
    assert parent.instance.output() == "could not be imported: not_there_at_all\n"


def test_without_its_list_it_does_not_start(nursery: Nursery, tmp_path: Path) -> None:
    parent = nursery.start(tmp_path / "nowhere")
    assert parent.instance.left() == 1
    assert "cannot start: the list of imports" in parent.instance.output()
