"""From an upload to a stored, sealed version: every check of a push, in its order."""

import re
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import IO

from codestore.artifacts.bundle import SEAL_NAME, write_bundle
from codestore.artifacts.folders import Folders, sync
from codestore.artifacts.ignore import IGNORE_FILES, kept
from codestore.artifacts.intake import Source, take_in
from codestore.artifacts.inventory import Inventory
from codestore.artifacts.links import check_links
from codestore.artifacts.locks import PYPROJECT, recipe
from codestore.artifacts.manifest_file import read_document
from codestore.artifacts.trees import first_difference
from codestore.domain.faults import invalid
from codestore.domain.manifest import FILE, Manifest, read_manifest
from codestore.domain.versions import Seal


def seal_upload(folders: Folders, upload: Path, service: str) -> Seal:
    """Check an archive, seal it, store it. Raises a Fault that names the offending file."""
    with upload.open("rb") as archive, tempfile.TemporaryFile(dir=folders.scratch) as spool:
        source = _read_source(archive, spool)
        manifest = _read_manifest(source, service)
        recipe(manifest.lock, source.find)  # only to refuse it here, while someone looks
        return _store(folders, source, manifest)


def _read_source(archive: IO[bytes], spool: IO[bytes]) -> Source:
    everything = take_in(archive, spool, SEAL_NAME)
    files, links = everything.inventory.files, everything.inventory.links
    rules = {
        path: everything.read(path).decode("utf-8", "replace")
        for path, file in files.items()
        if path.rpartition("/")[2] in IGNORE_FILES
    }
    stay = kept([*files, *links], rules)
    inventory = Inventory(
        {path: file for path, file in files.items() if path in stay},
        {path: target for path, target in links.items() if path in stay},
    )
    check_links(inventory.links)
    return replace(everything, inventory=inventory)


def _read_manifest(source: Source, service: str) -> Manifest:
    files = source.inventory.files
    if FILE not in files:
        raise invalid(
            "no_manifest",
            "Not a service",
            f"There is no {FILE} in the top folder.",
            hint=f"Make one that says service: {service}, or push from the service's folder.",
        )
    document = read_document(source.read(FILE))
    manifest = read_manifest(document, frozenset(files))
    if manifest.service != service:
        raise invalid(
            "wrong_service",
            "Another service",
            f"{FILE} says service: {manifest.service}, and this is a push of {service}.",
            hint="Push from the other folder, or change the line.",
            where=f"{FILE}:{document.lines.get(('service',), 1)}",
        )
    if manifest.version is None:
        return replace(manifest, version=_project_version(source))
    return manifest


def _project_version(source: Source) -> str | None:
    """Return the number ``pyproject.toml`` gives, if it is three numbers; it may say anything."""
    raw = source.find(PYPROJECT)
    try:
        project = tomllib.loads((raw or b"").decode("utf-8")).get("project", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return None
    version = str(project.get("version")) if isinstance(project, dict) else ""
    return version if re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", version) else None


def _store(folders: Folders, source: Source, manifest: Manifest) -> Seal:
    with folders.workspace() as workspace:
        made = workspace / "bundle.tar"
        seal = write_bundle(made, source, manifest)
        with folders.moving:
            made.rename(folders.bundle(seal.digest))
    sync(folders.bundles)
    tree = folders.tree(seal.digest)
    # Pushing again is how a damaged version is repaired; an intact one is left where it runs.
    if tree.is_dir() and first_difference(tree, source.inventory) is not None:
        folders.discard(tree)
    return seal
