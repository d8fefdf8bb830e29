"""What a store writes is what it reads, for every noun there can be."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codestore.store.codec import decode, encode
from codestore.store.shapes import SHAPES, columns
from tests.store.nouns import DRAWN, deployment


@pytest.mark.parametrize("kind", DRAWN)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_noun_survives_being_json(kind: type[Any], data: st.DataObject) -> None:
    noun = data.draw(DRAWN[kind])
    assert decode(kind, json.loads(json.dumps(encode(noun)))) == noun


def test_times_keep_their_zone_and_microseconds() -> None:
    noun = deployment()
    read = decode(type(noun), encode(noun))
    assert read.created_at.utcoffset() == timedelta(0)
    assert read.created_at.microsecond == 678901


@pytest.mark.parametrize("kind", SHAPES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_columns_are_text_or_nothing(kind: type[Any], data: st.DataObject) -> None:
    held = columns(data.draw(DRAWN[kind]))
    assert set(held) == {"id", *SHAPES[kind].fields}
    assert all(value is None or type(value) is str for value in held.values())


def test_data_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="validation error"):
        decode(type(deployment()), {"id": "dep-1"})
