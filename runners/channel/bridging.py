"""Images made for other servers (Triton, KServe, MLServer): reached over TCP inside their own sandbox.

Such an image says where it listens with a label, `org.touchstone.port`, and how it calls its model with another,
`org.touchstone.model`. It is started through a small program, `bridge.c`, which is linked statically, so that
the image needs to have nothing. A node builds the program once from its source, or is told where it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.contract import Verdict
from runners.errors import ParticipantFault, RetryableError

PORT_LABEL = "org.touchstone.port"
MODEL_LABEL = "org.touchstone.model"
NAME = "bridge"
_CHANNEL = "/run/touchstone"
_SOURCE = Path(__file__).with_name("bridge.c")
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-static", "-O2", "-s")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUILD_SECONDS = 120


@dataclass(frozen=True)
class Bridged:
    """What an image's labels ask for: the loopback port it listens on, and its model's name."""

    port: int
    model: str

    def argv(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """How to start the image's own `command`."""
        return (f"{_CHANNEL}/{NAME}", str(self.port), "--", *command)


def wanted(labels: Mapping[str, str], command: tuple[str, ...]) -> Bridged | None:
    """What an image asks for; None where it dials the platform itself. Raises `ParticipantFault` for nonsense."""
    if PORT_LABEL not in labels:
        return None
    text, model = labels[PORT_LABEL].strip(), labels.get(MODEL_LABEL, "model").strip()
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    if not 1 <= port <= 65535:
        raise _refused(f"its label {PORT_LABEL} is {text[:40]!r}, which is no port", "LABEL " + PORT_LABEL + "=8000")
    if not _MODEL.fullmatch(model):
        raise _refused(
            f"its label {MODEL_LABEL} is {model[:40]!r}, which is no name of a model",
            "Letters, digits, dots, dashes and underscores, at most 100.",
        )
    if not command:
        raise _refused("it has the label of a server and no command that starts one", "Give it a CMD or ENTRYPOINT.")
    return Bridged(port, model)


def _refused(why: str, hint: str) -> ParticipantFault:
    return ParticipantFault(Verdict.CRASH, f"The image cannot be started: {why}.", hint=hint, code="image_labels")


def show(folder: Path) -> None:
    """Put the program into a channel's folder, which the sandbox sees. Safe to repeat while it runs."""
    target = folder / NAME
    if target.exists():
        return
    unfinished = folder / f"{NAME}.{os.getpid()}"
    shutil.copyfile(program(), unfinished)
    unfinished.chmod(0o755)
    unfinished.replace(target)


def program() -> Path:
    """The built program: where TOUCHSTONE_BRIDGE says, else in this user's cache, built when it is missing.

    Raises `RetryableError` where this node has neither the program nor a C compiler.
    """
    named = os.environ.get("TOUCHSTONE_BRIDGE")
    if named:
        if not os.access(named, os.X_OK):
            raise RetryableError(f"TOUCHSTONE_BRIDGE={named} is no program", code="bridge_missing")
        return Path(named)
    digest = hashlib.sha256(_SOURCE.read_bytes() + " ".join(_FLAGS).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "touchstone"
    built = cache / f"{NAME}-{digest}"
    if not built.exists():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        build(built)
    return built


def build(target: Path) -> None:
    """Compile the program to `target`. Raises `RetryableError` with the compiler's words."""
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        text = "this node has no C compiler to build the bridge for images that listen on TCP"
        raise RetryableError(f"{text}; install gcc, or set TOUCHSTONE_BRIDGE to a built one", code="bridge_missing")
    with tempfile.TemporaryDirectory(prefix=".bridge-", dir=target.parent) as folder:
        made = Path(folder) / NAME
        command = [compiler, *_FLAGS, "-o", str(made), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS)
        if done.returncode != 0:
            text = f"the bridge for images that listen on TCP does not build: {done.stderr.strip()[-1000:]}"
            raise RetryableError(text, code="bridge_missing")
        made.chmod(0o755)
        made.replace(target)


def main(arguments: list[str] | None = None) -> None:
    """`python -m runners.channel.bridging TARGET`: for images of nodes, which have no compiler later."""
    parser = argparse.ArgumentParser(prog="python -m runners.channel.bridging", description="Build the bridge.")
    parser.add_argument("target", type=Path)
    build(parser.parse_args(arguments).target.absolute())


if __name__ == "__main__":
    main()
