"""Web servers on loopback that do as a test says, with certificates of a local authority."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = ("127.0.0.0/8", "::1/128")
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test's own. `ca` is what clients trust."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """What a server needs to be these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(names[0], key, self.certificate.subject, self.key, names=names, expired=expired)
        chain = self.folder / f"{names[0].replace(':', '_')}-{certificate.serial_number}.pem"
        chain.write_bytes(_pem_key(key) + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


def authority(folder: Path) -> Authority:
    """A new authority that keeps its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority for tests")])
    made = Authority(folder, key, _certificate("", key, name, key, ca=True))
    made.ca.write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
    return made


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refused a certificate or hung up is what many tests are about."""


@contextmanager
def serving(answer: Answer, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that answers every request by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 10

        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def setup(self) -> None:
            if tls is not None:  # in the connection's own thread: a handshake never blocks the others
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
            pass

    server = _Server((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """A whole reply; underscores in the names of headers become hyphens."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...] = (),
    ca: bool = False,
    expired: bool = False,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    subject = issuer if ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = now - dt.timedelta(days=1) if expired else now + dt.timedelta(days=2)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=2)).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )  # fmt: skip
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(text) for text in names]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
