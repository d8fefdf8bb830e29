"""What tests of the builder share: how they push, and where uv runs."""

import os
from collections.abc import Awaitable, Callable, Mapping

from codestore.artifacts.builder import UvBuilder
from codestore.domain.versions import Seal

Push = Callable[[UvBuilder, Mapping[str, bytes]], Awaitable[Seal]]


def host() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
