"""Somebody does something in the middle of a change: at every moment at which that can be."""

from collections.abc import Iterator
from typing import Any

from codestore.domain.manifest import RunKind
from tests.crashes.histories import ASGI, COMMAND
from tests.crashes.ops import Op
from tests.crashes.playing import History

CHANGES: tuple[tuple[str, tuple[Op, ...], str, int], ...] = (
    (
        "shop",
        (Op("push"), Op("promote"), Op("promote_to", ("development",), wait="")),
        "development",
        40,
    ),
    ("shop", (Op("roll_to", ("production", 1), wait=""),), "production", 50),
    ("canary", (), "production", 60),
    ("shop", (Op("crash", ("production", 1), wait=""),), "production", 30),
    ("two", (Op("call", ("private",), wait=""),), "private", 12),
    ("two", (Op("push", wait=""),), "private", 35),
    (
        "two",
        (Op("call", ("private",)), Op("sleep", (301,), wait="6"), Op("sleep", (2000,), wait="")),
        "private",
        12,
    ),
)
"""From where on, what is done, where, and after how many pauses something may still change that."""
SHORT = 20  # pauses of a change in which none is left out
Act = tuple[str, tuple[Any, ...]]


def meanwhile(place: str) -> tuple[Act, ...]:
    """Return what is done meanwhile, by people and by the world."""
    everywhere: tuple[Act, ...] = (
        ("abort", (place,)),
        ("crash", (place, 1)),
        ("tidy", ()),
        ("kill", ()),
        ("blackout", ()),
    )
    if place == "private":
        mine: tuple[Act, ...] = (
            ("push", ()),
            ("roll", ("private", 1)),
            ("remove", ()),
            ("call", ("private",)),
            ("rotate_key", ("service",)),
        )
        return everywhere + mine
    return (
        *everywhere,
        ("hold", (place,)),
        ("scale", (place, 2)),
        ("scale", (place, 5)),
        ("exclude", ()),
        ("pause", (place,)),
        ("roll_to", (place, 1)),
        ("promote_to", (place,)),
        ("fail_canary", (place,)),
        ("rotate_key", ("shop",)),
    )


def intrusions(kinds: tuple[RunKind, ...] = (ASGI, COMMAND), step: int = 1) -> Iterator[History]:
    """Yield every change with everything in the middle of it, after every number of pauses."""
    for base, ops, place, most in CHANGES:
        for kind in kinds:
            for name, arguments in meanwhile(place):
                for pauses in range(1, most, step if most > SHORT else 1):
                    op = Op(name, arguments, "quiet", during=pauses)
                    what = f"{name} in {place} of {base} after {pauses}"
                    yield History(base, kind, (*ops, op), name=what)
