"""Random histories: one for each number, always the same."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.crashes.histories import ASGI, COMMAND
from tests.crashes.key_histories import CLIENT
from tests.crashes.ops import Op
from tests.crashes.playing import History

PROJECT = ("development", "staging", "production")
ALL = ("private", "demo", *PROJECT)
BAD = ("unbuildable", "broken", "unhealthy", "unmigratable", "needy")
GAPS = 70  # points between two kills, at most


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
