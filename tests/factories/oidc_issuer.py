"""A small OpenID Connect provider on loopback: discovery, keys, authorisation code with PKCE, user info."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "touchstone", "a-shared-secret"


class Issuer:
    """`person` is who signs in next. Codes work once, for their client and their PKCE verifier only."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.person: dict[str, Any] = {"sub": "1", "preferred_username": "ida", "email": "ida@example.org"}
        self.codes: dict[str, tuple[str, str]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.url = ""

    def authorise(self, url: str) -> str:
        """What the provider's page does once the person agrees: the address that the browser is sent back to."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        if query["client_id"] != CLIENT or query.get("code_challenge_method") != "S256":
            raise AssertionError(f"no request of ours: {query}")
        code = secrets.token_urlsafe(16)
        self.codes[code] = (query["code_challenge"], query.get("nonce", ""))
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def answer(self, path: str, form: dict[str, str], bearer: str) -> tuple[int, dict[str, Any]]:
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys", "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }  # fmt: skip
        if path == "/token":
            return self._token(form)
        if path == "/userinfo" and bearer in self.tokens:
            return 200, self.tokens[bearer]
        return 404, {"error": "not_found"}

    def _token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        challenge, nonce = self.codes.pop(form.get("code", ""), ("", ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = challenge and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        if not proved or (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return 400, {"error": "invalid_grant"}
        token = secrets.token_urlsafe(16)
        self.tokens[token] = dict(self.person)
        now = int(time.time())
        claims = {**self.person, "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce}
        return 200, {
            "access_token": token, "token_type": "Bearer", "expires_in": 60,
            "id_token": jwt.encode(claims, self.key, algorithm="RS256"),
        }  # fmt: skip


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer that answers on a port of loopback until the end of the block."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._respond({key: values[0] for key, values in parse_qs(body).items()})

        def _respond(self, form: dict[str, str]) -> None:
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, content = issuer.answer(urlsplit(self.path).path, form, bearer)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Tests read no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
