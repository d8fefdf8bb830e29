"""Identifiers, made from randomness that is passed in."""

from codestore.domain.routing import HASH_DIGITS

_ID_DIGITS = 12


def make_id(prefix: str, randomness: str) -> str:
    """Return ``prefix`` and 12 of the hex digits given, as in ``svc-1f0c…``."""
    if len(randomness) < _ID_DIGITS:
        raise ValueError("not enough randomness for an id")
    return f"{prefix}-{randomness[:_ID_DIGITS]}"


def make_hash(randomness: str) -> str:
    """Return the 32 hex digits of a URL; all of them random, so it cannot be guessed."""
    if len(randomness) < HASH_DIGITS:
        raise ValueError("not enough randomness for a URL")
    return randomness[:HASH_DIGITS]
