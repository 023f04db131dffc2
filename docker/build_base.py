"""Make `touchstone/base:1`, the image participants build on: Debian bookworm, Python 3.11, NumPy, touchstone_client.

    python docker/build_base.py

Debian comes from a registry where one answers, else from debootstrap (as root). Safe to repeat:
an image made from the same inputs stays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _images import BuildError, build, client_files, context, daemon, digest, is_current, say
from docker.errors import APIError

from docker import APIClient

TAG = "touchstone/base:1"
_DEBIAN = "debian:bookworm-slim"
_SYSTEM = "touchstone/system:1"
_PULL_SECONDS = 60
_PACKAGES = ("python3", "python3-numpy", "ca-certificates")
_USELESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
DOCKERFILE = f"""\
FROM {_SYSTEM}
RUN ln -sf /usr/bin/python3 /usr/local/bin/python && mkdir -p /submission /run/touchstone /app
COPY touchstone_client /opt/touchstone/touchstone_client
ENV PYTHONPATH=/opt/touchstone PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 HOME=/tmp
WORKDIR /app
USER 65534:65534
CMD ["python", "main.py"]
"""
_FROM_REGISTRY = f"""\
FROM {_DEBIAN}
RUN apt-get update && apt-get install -y --no-install-recommends {" ".join(_PACKAGES)} && rm -rf /var/lib/apt/lists/*
"""


def _pulled() -> bool:
    command = ["docker", "build", "--pull", "-q", "-t", _SYSTEM, "-"]
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(
            command, input=_FROM_REGISTRY.encode(), capture_output=True, timeout=_PULL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        say("the registry is too slow")
        return False
    if done.returncode != 0:
        say(f"no registry answers: {done.stderr.decode('utf-8', 'replace').strip().splitlines()[-1:]}")
    return done.returncode == 0


def _bootstrapped(client: APIClient) -> None:
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise BuildError(
            f"No registry answers for {_DEBIAN}, and debootstrap cannot be used. "
            "Install the package debootstrap and run this as root, or connect to a registry."
        )
    say("making a Debian system with debootstrap (about a minute)")
    with tempfile.TemporaryDirectory(prefix="touchstone-base-") as folder:
        root = Path(folder) / "root"
        include = f"--include={','.join(_PACKAGES)}"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", include, "bookworm", str(root)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BuildError(f"debootstrap failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        _import(client, root)


def _import(client: APIClient, root: Path) -> None:
    for useless in _USELESS:
        shutil.rmtree(root / useless, ignore_errors=True)
    archive = root.parent / "root.tar"
    command = ["tar", "-C", str(root), "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*"]
    subprocess.run([*command, "-cf", str(archive), "."], check=True)
    repository, _, tag = _SYSTEM.partition(":")
    client.import_image_from_file(str(archive), repository=repository, tag=tag)


def _ensure_system(client: APIClient) -> None:
    try:
        client.inspect_image(_SYSTEM)
    except APIError:
        if not _pulled():
            _bootstrapped(client)


def main() -> int:
    """Build unless it is there; the exit code."""
    try:
        client = daemon()
        files = client_files()
        inputs = digest([DOCKERFILE, *_PACKAGES], files)
        if is_current(client, TAG, inputs):
            say(f"{TAG} is up to date")
            return 0
        _ensure_system(client)
        with tempfile.TemporaryFile() as spool:
            context(DOCKERFILE, files, spool)
            build(client, spool, tag=TAG, inputs=inputs)
    except BuildError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
