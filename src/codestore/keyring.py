"""The keyring of secrets: a master key wraps a data key for each organization, that seals.

Master keys are in a file of the platform's folder that only its owner reads, or the newest one is
said in the environment and is in no file at all. Everything is AES-256-GCM with a random nonce
(NIST SP 800-38D) and bound to its place by associated data: a ciphertext that is put elsewhere
does not open. Of several master keys the newest wraps; the others only open what is not wrapped
anew yet.
"""

import base64
import json
import os
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from codestore.domain.faults import failed
from codestore.domain.secret import Secret
from codestore.domain.secrets import DataKey

KEY_BYTES = 32
NONCE_BYTES = 12
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_RESTORE = "Restore keyring.json, or the variable, from a backup."


@dataclass(frozen=True, slots=True)
class _Master:
    key: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Names the key, and tells nothing of it."""
        return HKDFExpand(algorithm=SHA256(), length=8, info=b"id").derive(self.key).hex()

    @property
    def cipher(self) -> AESGCM:
        """The cipher that wraps."""
        return AESGCM(HKDFExpand(algorithm=SHA256(), length=32, info=b"wrap").derive(self.key))


class FileKeyring:
    """Implements the door ``Keyring`` on a file. ``said`` are keys of the environment: now, before.

    Raises a FAILED fault when the file or a variable holds no key, or others may read the file.
    """

    def __init__(self, path: Path, said: tuple[Secret | None, Secret | None]) -> None:
        now, before = (None if each is None else _Master(_key_of(each)) for each in said)
        self._path = path
        self._said, self._before = now, before
        self._filed = _read(path)
        self._ciphers: dict[str, AESGCM] = {}
        if now is None and not self._filed:
            self._write([_fresh()])

    @property
    def newest(self) -> str:
        """Name the master key that wraps."""
        return self._newest.id

    def make(self, id_: str, organization: str, now: datetime) -> DataKey:
        """Make a data key, wrapped."""
        blank = DataKey(id_, organization, "", "", now)
        return self._wrapped(blank, secrets.token_bytes(KEY_BYTES))

    def seal(self, key: DataKey, place: Sequence[str], value: Secret) -> str:
        """Seal a value under a data key, for one place."""
        return _sealed(self._cipher(key), place, value.reveal().encode())

    def open(self, key: DataKey, place: Sequence[str], sealed: str) -> Secret:
        """Open what was sealed for this place. Raises a FAILED fault for anything else."""
        return Secret(_opened(self._cipher(key), place, sealed).decode())

    def rewrap(self, key: DataKey) -> DataKey:
        """Return the same data key, wrapped by the newest master key."""
        return key if key.master == self.newest else self._wrapped(key, self._bare(key))

    def begin(self, used: Collection[str]) -> None:
        """Have a new master key wrap from now on, unless one waits to be used by all already.

        ``used`` names those by which data keys are wrapped. One that the environment says is not
        made here: it is the newest as it is.
        """
        if self._said is None and set(used) <= {self.newest}:
            self._write([*self._filed, _fresh()])

    def finish(self, used: Collection[str]) -> None:
        """Forget the master keys in the file that wrap nothing any more."""
        kept = [master for master in self._filed if master.id in {*used, self.newest}]
        if kept != self._filed:
            self._write(kept)

    @property
    def _newest(self) -> _Master:
        return self._said or self._filed[-1]

    def _master(self, id_: str) -> _Master:
        every = (*self._filed, self._before, self._said)
        found = next((each for each in every if each is not None and each.id == id_), None)
        if found is None:
            raise failed(
                "master_key_missing",
                "A master key is missing",
                "Secrets are sealed under a master key that is not here.",
                _RESTORE,
            )
        return found

    def _cipher(self, key: DataKey) -> AESGCM:
        if key.wrapped not in self._ciphers:
            self._ciphers[key.wrapped] = AESGCM(self._bare(key))
        return self._ciphers[key.wrapped]

    def _bare(self, key: DataKey) -> bytes:
        return _opened(self._master(key.master).cipher, _place(key), key.wrapped)

    def _wrapped(self, key: DataKey, bare: bytes) -> DataKey:
        master = self._newest
        wrapped = _sealed(master.cipher, _place(key), bare)
        return replace(key, master=master.id, wrapped=wrapped)

    def _write(self, masters: list[_Master]) -> None:
        """Replace the file whole: durable before anything is wrapped by what is in it."""
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"masters": [master.key.hex() for master in masters]}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._filed = masters


def _place(key: DataKey) -> tuple[str, ...]:
    return ("data-key", key.organization, key.id)


def _sealed(cipher: AESGCM, place: Sequence[str], plain: bytes) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = cipher.encrypt(nonce, plain, json.dumps(place).encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def _opened(cipher: AESGCM, place: Sequence[str], sealed: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(sealed)
        return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], json.dumps(place).encode())
    except (InvalidTag, ValueError) as error:
        raise failed(
            "secret_unsealable",
            "A secret cannot be opened",
            "It was changed, moved to another place, or sealed under another key.",
            "Restore the platform's database and keyring.json from the same backup.",
        ) from error


def _fresh() -> _Master:
    return _Master(secrets.token_bytes(KEY_BYTES))


def _key_of(said: Secret) -> bytes:
    if not _HEX.fullmatch(said.reveal()):
        raise failed(
            "bad_master_key",
            "The master key is no key",
            "A master key in the environment is 64 hex digits.",
            "Make one: openssl rand -hex 32",
        )
    return bytes.fromhex(said.reveal())


def _whole(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError("not as long as a key")
    return key


def _read(path: Path) -> list[_Master]:
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except FileNotFoundError:
        return []
    if mode & 0o077:
        raise failed(
            "keyring_readable",
            "Others may read the keyring",
            f"{path.name} has mode {mode & 0o777:o}; it must be its owner's alone.",
            f"chmod 600 {path}",
        )
    try:
        return [_Master(_whole(bytes.fromhex(held))) for held in json.loads(text)["masters"]]
    except (ValueError, KeyError, TypeError) as error:
        raise failed(
            "bad_keyring", "The keyring is damaged", f"{path.name} cannot be read.", _RESTORE
        ) from error
