"""Every operation of the API, asked as its own document says and as it forbids.

A short run for every day; ``make schema`` is a long one (``CODESTORE_SCHEMA_EXAMPLES`` each).
"""

import json
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.platform import Platform

EXAMPLES = int(os.environ.get("CODESTORE_SCHEMA_EXAMPLES", "3"))
PROMISES = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KNOWN = {"ref": ("target", "goal"), "owner": ("target", "goal"), "service": ("target",)}
NAMES = {"name": ("private", "demo", "staging")}
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def document(platform: Platform) -> Any:
    """The platform's own document, with something there that can be found."""
    platform.create("target")
    platform.cs("project:create", "goal")
    made = schemathesis.openapi.from_url(f"http://127.0.0.1:{platform.port}/openapi.json")
    # A stream has no end; what leads to one is refused in the same way as its list.
    return made.exclude(path_regex="/stream$")


@pytest.fixture(scope="module")
def token(platform: Platform) -> str:
    profile = json.loads((platform.data / "profile.json").read_text())
    return str(profile["token"])


@schemathesis.serializer("application/gzip")
def archive(context: Any, value: Any) -> bytes:
    """Send bytes as an archive; hardly one is one."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_path_parameters(context: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Now and then, say the name of something that is there; it is not to be removed."""
    if parameters and context.operation.method != "delete":
        for name, value in parameters.items():
            known = (KNOWN | NAMES).get(name)
            if known and len(str(value)) % 2:
                parameters[name] = known[len(str(value)) % len(known)]
    return parameters


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_answer_is_a_surprise(document: Any, token: str, mode: GenerationMode) -> None:
    headers = {"authorization": f"Bearer {token}"}
    for found in document.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=PROMISES, timeout=60)

        if mode is GenerationMode.POSITIVE or takes_anything(operation):
            ask()


def takes_anything(operation: Any) -> bool:
    """Tell whether there is something to say wrongly."""
    return bool([*operation.iter_parameters(), *operation.body])
