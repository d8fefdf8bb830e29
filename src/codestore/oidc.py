"""An OpenID provider (OpenID Connect Core 1.0) and its device flow (RFC 8628), over HTTPS.

The platform asks on behalf of ``cs``, so that the client's secret stays here. What it believes is
an ID token only: signed by a key that the provider publishes, for this client, not expired, with an
address that the provider has verified. The provider's documents are kept for ten minutes; a key
that is not among them is looked for once a minute at most.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt

from codestore.domain.faults import Fault, FaultKind, Letter, too_many, unavailable
from codestore.domain.secret import Secret
from codestore.ports.identities import Asked, Identity, Pending

_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")  # none that takes a shared key
_SCOPE: Final = "openid email"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")
_PATIENCE: Final = 10.0  # seconds for an answer
_LEEWAY: Final = 30.0  # seconds that clocks may differ by
_KEPT: Final = 600.0  # seconds
_LOOK_AGAIN: Final = 60.0  # seconds between two looks for a key that is not there
_MOST_BYTES: Final = 1 << 20  # of an answer
_MOST_AT_ONCE: Final = 10
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Client:
    """This platform, as the provider knows it. ``secret`` is ``None`` for a public client."""

    issuer: str
    id: str
    secret: Secret | None = None


class OidcIdentities:
    """Implements the Identities door. Belongs to one event loop; ``aclose`` lets go of it."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._http = httpx.AsyncClient(timeout=_PATIENCE, follow_redirects=False)
        self._places: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, jwt.PyJWKSet] | None = None
        self._busy = 0

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def ask(self) -> Asked:
        """Begin: ask the provider for a code."""
        place = await self._place("device_authorization_endpoint")
        status, told = await self._send("POST", place, self._form(scope=_SCOPE))
        if status != httpx.codes.OK:
            raise _unusable(f"it answered {status} when it was asked for a code")
        try:
            complete = told.get("verification_uri_complete")
            return Asked(
                Secret(str(told["device_code"])),
                str(told["user_code"]),
                _web(str(told["verification_uri"])),
                None if complete is None else _web(str(complete)),
                float(told["expires_in"]),
                float(told.get("interval", 5)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unusable("its answer lacks a code") from error

    async def collect(self, device_code: Secret) -> Identity | Pending:
        """Ask the provider whether the device was let in, and by whom."""
        place = await self._place("token_endpoint")
        form = self._form(grant_type=_GRANT, device_code=device_code.reveal())
        status, told = await self._send("POST", place, form)
        if status == httpx.codes.OK:
            return await self._believed(str(told.get("id_token", "")))
        match told.get("error"):
            case "authorization_pending":
                return Pending()
            case "slow_down":
                return Pending(slower=True)
            case "access_denied":
                raise _refused("Somebody refused it at the provider.")
            case "expired_token" | "invalid_grant":
                raise _refused("The code has expired, or it is none.")
        raise _unusable(f"it answered {status} when it was asked for a token")

    async def _believed(self, token: str) -> Identity:
        """Return who an ID token is about (OpenID Connect Core 1.0, section 3.1.3.7)."""
        try:
            claims = jwt.decode(
                token,
                await self._key(str(jwt.get_unverified_header(token).get("kid", ""))),
                algorithms=list(_ALGORITHMS),
                audience=self._client.id,
                issuer=self._client.issuer,
                leeway=_LEEWAY,
                options={"require": list(_REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise _refused("The provider's token is not one to believe.") from error
        if claims.get("azp", self._client.id) != self._client.id:
            raise _refused("The provider's token is for somebody else.")
        if claims.get("email_verified") is not True or not claims.get("email"):
            raise _refused("The provider knows no verified e-mail address of yours.")
        return Identity(str(claims["sub"]), str(claims["email"]).strip().lower())

    async def _key(self, kid: str) -> jwt.PyJWK:
        """Return a key of the provider's; one that is not known is looked for again, seldom."""
        now = self._clock()
        held = self._keys
        age = _KEPT if held is None else now - held[0]
        known = held is not None and any(key.key_id == kid for key in held[1].keys)
        if age >= _KEPT or (not known and age >= _LOOK_AGAIN):
            status, told = await self._send("GET", await self._place("jwks_uri"))
            if status != httpx.codes.OK:
                raise _unusable(f"it answered {status} when it was asked for its keys")
            held = self._keys = (now, jwt.PyJWKSet.from_dict(dict(told)))
        assert held is not None
        for key in held[1].keys:
            if kid in ("", key.key_id):
                return key
        raise _refused("The provider's token is signed by a key that it does not publish.")

    async def _place(self, name: str) -> str:
        """Return an address from the provider's own document (OpenID Connect Discovery 1.0)."""
        now = self._clock()
        if self._places is None or now - self._places[0] >= _KEPT:
            where = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            status, told = await self._send("GET", where)
            if status != httpx.codes.OK or told.get("issuer") != self._client.issuer:
                raise _unusable(f"{where} does not describe {self._client.issuer}")
            self._places = (now, told)
        found = self._places[1].get(name)
        if not isinstance(found, str):
            raise _unusable(f"it has no {name}")
        return found

    def _form(self, **words: str) -> dict[str, str]:
        secret = self._client.secret
        known = {} if secret is None else {"client_secret": secret.reveal()}
        return {"client_id": self._client.id, **known, **words}

    async def _send(
        self, method: str, url: str, form: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Send a request; return status and JSON, which is bounded."""
        _require_private(url)
        if self._busy >= _MOST_AT_ONCE:
            raise too_many("login_later", "Not now", "Too many people are logging in.")
        self._busy += 1
        try:
            accept = {"accept": "application/json"}
            async with self._http.stream(method, url, data=form, headers=accept) as answer:
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise _unusable("its answer is too long")
            told = httpx.Response(200, content=body).json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _unusable(type(error).__name__) from error
        finally:
            self._busy -= 1
        return answer.status_code, told if isinstance(told, dict) else {}


def _require_private(url: str) -> None:
    """Secrets go over TLS, or stay on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise _unusable(f"{url} is not https")


def _web(url: str) -> str:
    """Return an address that somebody is asked to open, if it is one of the web's."""
    if urlsplit(url).scheme not in ("http", "https") or not url.isprintable():
        raise ValueError(url)
    return url


def _unusable(why: str) -> Fault:
    return unavailable(
        "provider_unusable",
        "The OpenID provider cannot be used",
        f"Asking it failed: {why}.",
        "Log in with a local account: cs login ORGANIZATION/NAME",
    )


def _refused(detail: str) -> Fault:
    hint = "cs login begins again."
    return Fault(Letter(FaultKind.UNAUTHENTICATED, "not_identified", "Not logged in", detail, hint))
