"""A CI service on loopback: it has keys of its own, tells the public ones over https, and signs tokens for jobs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.factories.https_server import LOOPBACK, authority, reply, serving

AUDIENCE = "http://testserver"
#: What GitHub says of a job, as far as it matters here.
GITHUB = {
    "repository": "octo/model", "repository_id": "123", "repository_owner": "octo", "repository_owner_id": "77",
    "repository_visibility": "private", "workflow_ref": "octo/model/.github/workflows/submit.yml@refs/heads/main",
    "ref": "refs/heads/main", "sha": "0123456789abcdef0123456789abcdef01234567", "run_id": "4242", "actor": "paula",
    "event_name": "push",
}  # fmt: skip
#: And GitLab.
GITLAB = {
    "project_path": "group/model", "project_id": "55", "namespace_id": "8", "project_visibility": "public",
    "ci_config_ref_uri": "127.0.0.1/group/model//.gitlab-ci.yml@refs/heads/main", "ref_path": "refs/heads/main",
    "sha": "fedcba9876543210", "job_id": "99", "pipeline_source": "push", "user_login": "paula",
}  # fmt: skip


@cache
def key_make(kind: str, number: int = 0) -> Any:
    """A private key: making one takes longer than most tests, so each is made once."""
    if kind == "EC":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if kind == "short" else 2048)


class CiIssuer:
    """`keys` are what it signs with, by name; the server tells their public halves. `asked` counts how often."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Any] = {"first": key_make("RSA")}
        self.asked = 0
        self.broken = False

    def entry(self, **changes: Any) -> dict[str, Any]:
        """This issuer in TOUCHSTONE_OIDC_ISSUERS."""
        base = {"issuer": self.url, "kind": "github", "name": "GitHub", "keys": f"{self.url}/keys",
                "web": "https://github.example", "algorithms": ["RS256", "ES256"]}  # fmt: skip
        return {**base, **changes}

    def jwks(self) -> dict[str, Any]:
        return {"keys": [_public(name, key) for name, key in self.keys.items()]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A good token's claims; None takes one out."""
        moment = int(time.time())
        base = {"iss": self.url, "aud": AUDIENCE, "iat": moment, "nbf": moment, "exp": moment + 300,
                "jti": uuid.uuid4().hex, **GITHUB}  # fmt: skip
        return {name: value for name, value in (base | changes).items() if value is not None}

    def token(self, *, key: Any = None, kid: str = "first", alg: str = "RS256", **changes: Any) -> str:
        signed = self.keys[kid] if key is None else key
        return jwt.encode(self.claims(**changes), signed, algorithm=alg, headers={"kid": kid})


def _public(name: str, key: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": name, "use": "sig"}


@contextmanager
def ci_issuer(folder: Path, settings: Any) -> Iterator[CiIssuer]:
    """An issuer that answers over https until the end of the block, registered as a GitHub."""
    from touchstone.config.settings.issuers import issuer_settings

    made: list[CiIssuer] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        made[0].asked += 1
        if made[0].broken or request.path != "/keys":
            reply(request, 500)
        else:
            reply(request, 200, json.dumps(made[0].jwks()).encode(), Content_Type="application/json")

    trusted = authority(folder)
    with serving(answer, tls=trusted.context("127.0.0.1")) as port:
        made.append(CiIssuer(f"https://127.0.0.1:{port}"))
        settings.TOUCHSTONE_OUTBOUND_ALLOW = LOOPBACK
        settings.TOUCHSTONE_OUTBOUND_CA = str(trusted.ca)
        settings.TOUCHSTONE_OIDC_ISSUERS = issuer_settings(json.dumps([made[0].entry()]))
        yield made[0]
