"""An OpenID provider on this machine: it signs what it is told to, and lets in whom it is told."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

CLIENT, CLIENT_SECRET, USER_CODE = "codestore", "secret-of-the-client", "WDJB-MJHT"


@dataclass
class Provider:
    """``claims`` replace those of the next token; ``error`` is answered instead of one."""

    url: str = ""
    error: str | None = "authorization_pending"
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"kid": "one"})
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    document: dict[str, Any] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    raw: str | None = None

    def let_in(self, email: str, **claims: Any) -> None:
        self.error = None
        self.claims = {"email": email, **claims}

    def publish(self, kid: str, key: ec.EllipticCurvePrivateKey) -> None:
        public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        self.published = [{**public, "kid": kid, "alg": "ES256", "use": "sig"}]

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 60,
            "email_verified": True,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.raw or jwt.encode(claims, self.key, algorithm="ES256", headers=self.header)

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.asked.append((path, form))
        match path:
            case "/.well-known/openid-configuration":
                places = {
                    "issuer": self.url,
                    "device_authorization_endpoint": f"{self.url}/device",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                }
                return 200, {**places, **self.document}
            case "/keys":
                return 200, {"keys": self.published}
            case "/device":
                return 200, {
                    "device_code": "device-code",
                    "user_code": USER_CODE,
                    "verification_uri": f"{self.url}/enter",
                    "expires_in": 30,
                    "interval": 0.05,
                }
            case "/token" if self.error is not None:
                return 400, {"error": self.error}
            case "/token":
                return 200, {"access_token": "x", "id_token": self.token()}
        return 404, {}


@contextmanager
def running() -> Iterator[Provider]:
    """Lend a provider that answers on a free port."""
    provider = Provider()
    provider.publish("one", provider.key)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, told = provider.answer(self.path, form)
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
