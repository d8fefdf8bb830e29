"""Archives as people send them, made in memory."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

MANIFEST = b"service: blog\nrun: {asgi: app:app}\n"
SERVICE = {"codestore.yaml": MANIFEST, "app.py": b"app = None\n"}
COMMAND = {"codestore.yaml": b"service: blog\nrun: {command: [./serve]}\n", "serve": b"#!/bin/sh\n"}


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def files(contents: Mapping[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(name, content) for name, content in contents.items()]


def pack(
    members: list[tuple[tarfile.TarInfo, bytes]],
    form: int = tarfile.PAX_FORMAT,
    *,
    zipped: bool = False,
) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1) if zipped else packed.getvalue()


def upload(folder: Path, packed: bytes) -> Path:
    path = folder / "upload"
    path.write_bytes(packed)
    return path
