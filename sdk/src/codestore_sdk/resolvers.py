"""Finds the resolver of each field in a file of its own, and insists that they match.

    resolvers/queries/<field>.py       a field of Query
    resolvers/mutations/<field>.py     a field of Mutation
    resolvers/types/<Type>/<field>.py  a field of any other object type; optional

A file defines `resolve`, or a function named as the field, plain or async, and is called as
`resolve(obj, info, **arguments)`. Files whose name starts with `_` are helpers.
"""

import asyncio
import contextvars
import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema

from codestore_sdk.errors import StartError

Resolver = Callable[..., Any]

# Plain resolvers mostly wait for a database: more of them than there are processors.
THREADS = ThreadPoolExecutor(max_workers=40, thread_name_prefix="resolver")


def bind_resolvers(schema: GraphQLSchema, folder: Path) -> None:
    """Give every field of `schema` that has a file in `folder` its resolver.

    Raises StartError naming every field of Query and Mutation without a file and every file
    without a field, or the file that cannot be loaded.
    """
    if schema.subscription_type is not None:
        raise StartError("the schema has subscriptions, which are not served")
    files = {(kind, path.stem): path for kind, path in _files(schema, folder)}
    problems = [*_without_file(schema, folder, files), *_without_field(schema, files)]
    if problems:
        raise StartError("schema and resolvers do not match\n" + "\n".join(problems))
    for (kind, field), path in files.items():
        _object_type(schema, kind).fields[field].resolve = _load(path, field, folder)


def _roots(schema: GraphQLSchema) -> dict[str, str]:
    """The folder of each root type, by the type's name."""
    roots = {"queries": schema.query_type, "mutations": schema.mutation_type}
    return {kind.name: name for name, kind in roots.items() if kind is not None}


def _files(schema: GraphQLSchema, folder: Path) -> Iterator[tuple[str, Path]]:
    """Every resolver file with the name of the type it belongs to."""
    roots = {name: kind for kind, name in _roots(schema).items()}
    for name in ("queries", "mutations"):
        for path in _python_files(folder / name):
            yield roots.get(name, name), path
    for subfolder in sorted((folder / "types").glob("*/")):
        for path in _python_files(subfolder):
            yield subfolder.name, path


def _python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def _without_file(
    schema: GraphQLSchema, folder: Path, files: dict[tuple[str, str], Path]
) -> Iterator[str]:
    for kind, name in _roots(schema).items():
        for field in _object_type(schema, kind).fields:
            if (kind, field) not in files:
                yield f"  the field {kind}.{field} has no file {folder / name / field}.py"


def _without_field(schema: GraphQLSchema, files: dict[tuple[str, str], Path]) -> Iterator[str]:
    for (kind, field), path in files.items():
        found = schema.type_map.get(kind)
        if not isinstance(found, GraphQLObjectType) or field not in found.fields:
            yield f"  the file {path} has no field {kind}.{field} in the schema"


def _object_type(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    found = schema.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def _load(path: Path, field: str, folder: Path) -> Resolver:
    """Import `path` under the name it has as seen from the service's folder."""
    name = ".".join(path.relative_to(folder.parent.parent).with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StartError(f"importing {path} failed: {error!r}") from error
    for candidate in ("resolve", field):
        function = getattr(module, candidate, None)
        if callable(function):
            return function if inspect.iscoroutinefunction(function) else _in_thread(function)
    raise StartError(
        f"{path} defines neither `resolve` nor `{field}`", f"def {field}(obj, info): ..."
    )


def _in_thread(function: Resolver) -> Resolver:
    """Call a plain resolver in a thread, so that it keeps no other request waiting."""

    @functools.wraps(function)
    async def resolve(*args: Any, **kwargs: Any) -> Any:
        call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
        result = await asyncio.get_running_loop().run_in_executor(THREADS, call)
        return await result if inspect.isawaitable(result) else result

    return resolve
