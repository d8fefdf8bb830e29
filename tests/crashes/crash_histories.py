"""Histories of versions that crash again and again: who waits, who does not, and who gives way."""

from codestore.domain.manifest import RunKind
from tests.crashes.ops import Op
from tests.crashes.playing import History

CRASHING: tuple[History, ...] = (
    History(
        "shop",
        RunKind.ASGI,
        (
            *(Op("sleep", (2000,)), *[Op("crash", ("production", 1), wait="3")] * 5),
            *(Op("scale", ("production", 4), wait="3"), Op("crash", ("production", 3))),
        ),
        name="one crashes again and again",
    ),
    History(
        "shop",
        RunKind.COMMAND,
        (
            *(Op("sleep", (2000,)), *[Op("crash", ("production", 2), wait="3")] * 3),
            *(Op("push"), Op("promote"), Op("crash", ("production", 2), wait="2")),
            Op("roll_to", ("production", 1)),
        ),
        name="all crash again and again, and another version comes",
    ),
)
