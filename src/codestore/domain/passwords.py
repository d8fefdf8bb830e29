"""Passwords of local accounts: hashed with scrypt (RFC 7914), so that each guess costs.

The cost is OWASP's (Password Storage Cheat Sheet): N = 2¹⁵, r = 8, p = 3, which takes 32 MiB and
about 0.2 s of one core. It is written into each hash, so it can be raised later.
"""

import hashlib
import hmac
from typing import Final

from codestore.domain.faults import invalid
from codestore.domain.secret import Secret

SHORTEST: Final = 12  # characters
LONGEST: Final = 256
_LOG_N, _R, _P = 15, 8, 3
_BYTES = 32


def checked(password: Secret) -> Secret:
    """Return a password that may be one; raise a Fault otherwise. Length is all that counts."""
    length = len(password.reveal())
    if not SHORTEST <= length <= LONGEST:
        raise invalid(
            "bad_password",
            "Password refused",
            f"A password has {SHORTEST} to {LONGEST} characters; this one has {length}.",
            hint="Take a sentence.",
        )
    return password


def hashed(password: Secret, salt: str) -> str:
    """Return what is kept of a password; ``salt`` is hex, random, of this password alone."""
    return f"scrypt${_LOG_N}${_R}${_P}${salt}${_scrypt(password, salt, _LOG_N, _R, _P)}"


def unmatched() -> str:
    """Return what no password matches; to find that out costs as much as with one that is kept."""
    return f"scrypt${_LOG_N}${_R}${_P}${'00' * _BYTES}${'00' * _BYTES}"


def matches(password: Secret, kept: str) -> bool:
    """Whether this is the password; compared in constant time."""
    _, log_n, r, p, salt, digest = kept.split("$")
    return hmac.compare_digest(_scrypt(password, salt, int(log_n), int(r), int(p)), digest)


def _scrypt(password: Secret, salt: str, log_n: int, r: int, p: int) -> str:
    raw = password.reveal().encode("utf-8", "surrogatepass")
    most = 2 * 128 * r * 2**log_n  # bytes; OpenSSL's own bound is too low
    return hashlib.scrypt(
        raw, salt=bytes.fromhex(salt), n=2**log_n, r=r, p=p, dklen=_BYTES, maxmem=most
    ).hex()
