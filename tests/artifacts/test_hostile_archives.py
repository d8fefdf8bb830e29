"""Archives made to do harm, and archives that are merely broken: each refusal says which file."""

import gzip
import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from archives import COMMAND, files, hard_link, link, member, pack, upload

from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.intake import MAX_FILES, MAX_SOURCE
from codestore.domain.faults import Fault, FaultKind, Letter

GOOD = files(COMMAND)


async def refusal(sealer: UvBuilder, folder: Path, packed: bytes) -> Letter:
    with pytest.raises(Fault) as caught:
        await sealer.seal(upload(folder, packed), "blog")
    assert not list((folder / "data" / "bundles").iterdir())
    assert not list((folder / "data" / "scratch").iterdir())
    return caught.value.letter


NAMES = {
    "absolute": ("/etc/passwd", "absolute"),
    "parent": ("../evil", "leads out"),
    "parent in the middle": ("src/../../evil", "leads out"),
    "parent that stays inside": ("src/../app.py", "leads out"),
    "parent at the end": ("src/..", "leads out"),
    "backslash": ("src\\..\\evil", "backslash"),
    "newline": ("a\nb", "control character"),
    "escape sequence": ("a\x1b[31m", "control character"),
    "delete": ("a\x7f", "control character"),
    "C1 control": ("a\x85b", "control character"),
    "too long": ("d/" * 400 + "x" * 201, "longer"),
    "a part too long": ("x" * 256, "longer"),
    "a part too long in bytes": ("é" * 128, "longer"),
    "the seal": ("codestore.seal.json", "reserved"),
    "nearly the seal": ("CODESTORE.seal.json", "case of letters"),
    "the folder itself": ("./", "folder already"),
}


@pytest.mark.parametrize(("name", "words"), NAMES.values(), ids=list(NAMES))
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
async def test_a_name_that_is_no_file_of_a_service(
    sealer: UvBuilder, tmp_path: Path, name: str, words: str, form: int
) -> None:
    kind = tarfile.SYMTYPE if name.endswith("/") else tarfile.REGTYPE
    bad = member(name, type=kind, linkname="app.py" if name.endswith("/") else "")
    letter = await refusal(sealer, tmp_path, pack([*GOOD, bad], form))
    assert (letter.kind, letter.code) == (FaultKind.INVALID, "bad_path")
    assert words in letter.detail
    assert "\n" not in letter.detail and "\x1b" not in letter.detail


async def test_a_name_with_nul_ends_there_as_in_every_archiver_or_is_refused(
    sealer: UvBuilder, tmp_path: Path
) -> None:
    info, _ = member("placeholder")
    info.pax_headers = {"path": "a\0b"}
    assert (await refusal(sealer, tmp_path, pack([*GOOD, (info, b"")]))).code == "bad_path"


async def test_a_name_that_is_not_utf_8(sealer: UvBuilder, tmp_path: Path) -> None:
    info, _ = member("caf\udce9")
    letter = await refusal(sealer, tmp_path, pack([*GOOD, (info, b"")], tarfile.GNU_FORMAT))
    assert letter.code == "bad_path"
    assert "caf" in letter.detail and "not UTF-8" in letter.detail


COLLISIONS = {
    "the same twice": ["a", "a"],
    "the same by another way": ["a/b", "a//./b"],
    "composed and decomposed": ["caf\u00e9", "cafe\u0301"],
    "upper and lower case": ["Readme", "README"],
    "folders in upper and lower case": ["src/a", "SRC/b"],
    "sharp s": ["stra\u00dfe", "STRASSE"],
    "a file and something inside it": ["a", "a/b"],
    "a folder and a file": ["a/b", "a"],
}


@pytest.mark.parametrize("names", COLLISIONS.values(), ids=list(COLLISIONS))
async def test_two_names_for_one_place(sealer: UvBuilder, tmp_path: Path, names: list[str]) -> None:
    letter = await refusal(sealer, tmp_path, pack([*GOOD, *(member(name) for name in names)]))
    assert letter.code == "bad_path"


DEVICES = {
    "pipe": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "unknown": b"Z",
}


@pytest.mark.parametrize("kind", DEVICES.values(), ids=list(DEVICES))
async def test_what_is_not_a_file(sealer: UvBuilder, tmp_path: Path, kind: bytes) -> None:
    letter = await refusal(sealer, tmp_path, pack([*GOOD, member("dev/thing", type=kind)]))
    assert letter.code == "bad_file"
    assert "dev/thing" in letter.detail


async def test_a_sparse_file_in_pax_form(sealer: UvBuilder, tmp_path: Path) -> None:
    info, _ = member("thing")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    assert (await refusal(sealer, tmp_path, pack([*GOOD, (info, b"")]))).code == "bad_file"


LINKS = {
    "absolute": [link("l", "/etc/passwd")],
    "out": [link("l", "../secret")],
    "out from deeper": [link("a/b/l", "../../../secret")],
    "out through another": [link("up", "."), link("a/l", "../up/../secret")],
    "out by a chain": [link("a/b", "../c"), link("c", ".."), link("l", "a/b/x")],
    "to itself": [link("l", "l")],
    "in a circle": [link("l", "m"), link("m", "l")],
    "a long chain": [link(f"l{n:03}", f"l{n + 1:03}") for n in range(60)],
    "to nothing": [link("l", "")],
    "with a backslash": [link("l", "..\\x")],
    "second name of nothing": [hard_link("l", "nothing")],
    "second name of a link": [link("m", "app.py"), hard_link("l", "m")],
}


@pytest.mark.parametrize("links", LINKS.values(), ids=list(LINKS))
async def test_a_link_that_leads_elsewhere(
    sealer: UvBuilder, tmp_path: Path, links: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    letter = await refusal(sealer, tmp_path, pack([*GOOD, *links]))
    assert (letter.kind, letter.code) == (FaultKind.INVALID, "bad_link")
    assert any(info.name in letter.detail for info, _ in links)


async def test_a_second_name_of_a_file_outside(sealer: UvBuilder, tmp_path: Path) -> None:
    letter = await refusal(sealer, tmp_path, pack([*GOOD, hard_link("l", "/etc/passwd")]))
    assert letter.code == "bad_path"


async def test_a_file_written_through_a_link(sealer: UvBuilder, tmp_path: Path) -> None:
    archive = pack([*GOOD, link("a", "src"), member("a/b", b"x")])
    assert (await refusal(sealer, tmp_path, archive)).code == "bad_path"


def damaged(place: int, byte: int) -> bytes:
    packed = bytearray(pack(GOOD))
    packed[place] = byte
    return bytes(packed)


def resized(size: bytes) -> bytes:
    """An archive whose first header claims another size, with a checksum that is right."""
    packed = bytearray(pack(GOOD))
    packed[124:136] = size.ljust(12, b"\0")
    packed[148:156] = b" " * 8
    packed[148:156] = b"%06o\0 " % sum(packed[:512])
    return bytes(packed)


BROKEN = {
    "empty": b"",
    "one byte": b"\x1f",
    "text": b"hello\n" * 200,
    "a zip": b"PK\x03\x04" + bytes(600),
    "gzip of nothing": gzip.compress(b""),
    "gzip header only": b"\x1f\x8b\x08\0",
    "gzip cut": pack(GOOD, zipped=True)[:-20],
    "gzip damaged": pack(GOOD, zipped=True)[:30] + bytes(8) + pack(GOOD, zipped=True)[38:],
    "cut in a header": pack(GOOD)[:700],
    "cut in a file": pack(GOOD)[:520],
    "without an end": pack(GOOD)[: 512 * 4],
    "checksum": damaged(1, 99),
    "size no number": resized(b"8"),
    "size negative": resized(b"\xff" * 12),
    "more after the end": pack(GOOD) + pack(GOOD),
    "a folder with content": pack([*GOOD, member("a", b"x" * 20, type=tarfile.DIRTYPE)]),
}


@pytest.mark.parametrize("packed", BROKEN.values(), ids=list(BROKEN))
async def test_an_archive_that_cannot_be_read(
    sealer: UvBuilder, tmp_path: Path, packed: bytes
) -> None:
    letter = await refusal(sealer, tmp_path, packed)
    assert (letter.kind, letter.code) == (FaultKind.INVALID, "broken_archive")
    assert letter.hint


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
async def test_a_header_of_a_gigabyte_is_not_taken_into_memory(
    sealer: UvBuilder, tmp_path: Path, kind: bytes
) -> None:
    info, _ = member("x", type=kind)
    info.size = 1 << 30
    letter = await refusal(sealer, tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert letter.code == "archive_too_large"


@pytest.mark.parametrize(
    "record",
    [b"5 path=x\n", b"99 path=x\n", b"0 path=x\n", b"x path=x\n", b"9 path=xx", b"9999999"],
)
async def test_a_damaged_pax_header(sealer: UvBuilder, tmp_path: Path, record: bytes) -> None:
    archive = pack([member("x", record, type=tarfile.XHDTYPE), *GOOD], tarfile.GNU_FORMAT)
    assert (await refusal(sealer, tmp_path, archive)).code == "broken_archive"


async def test_too_many_files(sealer: UvBuilder, tmp_path: Path) -> None:
    names = [f"f{n}" for n in range(MAX_FILES - len(GOOD) + 1)]
    letter = await refusal(
        sealer, tmp_path, pack([*GOOD, *map(member, names)], tarfile.USTAR_FORMAT)
    )
    assert (letter.kind, letter.code) == (FaultKind.TOO_LARGE, "too_many_files")
    assert names[-1] in letter.detail


async def test_too_many_folders(sealer: UvBuilder, tmp_path: Path) -> None:
    deep = [member("/".join([f"{n}", *"x" * 400, "f"])) for n in range(30)]
    letter = await refusal(sealer, tmp_path, pack([*GOOD, *deep]))
    assert letter.code == "too_many_files"


async def test_a_sparse_upload_of_200_mib_is_refused_by_its_header(
    sealer: UvBuilder, tmp_path: Path
) -> None:
    info, _ = member("video.mp4")
    info.size = 200 << 20
    path = upload(tmp_path, info.tobuf(tarfile.PAX_FORMAT))
    os.truncate(path, info.size + 2048)
    tracemalloc.start()
    with pytest.raises(Fault) as caught:
        await sealer.seal(path, "blog")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.letter.code == "archive_too_large"
    assert "video.mp4" in caught.value.letter.detail
    assert peak < 5 << 20


async def test_a_bomb_is_stopped_where_it_passes_the_limit(
    sealer: UvBuilder, tmp_path: Path
) -> None:
    size = 30 << 20
    zeros = gzip.compress(bytes(size), 1)
    bomb = io.BytesIO()
    for n in range(100):
        info, _ = member(f"bomb{n}")
        info.size = size
        bomb.write(gzip.compress(info.tobuf(tarfile.PAX_FORMAT)) + zeros)
    assert len(bomb.getvalue()) < size
    letter = await refusal(sealer, tmp_path, bomb.getvalue())
    assert letter.code == "archive_too_large"
    assert f"bomb{MAX_SOURCE // size}" in letter.detail
