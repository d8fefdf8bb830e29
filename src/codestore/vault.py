"""The vault: seals what must be shown again, derives what need not be kept.

The master key is 32 random bytes in a file of the platform's folder that only its owner reads;
a stolen copy of the database opens nothing. Sealing is AES-256-GCM with a random nonce
(NIST SP 800-38D), deriving is HKDF-SHA256 (RFC 5869).
"""

import base64
import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from codestore.domain.faults import failed
from codestore.domain.secret import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
PREFIX = "v1."


class FileVault:
    """A vault whose master key is a file. Raises a FAILED fault when the file is not a key."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise failed(
                "bad_master_key",
                "The master key is damaged",
                f"It has {len(master)} bytes instead of {KEY_BYTES}.",
                "Restore master.key from a backup: without it sealed keys cannot be opened.",
            )
        self._master = master
        self._cipher = AESGCM(self._expand(b"seal"))

    @classmethod
    def open_file(cls, path: Path) -> "FileVault":
        """Open a vault, making its key the first time; whole or not at all."""
        if not path.exists():
            fresh = path.with_name(f"{path.name}.{os.getpid()}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was quicker: its key it is
                path.hardlink_to(fresh)
            fresh.unlink()
        return cls(path.read_bytes())

    def seal(self, value: Secret) -> str:
        """Seal under the master key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, value.reveal().encode(), None)
        return PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str) -> Secret:
        """Open what :meth:`seal` made."""
        try:
            raw = base64.urlsafe_b64decode(sealed.removeprefix(PREFIX))
            plain = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            raise failed(
                "unsealable",
                "A sealed key cannot be opened",
                "It was changed, or sealed under another master key.",
                "Restore master.key from a backup.",
            ) from error
        return Secret(plain.decode())

    def derive(self, purpose: str) -> Secret:
        """Return the secret for a purpose: 64 hex digits, always the same."""
        return Secret(self._expand(b"derive:" + purpose.encode()).hex())

    def _expand(self, info: bytes) -> bytes:
        return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=info).derive(self._master)
