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
    History(
        "young",
        RunKind.ASGI,
        (
            *(Op("sicken", ("development",), wait="3"), Op("abort", ("development",), wait="2")),
            *(Op("unhold", ("development",), wait="3"), Op("push"), Op("promote")),
            *(Op("promote_to", ("development",)), Op("sicken", ("development",))),
        ),
        name="a return is given up",
    ),
    History(
        "young",
        RunKind.COMMAND,
        (
            *(Op("set_secret", ("development", "one")), Op("sicken", ("development",), wait="2")),
            *(Op("abort", ("development",), wait="2"), Op("unhold", ("development",), wait="3")),
        ),
        name="a return to the secrets before is given up",
    ),
    History(
        "shop",
        RunKind.ASGI,
        (
            *(Op("sleep", (2000,)), Op("rotate_login", ("staging",))),
            Op("sicken", ("staging",)),
        ),
        name="an old version with a new password is sick",
    ),
    History(
        "shop",
        RunKind.ASGI,
        (
            *(Op("roll_to", ("staging", 1)), Op("roll_to", ("staging", 2), wait="1")),
            *(Op("abort", ("staging",), wait="quiet"), Op("outage", ("gateway",), wait="")),
            *(Op("roll_to", ("staging", 2), wait="5"), Op("sleep", (700,), wait="3")),
        ),
        name="moving on is given up, and fails without a gateway",
    ),
    History(
        "shop",
        RunKind.ASGI,
        (
            *(Op("slow", wait=""), Op("roll_to", ("production", 1), wait="2")),
            *(Op("crash", ("production", 1), wait="1"), Op("abort", ("production",), wait="1")),
        ),
        name="one is missing when a change is given up",
    ),
    History(
        "two",
        RunKind.ASGI,
        (
            *(Op("outage", ("databases",), wait=""), Op("include", wait="5")),
            *(Op("sleep", (700,), wait="3"), Op("come_back", wait="")),
            *(Op("outage", ("gateway",), wait=""), Op("sleep", (61,), wait="20")),
        ),
        name="the database server, then the gateway, is away",
    ),
)
