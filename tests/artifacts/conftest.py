"""Builders over a fresh data folder, with real uv and a real runtime that is made once."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from archives import files, pack, upload
from building import CACHE, PROGRAMS, Push, host, no_uv

from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.folders import Folders
from codestore.artifacts.runtime import Runtimes
from codestore.artifacts.uv_command import Uv
from codestore.domain.versions import Seal


@pytest.fixture(scope="session")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folders = Folders.open(tmp_path_factory.mktemp("runtime"))
    asyncio.run(Runtimes(folders, host()).provide())
    return folders.runtimes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def sealer(root: Path) -> UvBuilder:
    """A builder for tests that never prepare Python."""
    return UvBuilder(root, no_uv())


@pytest.fixture
def builder(root: Path, runtimes: Path) -> UvBuilder:
    shutil.copytree(runtimes, root / "runtimes", copy_function=os.link)
    return UvBuilder(root, Uv.installed(host(), CACHE, PROGRAMS), grace=0.0)


@pytest.fixture
def push(tmp_path: Path) -> Push:
    async def push(builder: UvBuilder, contents: Mapping[str, bytes]) -> Seal:
        return await builder.seal(upload(tmp_path, pack(files(contents))), "blog")

    return push
