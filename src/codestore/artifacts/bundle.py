"""The sealed bundle: one file that is a version, the same bytes wherever it is made.

A tar archive without compression in one fixed form: first ``codestore.seal.json``, which says
what the version is, then its files and links by name; no times, owners or folders.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from codestore.artifacts.intake import Source
from codestore.artifacts.inventory import Inventory, canonical
from codestore.artifacts.refusals import bundle_damaged
from codestore.artifacts.tarstream import BLOCK
from codestore.domain.manifest import Manifest, RunKind
from codestore.domain.versions import Seal

SEAL_NAME = "codestore.seal.json"
_FORMAT = 1
_CHUNK = 1 << 18
_END = bytes(2 * BLOCK)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, open. ``source`` is where its first source file begins, in bytes."""

    file: BufferedReader
    inventory: Inventory
    source: int


def describe(manifest: Manifest, inventory: Inventory) -> dict[str, Any]:
    """Return what is sealed about a version, as plain data."""
    return {
        "format": _FORMAT,
        "service": manifest.service,
        "manifest": _as_sealed(manifest),
        "lock": _named(manifest.lock, inventory),
        "schema": _named(_schema_path(manifest), inventory),
        "migrations": [asdict(migration) for migration in inventory.migrations()],
        **inventory.as_json(),
    }


def write_bundle(path: Path, source: Source, manifest: Manifest) -> Seal:
    """Write the bundle of a source to a new file, onto the disk; return its seal."""
    inventory = source.inventory
    description = describe(manifest, inventory)
    sha256 = hashlib.sha256()
    with path.open("xb") as file:
        for piece in _archive(source, canonical(description)):
            sha256.update(piece)
            file.write(piece)
        file.flush()
        os.fchmod(file.fileno(), 0o400)
        os.fsync(file.fileno())
    return Seal(
        digest=sha256.hexdigest(),
        content=inventory.content,
        manifest=manifest,
        lock=(description["lock"] or {}).get("sha256"),
        schema=(description["schema"] or {}).get("sha256"),
        migrations=inventory.migrations(),
        files=len(inventory.files) + len(inventory.links),
        size=inventory.size,
    )


def open_bundle(file: BufferedReader, digest: str) -> Bundle:
    """Check every byte of a bundle against its digest, then read what it says of itself.

    Raises a ``bundle_damaged`` fault.
    """
    actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != digest:
        raise bundle_damaged(digest, f"its bundle now has the digest {actual[:12]}.")
    file.seek(0)
    header = tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "strict")
    inventory = Inventory.from_json(json.loads(file.read(header.size)))
    return Bundle(file, inventory, BLOCK + header.size + -header.size % BLOCK)


def _archive(source: Source, description: bytes) -> Iterator[bytes]:
    inventory = source.inventory
    yield _header(SEAL_NAME, size=len(description))
    yield description + bytes(-len(description) % BLOCK)
    for path in sorted([*inventory.files, *inventory.links]):
        if path in inventory.links:
            yield _header(path, link=inventory.links[path])
            continue
        file = inventory.files[path]
        yield _header(path, size=file.size, mode=0o755 if file.executable else 0o644)
        yield from source.pieces(path)
        yield bytes(-file.size % BLOCK)
    yield _END


def _header(path: str, *, size: int = 0, mode: int = 0o644, link: str | None = None) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, mode
    if link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, link, 0o777
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _as_sealed(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest as it is sealed: the same source has the same digest in every release.

    So what manifests could not say from the beginning is left out as long as it is not said.
    """
    sealed = asdict(manifest)
    if manifest.preload:
        del sealed["preload"]
    for override in sealed["overrides"].values():
        for key in ("stop", "limits", "canary"):
            if override[key] is None:
                del override[key]
        if "limits" in override and override["limits"]["disk"] is None:
            del override["limits"]["disk"]
    return sealed


def _schema_path(manifest: Manifest) -> str:
    """Return where the API schema is, or would be."""
    folder = manifest.run.arguments[0] if manifest.run.kind is RunKind.GRAPHQL else "src"
    return f"{folder}/schema.graphql"


def _named(path: str | None, inventory: Inventory) -> Mapping[str, str] | None:
    if path is None or path not in inventory.files:
        return None
    return {"path": path, "sha256": inventory.files[path].sha256}
