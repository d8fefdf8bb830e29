"""The whole life of three services, walked with ``cs`` as a person would: ``make demo``.

Starts a platform in a temporary folder, prints each step with its time, ends with
``demo: ok (N steps, T s)`` and leaves nothing running.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib import error, request

HERE = Path(__file__).parent
CS = Path(sys.executable).with_name("cs")
KEY = "x-user-authorization"
TIMEOUT = 180  # seconds for one command


class Demo:
    """Walks the steps; any that fails ends the demo with its reason."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.steps = 0
        self.environment = {**os.environ, "CODESTORE_DATA": str(home / "data")}

    def step(self, title: str, act: Callable[[], Any]) -> Any:
        """Do one thing and print how long it took."""
        began = time.monotonic()
        result = act()
        self.steps += 1
        print(f"{self.steps:3}  {title:<62} {time.monotonic() - began:6.2f} s", flush=True)
        return result

    def cs(self, *arguments: str) -> Any:
        """Run ``cs`` as a script does; return what it printed."""
        done = subprocess.run(
            [str(CS), *arguments, "-o", "json"],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode:
            sys.exit(f"demo: cs {' '.join(arguments)} failed\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None


def call(
    deployment: dict[str, Any], path: str, body: Any = None, *, key: bool = True
) -> tuple[int, Any]:
    """Call an endpoint; return the status and the JSON answer."""
    headers = {"content-type": "application/json"}
    if key and deployment["key"]:
        headers[KEY] = deployment["key"]
    data = None if body is None else json.dumps(body).encode()
    asked = request.Request(deployment["url"] + path, data, headers)
    try:
        with request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except error.HTTPError as refused:
        return refused.code, json.load(refused)


def expect(got: Any, wanted: Any) -> None:
    """End the demo unless the answer is the expected one."""
    if got != wanted:
        sys.exit(f"demo: expected {wanted!r}, got {got!r}")


def hello(deployment: dict[str, Any], text: str = "Hello, World!") -> None:
    """Ask the template's one field."""
    status, answer = call(deployment, "/graphql", {"query": "{ helloWorld }"})
    expect((status, answer), (200, {"data": {"helloWorld": text}}))


def walk(demo: Demo) -> None:
    """Take every step."""
    port = free_port()
    demo.step(
        "cs up: the platform, PostgreSQL and Envoy",
        lambda: demo.cs("up", "--detach", "--port", str(port)),
    )
    sleeper = greet(demo)
    environments = demo.step("project:create shop", lambda: demo.cs("project:create", "shop"))
    expect(sorted(environments["environments"]), ["development", "production", "staging"])
    blog(demo)
    orders(demo)
    if shutil.which("node"):
        inbox(demo)
    else:
        print("     there is no node on the PATH: the Node service is left out")
    wake(demo, sleeper)
    demo.step("cs status", lambda: demo.cs("status"))


def greet(demo: Demo) -> dict[str, Any]:
    """A service from the template: create, push, promote. Returns what its demo is."""
    folder = demo.home / "hello"
    service = demo.step(
        "service:create hello --template graphql",
        lambda: demo.cs("service:create", "hello", "--template", "graphql", "--dir", str(folder)),
    )
    private, public = service["environments"]["private"], service["environments"]["demo"]
    demo.step("  private answers with the key", lambda: hello(private))
    demo.step(
        "  and refuses without it", lambda: expect(call(private, "/graphql", {}, key=False)[0], 401)
    )
    demo.step("  demo answers anybody", lambda: hello(public))
    resolver = folder / "src/resolvers/queries/helloWorld.py"
    resolver.write_text(resolver.read_text().replace("Hello, World!", "Hello again!"))
    with (folder / "codestore.yaml").open("a") as manifest:  # the usual times are 5 m and 30 m
        manifest.write("environments: {demo: {standby: 2s, stop: 4s}}\n")
    pushed = demo.step(
        "push a change to private",
        lambda: demo.cs("push", "--dir", str(folder), "-r", "friendlier"),
    )
    demo.step(
        "  private has it, demo does not", lambda: (hello(private, "Hello again!"), hello(public))
    )
    promoted = demo.step("promote that very build to demo", lambda: demo.cs("promote", "hello"))
    expect(promoted["digest"], pushed["digest"])
    demo.step("  demo has it", lambda: hello(public, "Hello again!"))
    place: dict[str, Any] = public
    return place


def wake(demo: Demo, sleeper: dict[str, Any]) -> None:
    """Nobody called hello's demo for a while: nothing of it runs, and the next request wakes it."""

    def reach(state: str, instances: int) -> None:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            told = demo.cs("service:info", "hello")["environments"]["demo"]
            if (told["state"], told["instances"]) == (state, instances):
                return
            time.sleep(0.2)
        sys.exit(f"demo: hello did not reach {state}")

    title = "  hello's demo, which nobody calls, goes to standby"
    demo.step(title, lambda: reach("standby", 0))
    demo.step("  the next request wakes it", lambda: hello(sleeper, "Hello again!"))
    reach("ready", 1)


def blog(demo: Demo) -> None:
    """The blog: GraphQL over PostgreSQL, with data of its own in each environment."""
    demo.step(
        "service:create blog (GraphQL, PostgreSQL, migrations)",
        lambda: demo.cs("service:create", "blog", "--dir", str(HERE / "blog")),
    )
    included = demo.step(
        "project:service:add shop blog", lambda: demo.cs("project:service:add", "shop", "blog")
    )
    places = included["environments"]
    query = 'mutation { createPost(title: "First", body: "Hello") { title } }'
    status, answer = demo.step(
        "  write a post in production",
        lambda: call(places["production"], "/graphql", {"query": query}),
    )
    expect((status, answer), (200, {"data": {"createPost": {"title": "First"}}}))
    listing = {"query": "{ posts { title } }"}
    expect(
        call(places["production"], "/graphql", listing)[1],
        {"data": {"posts": [{"title": "First"}]}},
    )
    demo.step(
        "  staging has no such post",
        lambda: expect(call(places["staging"], "/graphql", listing)[1], {"data": {"posts": []}}),
    )


def orders(demo: Demo) -> None:
    """An ordinary FastAPI application, promoted through the project's environments."""
    folder = demo.home / "orders"
    shutil.copytree(HERE / "orders", folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    demo.step(
        "service:create orders (FastAPI, SQLAlchemy, Alembic)",
        lambda: demo.cs("service:create", "orders", "--dir", str(folder)),
    )
    included = demo.step(
        "project:service:add shop orders", lambda: demo.cs("project:service:add", "shop", "orders")
    )
    demo.step("push the next version", lambda: demo.cs("push", "--dir", str(folder)))
    digest = demo.step("promote it to demo", lambda: demo.cs("promote", "orders"))["digest"]
    for place in ("development", "staging", "production"):
        arguments = ("project:service:promote", "shop", "orders", "--to", place)
        promoted = demo.step(
            f"promote it to {place}", lambda arguments=arguments: demo.cs(*arguments)
        )
        expect(promoted["digest"], digest)
        expect(call(included["environments"][place], "/health")[0], 200)
    back = ("project:service:roll", "shop", "orders", "--env", "production", "--version", "0.1.0")
    demo.step("roll production back", lambda: demo.cs(*back))
    expect(call(included["environments"]["production"], "/orders")[0], 200)


def inbox(demo: Demo) -> None:
    """A Node server, with no Python in it."""
    service = demo.step(
        "service:create inbox (Node)",
        lambda: demo.cs("service:create", "inbox", "--dir", str(HERE / "inbox")),
    )
    place = service["environments"]["demo"]
    demo.step("  it answers", lambda: expect(call(place, "/health")[0], 200))
    demo.step(
        "project:service:add shop inbox", lambda: demo.cs("project:service:add", "shop", "inbox")
    )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Walk in a temporary folder, and leave nothing behind."""
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="codestore-demo-"))
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    demo = Demo(home)
    try:
        walk(demo)
    finally:
        demo.cs("down")
        shutil.rmtree(home, ignore_errors=True)
    print(f"demo: ok ({demo.steps} steps, {time.monotonic() - began:.1f} s)")


if __name__ == "__main__":
    main()
