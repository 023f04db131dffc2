"""The key pair by which the registry believes the platform's tokens, and the secret by which we believe its events.

Needs no Django: whoever starts the registry makes them before the server runs.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVICE = "touchstone"
ISSUER = "touchstone"
KEY = "key.pem"
CERTIFICATE = "certificate.pem"
EVENTS = "events-secret"
HTTP = "http-secret"
_YEARS = 20
#: A clock that is a little behind ours still finds the token valid.
_SKEW = timedelta(seconds=30)


@dataclass(frozen=True)
class Keys:
    """Signs tokens. `kid` names the key as the registry does: by the digest of its public half."""

    private: ec.EllipticCurvePrivateKey
    kid: str
    events_secret: str

    def token(self, *, subject: str, access: Sequence[Mapping[str, object]], seconds: int) -> str:
        """A JWT that lets `subject` do what `access` lists ([{type, name, actions}]) for so long."""
        moment = datetime.now(UTC)
        claims = {
            "iss": ISSUER, "sub": subject, "aud": SERVICE, "jti": uuid.uuid4().hex, "iat": moment,
            "nbf": moment - _SKEW, "exp": moment + timedelta(seconds=seconds), "access": list(access),
        }  # fmt: skip
        return jwt.encode(claims, self.private, algorithm="ES256", headers={"kid": self.kid})


@lru_cache(maxsize=8)
def keys_load(folder: Path) -> Keys:
    """The keys in `folder`; made on first use, by whichever process is first."""
    keys_make(folder)
    private = serialization.load_pem_private_key((folder / KEY).read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{folder / KEY} is no elliptic-curve key; remove the folder to have a new one made")
    return Keys(private, key_id(private.public_key()), (folder / EVENTS).read_text().strip())


def keys_make(folder: Path) -> None:
    """Make what is missing, readable for this user only. Two processes at once end up with the same keys."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(fresh / KEY, pem)
        _write(fresh / CERTIFICATE, _certificate(private))
        _write(fresh / EVENTS, secrets.token_urlsafe(48).encode())
        _write(fresh / HTTP, secrets.token_urlsafe(48).encode())
        fresh.rename(folder)  # fails where another process was faster: theirs are as good
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def key_id(public: ec.EllipticCurvePublicKey) -> str:
    """The registry's name of a key: SHA-256 of its DER form, 240 bits of it in base 32, in groups of four."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


def _certificate(private: ec.EllipticCurvePrivateKey) -> bytes:
    """Self-signed: the registry only takes the public key from it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Touchstone registry tokens")])
    start = datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
