"""A folder with a schema and one file per resolver is a GraphQL API."""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from house import House, client

from codestore_sdk.errors import StartError
from codestore_sdk.graphql import create_app


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(folder))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as found:
        yield found


async def ask(folder: Path, query: str) -> object:
    async with serving(folder) as service:
        return (await service.post("/graphql", json={"query": query})).json()


def test_the_template_says_hello_under_the_server(house: House, hello: Path) -> None:
    instance = house.ready(hello, "graphql", "src")
    instance.accept()
    with client(house.shared) as shared:
        answer = shared.post("/graphql", json={"query": "{ helloWorld }"})
        health = shared.get("/health")
    assert answer.json() == {"data": {"helloWorld": "Hello, World!"}}
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    instance.drain()
    assert instance.output() == ""


async def test_async_and_plain_resolvers_get_arguments_and_context(tmp_path: Path) -> None:
    source = "def {0}(obj, info, x): return info.context['request'].method + str(x)\n"
    write(
        tmp_path,
        {
            "schema.graphql": "type Query { plain(x: Int!): String! quick(x: Int!): String! }",
            "resolvers/queries/plain.py": source.format("plain"),
            "resolvers/queries/quick.py": "async " + source.format("resolve"),
        },
    )
    answer = await ask(tmp_path, "{ plain(x: 1) quick(x: 2) }")
    assert answer == {"data": {"plain": "POST1", "quick": "POST2"}}


async def test_a_plain_resolver_runs_in_a_thread(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "schema.graphql": "type Query { thread: ID! }",
            "resolvers/queries/thread.py": "import threading\n"
            "def thread(obj, info): return threading.get_ident()",
        },
    )
    answer = await ask(tmp_path, "{ thread }")
    assert answer != {"data": {"thread": str(threading.get_ident())}}


async def test_types_have_resolvers_too_and_underscored_files_are_helpers(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "schema/query.graphql": "type Query { post: Post! }",
            "schema/post.graphql": "type Post { title: String! shout: String! }",
            "resolvers/queries/post.py": "async def post(obj, info): return {'title': 'Tea'}",
            "resolvers/types/Post/shout.py": "def shout(post, info): return post['title'] + '!'",
            "resolvers/types/Post/_helper.py": "1 / 0",
        },
    )
    answer = await ask(tmp_path, "{ post { title shout } }")
    assert answer == {"data": {"post": {"title": "Tea", "shout": "Tea!"}}}


def test_an_error_of_a_resolver_is_told_and_its_traceback_printed(
    house: House, tmp_path: Path
) -> None:
    write(
        tmp_path / "src",
        {
            "schema.graphql": "type Query { broken: String }",
            "resolvers/queries/broken.py": "def broken(obj, info): raise KeyError('no tea')",
        },
    )
    instance = house.ready(tmp_path, "graphql", "src")
    with client(instance.private) as private:
        answer = private.get("/graphql", params={"query": "{ broken }"}).json()
        mistake = private.get("/graphql", params={"query": "{ nothing }"})
    assert answer["data"] == {"broken": None}
    assert answer["errors"][0]["message"] == "'no tea'"
    assert mistake.status_code == 400
    instance.drain()
    output = instance.output()
    assert "Traceback" in output and "KeyError: 'no tea'" in output
    assert "nothing" not in output


async def test_get_answers_queries_but_no_mutations_and_shows_no_page(hello: Path) -> None:
    async with serving(hello / "src") as service:
        query = await service.get("/graphql", params={"query": "{ helloWorld }"})
        page = await service.get("/graphql", headers={"accept": "text/html"})
        elsewhere = await service.get("/other")
    assert query.json() == {"data": {"helloWorld": "Hello, World!"}}
    assert (page.status_code, elsewhere.status_code) == (405, 404)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"schema.graphql": "type Query { a: Int b: Int }"},
            "the field Query.b has no file {}/resolvers/queries/b.py",
        ),
        (
            {"resolvers/queries/c.py": ""},
            "the file {}/resolvers/queries/c.py has no field Query.c",
        ),
        (
            {"resolvers/mutations/m.py": ""},
            "the file {}/resolvers/mutations/m.py has no field",
        ),
        (
            {"resolvers/types/Post/title.py": ""},
            "the file {}/resolvers/types/Post/title.py has no field Post.title",
        ),
        (
            {"resolvers/queries/a.py": "def other(): ..."},
            "{}/resolvers/queries/a.py defines neither `resolve` nor `a`",
        ),
        (
            {"resolvers/queries/a.py": "1 / 0"},
            "importing {}/resolvers/queries/a.py failed: ZeroDivisionError",
        ),
        ({"schema.graphql": "type Query {"}, "{}/schema.graphql cannot be read: "),
        ({"schema.graphql": "type Query { a: Nope }"}, "{}/schema.graphql is not a valid schema"),
        (
            {"schema.graphql": "type Query { a: Int } type Subscription { s: Int }"},
            "the schema has subscriptions",
        ),
    ],
)
def test_what_does_not_fit_is_named_at_the_start(
    tmp_path: Path, files: dict[str, str], complaint: str
) -> None:
    good = {
        "schema.graphql": "type Query { a: Int }",
        "resolvers/queries/a.py": "def a(obj, info): return 1",
    }
    write(tmp_path, {**good, **files})
    with pytest.raises(StartError) as refused:
        create_app(tmp_path)
    assert complaint.format(tmp_path) in str(refused.value)


def test_a_folder_without_a_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"there is no {tmp_path}{os.sep}schema.graphql"):
        create_app(tmp_path)
