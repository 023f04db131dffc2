"""What both image builders need: digests of inputs, a build context, the daemon."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path

from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import kwargs_from_env

from docker import APIClient

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "client" / "touchstone_client"
LABEL = "touchstone.inputs"
#: The modules of the client that a sandbox needs; the rest is for participants' own machines.
CLIENT_MODULES = (
    "__init__.py", "_dial.py", "_frames.py", "_http.py", "_oip.py", "_reply.py", "bridge.py", "serving.py",
)  # fmt: skip


class BuildError(Exception):
    """Shown without a traceback: it says what is wrong and what to do."""


def say(text: str) -> None:
    """Progress, for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def client_files() -> dict[str, Path]:
    """Name in the image → file, of `touchstone_client`."""
    return {f"touchstone_client/{name}": CLIENT / name for name in CLIENT_MODULES}


def daemon() -> APIClient:
    """The Docker daemon. Raises `BuildError` if it does not answer."""
    try:
        return APIClient(timeout=1800, **kwargs_from_env())
    except DockerException as error:
        raise BuildError(f"The Docker daemon does not answer ({error}). Start it, or set DOCKER_HOST.") from error


def digest(texts: Iterable[str], files: Mapping[str, Path]) -> str:
    """sha256 over texts, and names and contents of files."""
    total = hashlib.sha256()
    for text in texts:
        total.update(text.encode() + b"\0")
    for name, path in sorted(files.items()):
        total.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _identity(client: APIClient, image: str) -> str:
    try:
        return str(client.inspect_image(image)["Id"])
    except ImageNotFound:
        return ""


def is_current(client: APIClient, image: str, inputs: str) -> bool:
    """Whether `image` exists and was made from just these inputs."""
    try:
        labels = client.inspect_image(image)["Config"]["Labels"] or {}
    except ImageNotFound:
        return False
    return bool(labels.get(LABEL) == inputs)


def context(dockerfile: str, files: Mapping[str, Path], spool: io.IOBase) -> None:
    """Write a build context as a tar: files belong to root, are readable by all, and keep their times."""
    with tarfile.open(fileobj=spool, mode="w", format=tarfile.GNU_FORMAT) as archive:  # type: ignore[arg-type]
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(dockerfile.encode())
        archive.addfile(info, io.BytesIO(dockerfile.encode()))
        for name, path in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            info.mtime = int(path.stat().st_mtime)  # a compiled file is valid for its source's size and time
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                archive.addfile(info, file)


def build(client: APIClient, spool: io.IOBase, *, tag: str, inputs: str, network: str = "none") -> None:
    """Build an image from a context, without network unless told. Raises `BuildError` with the builder's words."""
    spool.seek(0)
    old = _identity(client, tag)
    said: deque[str] = deque(maxlen=30)
    try:
        for message in client.build(
            fileobj=spool,
            custom_context=True,
            tag=tag,
            labels={LABEL: inputs},
            rm=True,
            forcerm=True,
            network_mode=network,
            decode=True,
        ):
            said.append(message.get("stream", ""))
            if "error" in message:
                raise BuildError(f"Building {tag} failed: {message['error']}\n{''.join(said)}")
    except APIError as error:
        raise BuildError(f"Building {tag} failed: {error.explanation}") from error
    if old not in ("", _identity(client, tag)):
        try:
            client.remove_image(old)
        except APIError as error:
            say(f"the image {tag} that was replaced stays: {error.explanation}")
    say(f"{tag} is ready")
