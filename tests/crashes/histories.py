"""Histories: some that together do everything there is, and any number of random ones."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from codestore.domain.manifest import RunKind
from tests.crashes.crash_histories import CRASHING
from tests.crashes.key_histories import CLIENT, OPENING
from tests.crashes.ops import Op
from tests.crashes.playing import History

ASGI, COMMAND = RunKind.ASGI, RunKind.COMMAND
PROJECT = ("development", "staging", "production")
ALL = ("private", "demo", *PROJECT)
BAD = ("unbuildable", "broken", "unhealthy", "unmigratable", "needy")
GAPS = 70  # points between two kills, at most

FIXED: tuple[History, ...] = (
    History("nothing", ASGI, (Op("create"), Op("project"), Op("include")), name="born"),
    History("nothing", COMMAND, (Op("slow"), Op("create"), Op("push")), name="born on ports"),
    History("service", ASGI, (Op("push"), Op("promote"), Op("tidy")), name="pushed and promoted"),
    History(
        "service",
        COMMAND,
        (Op("push", ("unhealthy",)), Op("push", ("broken",)), Op("push", ("unmigratable",))),
        name="bad versions",
    ),
    History(
        "nothing",
        ASGI,
        (Op("push"), Op("create", wait="3"), Op("abort", ("private",)), Op("remove")),
        name="aborted at birth",
    ),
    History(
        "two",
        ASGI,
        (Op("roll", ("private", 1)), Op("roll", ("demo", 1), wait="2"), Op("remove")),
        name="rolled and removed",
    ),
    History(
        "two",
        COMMAND,
        (Op("call", ("private",), wait="quiet"), Op("call", ("demo", True), wait="quiet")),
        name="woken on ports",
    ),
    History(
        "two",
        ASGI,
        (
            *(Op("call", ("private",), wait="4"), Op("sleep", (301,)), Op("press", wait="quiet")),
            *(Op("rot", (2,)), Op("call", ("private",), wait="quiet")),
        ),
        name="woken, frozen, woken in vain",
    ),
    History(
        "two",
        ASGI,
        (Op("slow", wait=""), Op("call", ("private",), wait=""), Op("remove", wait="quiet")),
        name="called while it is removed",
    ),
    History(
        "two",
        ASGI,
        (Op("push", wait="4"), Op("blackout"), Op("call", ("demo",)), Op("blackout", wait="quiet")),
        name="everything dies twice",
    ),
    History(
        "shop",
        ASGI,
        (
            *(Op("scale", ("production", 4)), Op("scale", ("staging", 2), wait="2")),
            *(Op("crash", ("production", 2)), Op("scale", ("production", 2))),
            Op("ail", ("production",)),
        ),
        name="scaled, crashed, unwell",
    ),
    History(
        "shop",
        COMMAND,
        (
            Op("scale", ("production", 4), wait="quiet"),
            Op("scale", ("production", 2), wait="quiet"),
        ),
        name="scaled up and down",
    ),
    History(
        "shop",
        COMMAND,
        (Op("push"), Op("promote"), Op("promote_to", ("development",)), Op("exclude", wait="1")),
        name="promoted and excluded",
    ),
    History(
        "canary", ASGI, (Op("pause", ("production",)), Op("resume", ("production",))), name="paused"
    ),
    History(
        "canary",
        COMMAND,
        (Op("scale", ("production", 3), wait="6"), Op("abort", ("production",))),
        name="a canary is scaled and aborted",
    ),
    History("canary", ASGI, (Op("fail_canary", ("production",)),), name="a canary fails"),
    History("canary", ASGI, (Op("crash", ("production", 2)),), name="a canary is left alone"),
    History(
        "canary",
        COMMAND,
        (Op("slow", wait=""), Op("crash", ("production", 2))),
        name="a canary with ports is left alone",
    ),
    History(
        "canary",
        ASGI,
        (
            *(Op("abort", ("production",)), Op("promote_to", ("production", True, True), wait="")),
            *(Op("pause", ("production",), wait="quiet"), Op("resume", ("production",))),
        ),
        name="a canary is paused before it begins",
    ),
    History(
        "canary",
        COMMAND,
        (
            *(Op("sleep", (11,), wait="3"), Op("outage", ("gateway",), wait="")),
            Op("crash", ("production", 1)),
        ),
        name="a canary without its gateway",
    ),
    History(
        "shop",
        ASGI,
        (
            *(Op("roll_to", ("staging", 1), wait="2"), Op("unhold", ("staging",))),
            *(Op("promote_to", ("staging", True, True)), Op("sicken", ("staging",))),
        ),
        name="sick and returned",
    ),
    History(
        "young",
        COMMAND,
        (Op("hold", ("development",), wait=""), Op("sicken", ("development",), wait="2")),
        name="sick and held",
    ),
    History("young", ASGI, (Op("ail", ("development",)),), name="unwell and returned"),
    History(
        "shop",
        ASGI,
        (Op("scale", ("staging", 2), wait=""), Op("roll_to", ("staging", 1))),
        name="scaled and rolled",
    ),
    History(
        "shop",
        ASGI,
        (Op("roll_to", ("staging", 1), wait="1"), Op("exclude", wait="quiet", split=3)),
        name="excluded between two turns",
    ),
    History(
        "service",
        ASGI,
        (
            *(Op("outage", ("gateway",), wait="2"), Op("push", ("", False, None), wait="5")),
            *(Op("outage", ("gateway",), wait="concluded"), Op("remove", wait="")),
        ),
        name="removed without a gateway",
    ),
    History(
        "shop",
        COMMAND,
        (
            Op("push", ("unhealthy", False, None), wait="", split=1),
            Op("set_secret", ("private", "two", True), wait="2", split=3),
        ),
        name="a secret beside a change that fails",
    ),
    History(
        "nothing",
        ASGI,
        (
            *(Op("outage", ("gateway",), wait=""), Op("create", wait="2")),
            Op("abort", ("private",), wait="quiet"),
        ),
        name="aborted without a gateway",
    ),
    History(
        "two",
        ASGI,
        (
            *(Op("call", ("private",), wait="4"), Op("sleep", (301,), wait="1")),
            Op("push", wait="quiet", during=2),
        ),
        name="pushed while it falls asleep",
    ),
    History(
        "two",
        ASGI,
        (
            *(Op("call", ("private",)), Op("sleep", (301,), wait="6"), Op("sleep", (2000,), "")),
            Op("call", ("private",), wait="quiet", during=2),
        ),
        name="called while it falls asleep",
    ),
    History(
        "two",
        ASGI,
        (Op("call", ("private",), wait=""), Op("push", wait="quiet", during=2)),
        name="pushed while it wakes",
    ),
    History(
        "two",
        COMMAND,
        (Op("slow", wait=""), Op("call", ("private",), wait=""), Op("remove", wait="quiet")),
        name="called on ports while it is removed",
    ),
    History("ahead", ASGI, (Op("roll_to", ("development", 2)),), name="back to what was left out"),
    History(
        "two",
        ASGI,
        (
            *(Op("set_secret", ("service", "one")), Op("roll", ("private", 1), wait="2")),
            *(Op("set_secret", ("private", "two")), Op("set_secret", ("private", None))),
            Op("set_secret", ("service", None)),
        ),
        name="secrets come and go",
    ),
    History(
        "two",
        ASGI,
        (
            *(Op("set_secret", ("private", "one"), wait="quiet"), Op("rekey"), Op("blackout")),
            Op("push", ("needy",), wait="quiet"),
        ),
        name="secrets sealed anew",
    ),
    History(
        "service",
        COMMAND,
        (
            *(Op("push", ("needy",)), Op("set_secret", ("service", "one"))),
            *(Op("roll", ("private", 2)), Op("set_secret", ("service", None), wait="quiet")),
            Op("remove"),
        ),
        name="a secret is missing",
    ),
    History(
        "young",
        ASGI,
        (Op("set_secret", ("development", "one"), wait="2"), Op("sicken", ("development",))),
        name="secrets and a return",
    ),
    History(
        "young",
        ASGI,
        (Op("set_secret", ("shop", "one")), Op("exclude"), Op("delete_project", wait="quiet")),
        name="secrets go with their project",
    ),
    *OPENING,
    *CRASHING,
    History(
        "shop",
        COMMAND,
        (
            *(Op("exclude"), Op("delete_project"), Op("project"), Op("include")),
            *(Op("outage", ("databases",)), Op("exclude"), Op("remove")),
        ),
        name="out and in and gone",
    ),
)


def random_history(seed: int) -> History:
    """Return the history of a seed: always the same."""
    dice = Random(seed)
    base = dice.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
    kind = dice.choice((ASGI, ASGI, COMMAND))
    ops = tuple(_op(dice, base) for _ in range(dice.randint(1, 4)))
    if dice.random() < 0.25:
        ops = (Op("slow", wait=""), *ops)
    kills = tuple(dice.randint(1, GAPS) for _ in range(dice.choice((1, 1, 1, 2, 3))))
    return History(base, kind, ops, kills, f"seed {seed}", lengthy=dice.random() < 0.2)


def random_histories(first: int, count: int) -> Iterator[History]:
    """Yield the histories of so many seeds."""
    return map(random_history, range(first, first + count))


_WEIGHTS = {"nothing": 2, "service": 3, "two": 4, "shop": 6, "canary": 5}
_Draw = Callable[[Random], tuple[Any, ...]]


def _op(dice: Random, base: str) -> Op:
    names = [name for name, (_, bases) in _DRAWS.items() if base in bases]
    name = dice.choice(names)
    wait = dice.choice(("concluded", "concluded", "quiet", "", "1", "2", "3", "5"))
    how = dice.random()
    during = dice.randint(1, 25) if how < 0.25 else 0
    split = dice.randint(1, 4) if how > 0.9 else 0
    return Op(name, _DRAWS[name][0](dice), wait, during, split)


def _none(dice: Random) -> tuple[Any, ...]:
    return ()


def _push(dice: Random) -> tuple[Any, ...]:
    bad = dice.choice(BAD) if dice.random() < 0.35 else ""
    return bad, dice.random() < 0.4, dice.choice((None, None, 2))


def _in_project(dice: Random) -> tuple[Any, ...]:
    return (dice.choice(PROJECT),)


def _anywhere(dice: Random) -> tuple[Any, ...]:
    return (dice.choice(ALL),)


def _in_production(dice: Random) -> tuple[Any, ...]:
    return ("production",)


def _promotion(dice: Random) -> tuple[Any, ...]:
    return dice.choice(PROJECT), dice.choice((None, True, False)), dice.random() < 0.5


def _roll(dice: Random) -> tuple[Any, ...]:
    return dice.choice(("private", "demo")), dice.randint(1, 3)


def _roll_to(dice: Random) -> tuple[Any, ...]:
    return dice.choice(PROJECT), dice.randint(1, 3)


def _scale(dice: Random) -> tuple[Any, ...]:
    return dice.choice(PROJECT), dice.choice((None, 1, 2, 3, 5, 9))


def _crash(dice: Random) -> tuple[Any, ...]:
    return dice.choice(ALL), dice.choice((1, 1, 2, 3))


def _seconds(dice: Random) -> tuple[Any, ...]:
    return (dice.choice((1, 11, 31, 301, 700, 2000)),)


def _call(dice: Random) -> tuple[Any, ...]:
    return dice.choice(("private", "demo", "development")), dice.random() < 0.3


def _rot(dice: Random) -> tuple[Any, ...]:
    return dice.randint(1, 3), dice.random() < 0.7


def _secret(dice: Random) -> tuple[Any, ...]:
    value = dice.choice(("one", "two", "", None))
    return dice.choice(("shop", "service", *ALL)), value, dice.random() < 0.6


def _whose(dice: Random) -> tuple[Any, ...]:
    return dice.choice(("service", "shop", "shop", CLIENT)), dice.choice((0.0, 0.0, 20.0, 600.0))


def _client(dice: Random) -> tuple[Any, ...]:
    return (CLIENT,)


_EVERYWHERE = ("nothing", "service", "two", "shop", "canary")
_THERE = ("service", "two", "shop", "canary")
_SHOPS = ("shop", "canary")
_DRAWS: dict[str, tuple[_Draw, tuple[str, ...]]] = {
    "create": (_none, ("nothing",)),
    "project": (_none, ("nothing",)),
    "delete_project": (_none, _EVERYWHERE),
    "push": (_push, _EVERYWHERE),
    "promote": (_none, _THERE),
    "include": (_none, _EVERYWHERE),
    "roll": (_roll, _THERE),
    "remove": (_none, _EVERYWHERE),
    "exclude": (_none, ("shop",)),
    "promote_to": (_promotion, _SHOPS),
    "roll_to": (_roll_to, _SHOPS),
    "scale": (_scale, _SHOPS),
    "hold": (_in_project, _SHOPS),
    "unhold": (_in_project, _SHOPS),
    "pause": (_in_production, ("canary",)),
    "resume": (_in_production, ("canary",)),
    "abort": (_anywhere, _EVERYWHERE),
    "fail_canary": (_in_production, ("canary",)),
    "crash": (_crash, _THERE),
    "ail": (_anywhere, _SHOPS),
    "sicken": (_in_project, _SHOPS),
    "recover": (_none, _SHOPS),
    "call": (_call, _THERE),
    "outage": (lambda dice: (dice.choice(("databases", "gateway")),), _EVERYWHERE),
    "come_back": (_none, _EVERYWHERE),
    "press": (_none, _THERE),
    "rot": (_rot, ("two",)),
    "sleep": (_seconds, _THERE),
    "tidy": (_none, _EVERYWHERE),
    "set_secret": (_secret, _THERE),
    "rekey": (_none, _THERE),
    "rotate_key": (_whose, _THERE),
    "add_client": (_client, _SHOPS),
    "remove_client": (_client, _SHOPS),
    "end_keys": (_none, _THERE),
    "rotate_login": (_anywhere, _THERE),
    "kill": (_none, _EVERYWHERE),
    "blackout": (_none, _EVERYWHERE),
}
