"""The disk is everybody's: who fills it is ended before others notice, and is told why."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.attacks.inside.conftest import HOSTILE, RUN, Scene, create
from tests.support.platform import KEY

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("attacks-inside")]

LIMIT = 100  # MiB
OVERSHOT = 1500  # MiB that a quick disk takes until it is noticed, generously
SMALL = f"environments: {{private: {{limits: {{disk: {LIMIT}MiB}}}}}}\n"
CLEANS = "migrate: [sh, -c, 'rm -f $HOME/filler-*']\n"


@pytest.fixture(scope="module")
def filler(scene: Scene) -> Iterator[dict[str, Any]]:
    made = create(scene.platform, "filler", HOSTILE, RUN + SMALL)
    yield made
    scene.platform.cs("service:remove", "filler", "--yes")


def call(deployment: dict[str, Any], path: str) -> httpx.Response | None:
    """Ask it; nothing, if it ended meanwhile."""
    try:
        answer = httpx.get(
            f"{deployment['url']}/{path}", headers={KEY: deployment["key"]}, timeout=60
        )
    except httpx.HTTPError:
        return None
    return answer if answer.status_code == 200 else None


def told(scene: Scene) -> dict[str, Any]:
    return dict(scene.platform.cs("service:info", "filler")["environments"]["private"])


def written(scene: Scene, deployment: dict[str, Any]) -> int:
    folder = scene.data / "work" / deployment["id"]
    blocks = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the platform empties what is temporary
                blocks += Path(parent, name).lstat().st_blocks
    return blocks * 512 // 2**20


def reasons(scene: Scene) -> list[str]:
    events = scene.platform.cs("events", "-s", "filler", "-n", "200")
    return [event["message"] for event in events if event["kind"] == "instance_ended"]


def until_well(deployment: dict[str, Any]) -> None:
    deadline = time.monotonic() + 90
    while call(deployment, "") is None:  # it is started again when it is due
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_temporary_fills_no_disk(scene: Scene, filler: dict[str, Any]) -> None:
    free = shutil.disk_usage(scene.data).free
    assert call(filler, "fill_disk?variable=TMPDIR") is None
    assert written(scene, filler) < LIMIT + OVERSHOT
    assert scene.victim_answers()
    until_well(filler)
    assert "disk limit: its files take" in reasons(scene)[-1]
    assert written(scene, filler) < LIMIT
    assert shutil.disk_usage(scene.data).free > free - OVERSHOT * 2**20


def test_no_file_is_longer_than_all_may_be(filler: dict[str, Any]) -> None:
    answer = call(filler, "one_large_file")
    assert answer is not None and "refused" in answer.json(), answer


def test_a_home_that_is_full_stays_so_until_a_version_cleans_it(
    scene: Scene, filler: dict[str, Any]
) -> None:
    assert call(filler, "fill_disk?variable=HOME") is None
    size = written(scene, filler)
    assert LIMIT / 2 <= size < LIMIT + OVERSHOT
    deadline = time.monotonic() + 60
    while "disk limit" not in told(scene)["reason"]:  # from the third time on
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert written(scene, filler) <= size  # it was not started, and wrote nothing
    assert scene.victim_answers()
    folder = Path(scene.platform.home, "filler")
    manifest = folder / "codestore.yaml"
    manifest.write_text(manifest.read_text() + CLEANS)
    scene.platform.cs("service:push", cwd=folder)
    assert call(filler, "") is not None
    assert written(scene, filler) < LIMIT
