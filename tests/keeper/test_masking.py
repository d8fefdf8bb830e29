"""No secret gets into a log: whole, in pieces, in a line that is longer than any."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codestore.keeper.output.masking import MASK, SHORTEST, Mask
from codestore.keeper.output.pipes import LONGEST, CriLines
from codestore.keeper.protocol.client import KeeperClient
from tests.keeper.house import House, child, run

NOW = datetime(2026, 5, 4, tzinfo=UTC)
SECRET = "hunter2-and-more"


def written(mask: Mask, *said: bytes) -> bytes:
    """Return the text of the lines that are written when this is said, chunk by chunk."""
    lines = CriLines("stdout", mask)
    raw = b"".join([*(lines.feed(chunk, NOW) for chunk in said), lines.finish(NOW)])
    texts = [line.split(b" ", 3) for line in raw.split(b"\n")[:-1]]
    assert all(len(text) <= LONGEST for *_, text in texts)
    return b"".join(text if tag == b"P" else text + b"\n" for _, _, tag, text in texts)


def test_a_secret_is_masked_wherever_it_stands() -> None:
    said = f"{SECRET}\na {SECRET} b{SECRET}{SECRET}\nnothing\n".encode()
    assert written(Mask([SECRET]), said) == b"[hidden]\na [hidden] b[hidden]\nnothing\n"


def test_it_is_masked_in_whatever_pieces_it_is_written() -> None:
    said = f"x{SECRET}y\n".encode()
    assert written(Mask([SECRET]), *(bytes([each]) for each in said)) == b"x[hidden]y\n"


def test_the_longer_one_is_masked_whole_and_those_that_overlap_too() -> None:
    mask = Mask(["abcdef", "abcdefghi", "ghijklmn"])
    assert written(mask, b"-abcdef", b"ghi-abcdefghijklmn-\n") == b"-[hidden]-[hidden]-\n"


def test_each_line_of_a_long_value_is_masked() -> None:
    key = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\nx\r\n-----END KEY-----\r\n"
    assert written(Mask([key]), key.encode()) == b"[hidden]\r\n[hidden]\r\nx\r\n[hidden]\r\n"


@pytest.mark.parametrize(
    "value", ['quoted "and" more', "two\nlines of it", "é and ü too", "a/b?c=d&e"]
)
def test_it_is_masked_inside_of_json_and_of_addresses(value: str) -> None:
    said = [json.dumps({"v": value}), json.dumps({"v": value}, ensure_ascii=False), quote(value)]
    for text in said:
        found = written(Mask([value]), text.encode() + b"\n")
        assert MASK in found
        assert value.encode() not in found and json.dumps(value)[1:-1].encode() not in found


def test_short_values_are_left_alone() -> None:
    short, enough = "a" * (SHORTEST - 1), "b" * SHORTEST
    assert written(Mask([short, enough]), b"aaaaa bbbbbb\n") == b"aaaaa [hidden]\n"


@pytest.mark.parametrize("at", [LONGEST - 8, LONGEST, 2 * LONGEST - 3, LONGEST + len(SECRET)])
@pytest.mark.parametrize("chunk", [1000, 65536])
def test_it_is_masked_across_the_pieces_of_a_long_line(at: int, chunk: int) -> None:
    said = b"x" * at + SECRET.encode() + b"y" * LONGEST + b"\n"
    chunks = [said[start : start + chunk] for start in range(0, len(said), chunk)]
    assert written(Mask([SECRET]), *chunks) == b"x" * at + MASK + b"y" * LONGEST + b"\n"


@given(
    values=st.lists(st.text("ab", min_size=SHORTEST, max_size=12), min_size=1, max_size=3),
    said=st.lists(st.text("ab\n", max_size=40)),
)
def test_no_secret_is_ever_left(values: list[str], said: list[str]) -> None:
    found = written(Mask(values), *(text.encode() for text in said))
    assert not [value for value in values if value.encode() in found]
    whole = written(Mask(values), "".join(said).encode())
    assert found == whole  # in whatever pieces it came


@given(said=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_holds_no_secret_stays_as_it_is(said: str) -> None:
    text = said.encode()
    assert written(Mask([SECRET]), text) == written(Mask([]), text)


async def test_a_childs_log_shows_none(house: House, client: KeeperClient) -> None:
    script = 'echo "$A and $B"; printf "%s" "$A" | cut -c1-5 | tr -d "\\n"; echo "$A" | cut -c6-'
    held = child("a", "sh", "-c", script, log="a.log")
    env = {**held.env, "A": SECRET, "B": "not a secret"}
    await run(client, replace(held, env=env, secrets=("A", "MISSING")))
    texts = [text for _, _, text in house.log("a.log")]
    assert texts == ["[hidden] and not a secret", "[hidden]"]
    assert not [p for p in Path(house.logs).rglob("*") if p.is_file() and SECRET in p.read_text()]
