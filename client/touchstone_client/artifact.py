"""What is submitted: a file, a folder, an image or an address; told apart in one place for every command."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from touchstone_client import settings
from touchstone_client.errors import ClientError, ExitCode

KINDS = ("predictions", "model", "code", "container", "endpoint")
_ENDINGS = {
    ".csv": "predictions",
    ".parquet": "predictions",
    ".onnx": "model",
    ".zip": "code",
    ".tar": "container",
    ".tar.gz": "container",
    ".tgz": "container",
}
#: What a folder of each kind is sent as: the one file that is there.
_FILES = {"predictions": ("predictions.csv", "predictions.parquet"), "model": ("model.onnx",)}
_IMAGE = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9._/-]+(?::[A-Za-z0-9._-]+)?(?:@sha256:[0-9a-f]{64})?|sha256:[0-9a-f]+"
)
_BUILD_SECONDS = 3600


@dataclass(frozen=True)
class Artifact:
    """One of `path`, `image` and `url` is given."""

    kind: str
    path: Path | None = None
    image: str = ""
    url: str = ""

    @property
    def name(self) -> str:
        """What it is called on the server and in messages."""
        if self.path is None:
            return self.image or self.url
        path = self.path.resolve()
        if not path.is_dir():
            return path.name
        if self.kind in _FILES:
            found = self.file()
            return found.name if found else path.name
        return f"{path.name}.{'tar' if self.kind == 'container' else 'zip'}"

    def file(self) -> Path | None:
        """The file as it lies there; None where it has to be made (a folder of code or with a Dockerfile)."""
        if self.path is None or self.path.is_file():
            return self.path
        return next((self.path / name for name in _FILES.get(self.kind, ()) if (self.path / name).is_file()), None)


def artifact_of(text: str, *, kind: str = "", image: str = "") -> Artifact:
    """What `text` names: an address, something on this disk, or an image. Raises usage errors (exit 2)."""
    if kind and kind not in KINDS:
        raise _usage(f"{kind!r} is no kind", f"the kinds are {', '.join(KINDS)}", "")
    if image:
        if text:
            raise _usage("A file and an image are given", "one of them can be sent", "Leave out the file, or --image.")
        return Artifact(kind or "container", image=image)
    if not text:
        raise _usage("Nothing to send is named", "", "Give a file, a folder, an image or an https address.")
    if re.match(r"https?://", text):
        return Artifact(kind or "endpoint", url=text)
    path = Path(text)
    if path.exists():
        return Artifact(kind or _told(path), path=path)
    if not _by_ending(path.name) and not text.endswith(("/", ".txt")) and _IMAGE.fullmatch(text):
        return Artifact(kind or "container", image=text)
    raise _usage(f"{text} does not exist", "there is no file or folder of that name", "Check the path.")


def _told(path: Path) -> str:
    found = _folder_kind(path) if path.is_dir() else _by_ending(path.name)
    if not found:
        raise _usage(
            f"The ending of {path.name} does not tell what it is", "", f"Add --kind and one of {', '.join(KINDS[:4])}."
        )
    return found


def _by_ending(name: str) -> str:
    return next((kind for ending, kind in _ENDINGS.items() if name.lower().endswith(ending)), "")


def _folder_kind(folder: Path) -> str:
    """As its own settings say, which `touchstone init` wrote; else by what is in it."""
    told = settings.read(folder / settings.PROJECT_FILE).get("kind", "")
    if told:
        return told
    return "container" if (folder / "Dockerfile").is_file() and not (folder / "main.py").is_file() else "code"


@contextmanager
def sendable(artifact: Artifact) -> Iterator[Path | None]:
    """The one file to send; a folder is packed or built first. None for an image and for an address."""
    if artifact.path is None or artifact.path.is_file():
        yield artifact.path
        return
    file = artifact.file()
    if file is not None:
        yield file
    elif artifact.kind == "code":
        with _zipped(artifact.path) as archive:
            yield archive
    elif artifact.kind == "container":
        with _saved(artifact.path) as archive:
            yield archive
    else:
        names = " or ".join(_FILES.get(artifact.kind, ()))
        hint = f"Put {names} into it, or give the file itself." if names else "Submit the address it runs at."
        raise _invalid(f"{artifact.path} holds no {artifact.kind} to send", "", hint, "no_artifact")


@contextmanager
def _zipped(folder: Path) -> Iterator[Path]:
    from touchstone_client.packing import packed

    if not (folder / "main.py").is_file():
        raise _invalid(
            f"{folder} has no main.py",
            "a folder is sent as code, and code starts with main.py at its root",
            "Give the folder that holds main.py; or a file.",
            "no_main",
        )
    with packed(folder) as archive:
        yield archive


@contextmanager
def _saved(folder: Path) -> Iterator[Path]:
    """The image of a folder with a Dockerfile, as `docker save` writes it."""
    image = build_image(folder)
    with tempfile.TemporaryDirectory(prefix="touchstone-image-") as place:
        archive = Path(place) / "image.tar"
        docker(["save", image, "-o", str(archive)], f"{image} cannot be saved")
        yield archive


def build_image(folder: Path) -> str:
    """Build the Dockerfile of a folder for the platform's nodes; the image's id. Raises `ClientError` (exit 7)."""
    if not (folder / "Dockerfile").is_file():
        raise _invalid(
            f"{folder} has no Dockerfile",
            "a container is built from one",
            "Write one: touchstone init",
            "no_dockerfile",
        )
    return docker(["build", "--quiet", str(folder)], f"The image of {folder} cannot be built").strip().splitlines()[-1]


def docker(arguments: list[str], what: str) -> str:
    """What this machine's docker command prints. Raises `ClientError` with `what` and docker's own words."""
    program = shutil.which("docker")
    if program is None:
        raise ClientError(
            what,
            why="there is no docker command on this machine",
            hint="Build where Docker is, and submit the archive that `docker save IMAGE -o image.tar` makes.",
            code="no_docker",
        )
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _invalid(what, "docker took more than an hour", "", "docker") from error
    if done.returncode:
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-5:]
        raise _invalid(
            what, "; ".join(last) or "docker said nothing", "Mend the Dockerfile; docker says where.", "docker"
        )
    return done.stdout


def _invalid(what: str, why: str, hint: str, code: str) -> ClientError:
    return ClientError(what, why=why, hint=hint, code=code, exit_code=ExitCode.INVALID)


def _usage(what: str, why: str, hint: str) -> ClientError:
    return ClientError(what, why=why, hint=hint, code="usage", exit_code=ExitCode.USAGE)
