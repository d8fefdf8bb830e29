"""What is believed of an OpenID provider, and what is not."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from codestore.domain.faults import Fault, FaultKind
from codestore.domain.secret import Secret
from codestore.oidc import Client, OidcIdentities
from codestore.ports import Identity, Pending
from tests.support.provider import CLIENT, CLIENT_SECRET, USER_CODE, Provider, running

CODE = Secret("device-code")
ADA = Identity("subject-1", "ada@example.org")


class Time:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        yield made


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def oidc(provider: Provider, clock: Time) -> AsyncIterator[OidcIdentities]:
    client = Client(provider.url, CLIENT, Secret(CLIENT_SECRET))
    async with aclosing(OidcIdentities(client, clock)) as made:
        yield made


async def test_a_code_is_asked_for_and_whoever_enters_it_is_let_in(
    provider: Provider, oidc: OidcIdentities
) -> None:
    asked = await oidc.ask()
    assert (asked.user_code, asked.uri) == (USER_CODE, f"{provider.url}/enter")
    assert "device-code" not in repr(asked)
    assert await oidc.collect(asked.device_code) == Pending()
    provider.error = "slow_down"
    assert await oidc.collect(asked.device_code) == Pending(slower=True)
    provider.let_in("Ada@example.org")
    assert await oidc.collect(asked.device_code) == ADA
    sent = [form for path, form in provider.asked if path == "/token"]
    assert sent[0]["client_secret"] == CLIENT_SECRET
    assert sent[0]["device_code"] == "device-code"
    assert [path for path, _ in provider.asked].count("/keys") == 1


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant"])
async def test_whom_nobody_lets_in_stays_out(
    provider: Provider, oidc: OidcIdentities, error: str
) -> None:
    provider.error = error
    with pytest.raises(Fault) as caught:
        await oidc.collect(CODE)
    assert caught.value.letter.kind is FaultKind.UNAUTHENTICATED


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody-else"},
        {"iss": "https://elsewhere.example.org"},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"sub": None},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": ""},
        {"email": None},
    ],
)
async def test_a_token_that_says_something_else_is_not_believed(
    provider: Provider, oidc: OidcIdentities, claims: dict[str, Any]
) -> None:
    provider.let_in("ada@example.org")
    provider.claims |= claims
    with pytest.raises(Fault) as caught:
        await oidc.collect(CODE)
    assert caught.value.letter.code == "not_identified"


async def test_a_token_that_the_provider_did_not_sign_is_not_believed(
    provider: Provider, oidc: OidcIdentities
) -> None:
    provider.let_in("ada@example.org")
    honest = provider.token()
    head, body, signature = honest.split(".")
    claims = jwt.decode(honest, options={"verify_signature": False})
    public = provider.published[0]
    forged = [
        jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}),
        jwt.encode(claims, public["x"] * 2, algorithm="HS256", headers={"kid": "one"}),
        jwt.encode(
            claims,
            ec.generate_private_key(ec.SECP256R1()),
            algorithm="ES256",
            headers={"kid": "one", "jwk": public},
        ),
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        "",
        "not a token",
    ]
    for token in forged:
        provider.raw = token or " "
        with pytest.raises(Fault) as caught:
            await oidc.collect(CODE)
        assert caught.value.letter.code == "not_identified", token


async def test_a_new_key_is_found_but_not_looked_for_all_the_time(
    provider: Provider, oidc: OidcIdentities, clock: Time
) -> None:
    provider.let_in("ada@example.org")
    assert await oidc.collect(CODE) == ADA
    provider.key, provider.header = ec.generate_private_key(ec.SECP256R1()), {"kid": "two"}
    provider.publish("two", provider.key)
    for _ in range(3):
        with pytest.raises(Fault):
            await oidc.collect(CODE)
    assert [path for path, _ in provider.asked].count("/keys") == 1
    clock.now += 61
    assert await oidc.collect(CODE) == ADA


async def test_a_provider_that_is_not_one_is_a_fault_that_passes(
    provider: Provider, oidc: OidcIdentities
) -> None:
    provider.error = "server_error"
    with pytest.raises(Fault) as caught:
        await oidc.collect(CODE)
    assert caught.value.letter.kind is FaultKind.UNAVAILABLE
    for document in (
        {"issuer": "https://elsewhere.example.org"},
        {"device_authorization_endpoint": None},
        {"device_authorization_endpoint": "http://elsewhere.example.org/device"},
        {"device_authorization_endpoint": "file:///etc/passwd"},
        {"device_authorization_endpoint": f"{provider.url}/nowhere"},
    ):
        provider.document = document
        client = Client(provider.url, CLIENT)
        async with aclosing(OidcIdentities(client)) as fresh:
            with pytest.raises(Fault) as caught:
                await fresh.ask()
        assert caught.value.letter.code == "provider_unusable", document


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:1", "http://example.org", "nonsense"])
async def test_a_provider_that_is_not_there_is_a_fault(issuer: str) -> None:
    async with aclosing(OidcIdentities(Client(issuer, CLIENT))) as nobody:
        with pytest.raises(Fault) as caught:
            await nobody.ask()
    assert caught.value.letter.kind is FaultKind.UNAVAILABLE
