"""What tests of the builder share: how they push, and where uv runs."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import platformdirs

from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.processes import PlainPrograms
from codestore.artifacts.uv_command import Uv
from codestore.domain.versions import Seal

Push = Callable[[UvBuilder, Mapping[str, bytes]], Awaitable[Seal]]
PROGRAMS = PlainPrograms()
CACHE = platformdirs.user_cache_path("codestore") / "builds"
"""Where platforms have it, too: nothing is downloaded anew for each test."""


def host() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


def no_uv() -> Uv:
    """For tests that install nothing."""
    return Uv.installed({}, CACHE, PROGRAMS)


def builder_at(root: Path, cache: Path = CACHE) -> UvBuilder:
    return UvBuilder(root, Uv.installed(host(), cache, PROGRAMS))
