"""Histories of what opens: keys, and passwords of databases."""

from codestore.domain.manifest import RunKind
from tests.crashes.ops import Op
from tests.crashes.playing import History

ASGI, COMMAND = RunKind.ASGI, RunKind.COMMAND
CLIENT = "ada@example.org"

OPENING: tuple[History, ...] = (
    History(
        "two",
        ASGI,
        (
            *(Op("rotate_key", ("service",)), Op("rotate_key", ("service", 60.0))),
            *(Op("sleep", (61,), wait=""), Op("end_keys")),
        ),
        name="the key of a service is replaced",
    ),
    History(
        "shop",
        COMMAND,
        (
            *(Op("add_client", (CLIENT,)), Op("rotate_key", (CLIENT, 60.0)), Op("end_keys")),
            *(Op("rotate_key", ("shop",)), Op("remove_client", (CLIENT,))),
            Op("add_client", (CLIENT,)),
        ),
        name="clients come and go",
    ),
    History(
        "young",
        ASGI,
        (Op("add_client", (CLIENT,)), Op("exclude"), Op("delete_project", wait="quiet")),
        name="clients go with their project",
    ),
    History(
        "shop",
        COMMAND,
        (
            Op("crash", ("production", 1), wait=""),
            Op("rotate_key", ("shop",), wait="quiet", during=7),
        ),
        name="a key is replaced in the middle of a turn",
    ),
    History(
        "shop",
        ASGI,
        (
            *(Op("rotate_key", ("shop", 60.0)), Op("outage", ("gateway",), wait="")),
            *(Op("sleep", (61,), wait=""), Op("end_keys", wait=""), Op("come_back")),
        ),
        name="a key ends without a gateway",
    ),
    History(
        "shop",
        ASGI,
        (
            *(Op("rotate_login", ("staging",), wait="quiet"), Op("sleep", (60,))),
            *(Op("rotate_login", ("staging",), wait="3"), Op("abort", ("staging",))),
        ),
        name="a password is replaced",
    ),
    History(
        "two",
        COMMAND,
        (
            *(Op("rotate_login", ("private",), wait="quiet"), Op("call", ("private",))),
            *(Op("sleep", (60,)), Op("rotate_login", ("private",), wait="2"), Op("push")),
        ),
        name="the password of a sleeper is replaced",
    ),
    History(
        "two",
        ASGI,
        (Op("rotate_login", ("private",), wait="2"), Op("abort", ("private",), wait="quiet")),
        name="the password of a sleeper stays as it was",
    ),
    History(
        "two",
        COMMAND,
        (
            *(Op("outage", ("gateway",), wait=""), Op("rotate_login", ("demo",), wait="2")),
            Op("abort", ("demo",), wait="quiet"),
        ),
        name="the password of a sleeper without a gateway stays as it was",
    ),
)
