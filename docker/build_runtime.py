"""Make `touchstone/runtime:1`: the base image with the platform's own Python packages, `runners` and the client.

    python docker/build_runtime.py

`model` submissions are served in it, and `code` submissions run in it. The packages are copied from the
environment that runs this, so a node needs no network and the image holds what was tested. Safe
to repeat: an image made from the same inputs stays.
"""

from __future__ import annotations

import platform
import re
import sys
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import build_base
from _images import ROOT, BuildError, build, client_files, context, daemon, digest, is_current, say

from docker import APIClient

TAG = "touchstone/runtime:1"
#: What a `code` submission may import, besides the standard library. docs/submitting-containers.md says the same.
PACKAGES = ("numpy", "scipy", "pandas", "pillow", "scikit-learn", "torch", "onnx", "onnxruntime", "safetensors")
_DEBIAN_PYTHON = (3, 11)
#: Headers, static libraries, tests and programs; only torch looks for a program of its own at import.
#: Compiled files (.pyc) stay: without them the read-only sandbox compiles torch anew at each start.
_SKIPPED = re.compile(r"(^|/)(tests?|include|share)/|\.(a|pyi|h|hpp|cuh|cmake)$|^\.\./|(^|/)bin/(?!torch_shm_manager$)")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
#: The packages change seldom and are big: an image of their own, so that a change of our code is built in a second.
_PACKAGE_TAG = "touchstone/packages:1"
_PACKAGE_DOCKERFILE = f"FROM {build_base.TAG}\nCOPY site /opt/touchstone/site\n"
_OWN = ("runners/__init__.py", "runners/models/__init__.py", "runners/models/weights_server.py")
DOCKERFILE = f"""\
FROM {_PACKAGE_TAG}
COPY runners /opt/touchstone/lib/runners
COPY touchstone_client /opt/touchstone/lib/touchstone_client
ENV PYTHONPATH=/opt/touchstone/lib:/opt/touchstone/site
WORKDIR /tmp
"""


def closure(names: tuple[str, ...]) -> dict[str, Distribution]:
    """The named distributions and all they need here, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as error:
            if name in names:
                raise BuildError(f"{name} is not installed here; install requirements.txt first.") from error
            continue
        for requirement in found[name].requires or ():
            match = _REQUIREMENT.match(requirement)
            if match and "extra ==" not in requirement:
                waiting.append(match[1])
    return found


def _package_files(packages: dict[str, Distribution], *, skipped: re.Pattern[str] = _SKIPPED) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for package in packages.values():
        for entry in package.files or ():
            name = entry.as_posix()
            path = Path(str(package.locate_file(entry)))
            if skipped.search(name) or not path.is_file():
                continue
            files[f"site/{name}"] = path
    return files


def _own_files() -> dict[str, Path]:
    """What runs in the sandbox, and no more of the platform."""
    folder = ROOT / "runners" / "models" / "onnx_torch"
    names = [*_OWN, *(str(path.relative_to(ROOT)) for path in folder.glob("*.py"))]
    return {name: ROOT / name for name in names} | client_files()


def _check_python() -> None:
    if sys.version_info[:2] != _DEBIAN_PYTHON or platform.system() != "Linux":
        raise BuildError(
            f"The image's Python is {'.'.join(map(str, _DEBIAN_PYTHON))} on Linux, this one is "
            f"{platform.python_version()} on {platform.system()}: its compiled packages would not load there. "
            "Run this with Python 3.11."
        )


def _ensure_packages(client: APIClient) -> str:
    """Build the image with the packages unless it is there; its id."""
    packages = closure(PACKAGES)
    base = str(client.inspect_image(build_base.TAG)["Id"])
    versions = [f"{name}=={package.version}" for name, package in sorted(packages.items())]
    inputs = digest([_PACKAGE_DOCKERFILE, base, _SKIPPED.pattern, *versions], {})
    if not is_current(client, _PACKAGE_TAG, inputs):
        with tempfile.TemporaryFile() as spool:
            context(_PACKAGE_DOCKERFILE, _package_files(packages), spool)
            say(f"copying {spool.tell() / 1e6:.0f} MB of packages")
            build(client, spool, tag=_PACKAGE_TAG, inputs=inputs)
    return str(client.inspect_image(_PACKAGE_TAG)["Id"])


def _ensure_runtime(client: APIClient, packages: str) -> None:
    own = _own_files()
    inputs = digest([DOCKERFILE, packages], own)
    if is_current(client, TAG, inputs):
        say(f"{TAG} is up to date")
        return
    with tempfile.TemporaryFile() as spool:
        context(DOCKERFILE, own, spool)
        build(client, spool, tag=TAG, inputs=inputs)


def main() -> int:
    """Build unless it is there; the exit code."""
    if build_base.main() != 0:
        return 1
    try:
        _check_python()
        client = daemon()
        _ensure_runtime(client, _ensure_packages(client))
    except BuildError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
