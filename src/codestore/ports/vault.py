"""What seals secrets and derives them."""

from typing import Protocol

from codestore.domain.secret import Secret


class Vault(Protocol):
    """Seals what must be kept and shown again; derives what need not be kept at all."""

    def seal(self, value: Secret) -> str:
        """Seal under the platform's master key."""

    def open(self, sealed: str) -> Secret:
        """Open what :meth:`seal` made. Raises a FAILED fault when it was tampered with."""

    def derive(self, purpose: str) -> Secret:
        """Return the secret for a purpose: always the same, 256 bit, unguessable."""
