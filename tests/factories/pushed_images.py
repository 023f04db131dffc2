"""Images as a registry holds them, made by hand, and a registry that serves whatever it is given."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
TOKEN = "the-token"


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def layer(files: dict[str, bytes] | None = None) -> bytes:
    """A layer's tar, not packed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in (files or {"app/data": bytes(1000)}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class Blobs(dict[str, bytes]):
    """What a registry holds, by digest."""

    def put(self, raw: bytes) -> dict[str, Any]:
        """Store bytes; the descriptor without its media type."""
        self[digest_of(raw)] = raw
        return {"digest": digest_of(raw), "size": len(raw)}

    def image(
        self,
        layers: list[bytes] | None = None,
        *,
        user: str = "1000",
        settings: dict[str, Any] | None = None,
        manifest: dict[str, Any] | None = None,
        part: dict[str, Any] | None = None,
        diff_ids: list[str] | None = None,
        **config: Any,
    ) -> str:
        """A whole image; its digest. `manifest`, `part` (the last layer's) and `config` replace what is right."""
        layers = layers if layers is not None else [layer()]
        body = {
            "architecture": "amd64", "os": "linux",
            "config": {"Cmd": ["python", "main.py"], "User": user, **(settings or {})},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest_of(each) for each in layers]}, **config,
        }  # fmt: skip
        parts = [{"mediaType": LAYER, **self.put(gzip.compress(each, 1, mtime=0))} for each in layers]
        parts[-1] |= part or {}
        whole = {
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": parts,
            "config": {"mediaType": CONFIG, **self.put(json.dumps(body).encode())}, **(manifest or {}),
        }  # fmt: skip
        return str(self.put(json.dumps(whole).encode())["digest"])

    def index(self, images: list[tuple[str, str]]) -> str:
        """A list of images as (digest, `os/architecture`); its digest."""
        listed = [
            {
                "mediaType": MANIFEST, "digest": digest, "size": len(self[digest]),
                "platform": dict(zip(("os", "architecture"), place.split("/"), strict=True)),
            }
            for digest, place in images
        ]  # fmt: skip
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        return str(self.put(json.dumps(body).encode())["digest"])


@contextmanager
def serving(blobs: Blobs, *, status: int = 200, media_type: str = "") -> Iterator[tuple[str, list[str]]]:
    """A registry that gives out `blobs` for `TOKEN`; (its URL, the paths that it was asked for)."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            raw = blobs.get(self.path.rpartition("/")[2])
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            code = 401 if not known else 404 if raw is None else status
            self.send_response(code)
            body = raw if code == 200 and raw is not None else b""
            if media_type:
                self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
