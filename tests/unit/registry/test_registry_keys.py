"""The key pair is made once, for this user only, and signs what the registry's certificate verifies."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.factories.threads import together
from touchstone.registry.keys import CERTIFICATE, EVENTS, ISSUER, KEY, SERVICE, keys_load, keys_make
from touchstone.registry.server_config import server_config

ACCESS = [{"type": "repository", "name": "c/alice/m", "actions": ["pull"]}]


def test_a_token_says_who_may_do_what_and_for_how_long(tmp_path: Path) -> None:
    keys = keys_load(tmp_path / "registry")
    public = x509.load_pem_x509_certificate((tmp_path / "registry" / CERTIFICATE).read_bytes()).public_key()

    token = keys.token(subject="alice", access=ACCESS, seconds=300)

    claims = jwt.decode(token, public, algorithms=["ES256"], audience=SERVICE, issuer=ISSUER)  # type: ignore[arg-type]
    assert (claims["sub"], claims["access"]) == ("alice", ACCESS)
    assert claims["exp"] - claims["iat"] == 300
    assert claims["nbf"] < claims["iat"]
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    assert jwt.get_unverified_header(token)["kid"].split(":") == [text[at : at + 4] for at in range(0, 48, 4)]
    assert claims["jti"] != jwt.decode(keys.token(subject="alice", access=ACCESS, seconds=300),
                                       options={"verify_signature": False})["jti"]  # fmt: skip


def test_keys_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "registry"
    keys_make(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    keys_make(folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.parent.iterdir()] == ["registry"]


def test_two_processes_at_once_end_up_with_the_same_keys(tmp_path: Path) -> None:
    folder = tmp_path / "registry"

    def load() -> str:
        keys_make(folder)
        return hashlib.sha256((folder / KEY).read_bytes()).hexdigest()

    assert len(set(together([load] * 8))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["registry"]


def test_what_is_no_key_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    keys_make(folder)
    private = serialization.load_pem_private_key((folder / KEY).read_bytes(), password=None)
    (folder / KEY).write_bytes(_rsa())
    assert private is not None

    with pytest.raises(ValueError, match="remove the folder"):
        keys_load(folder)


def _rsa() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_the_registry_is_told_where_tokens_and_events_go(tmp_path: Path) -> None:
    made = server_config(
        secrets=tmp_path / "registry", storage=Path("/images"), listen="127.0.0.1:5000",
        realm="https://t.example/registry/token", events="http://web/registry/events",
    )  # fmt: skip

    token, endpoint = made["auth"]["token"], made["notifications"]["endpoints"][0]
    assert (token["realm"], token["service"], token["issuer"]) == ("https://t.example/registry/token", SERVICE, ISSUER)
    assert Path(token["rootcertbundle"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert endpoint["url"] == "http://web/registry/events"
    assert endpoint["headers"]["Authorization"] == [f"Bearer {(tmp_path / 'registry' / EVENTS).read_text()}"]
    assert made["storage"]["filesystem"]["rootdirectory"] == "/images"
