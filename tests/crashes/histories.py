"""Histories that together do everything there is."""

from codestore.domain.manifest import RunKind
from tests.crashes.crash_histories import CRASHING
from tests.crashes.key_histories import OPENING
from tests.crashes.ops import Op
from tests.crashes.playing import History

ASGI, COMMAND = RunKind.ASGI, RunKind.COMMAND

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
        ASGI,
        (
            *(Op("sleep", (11,), wait="3"), Op("outage", ("gateway",), wait="3")),
            *(Op("pause", ("production",), wait="1"), Op("come_back", wait="quiet")),
        ),
        name="a canary is paused while its next share is under way",
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
