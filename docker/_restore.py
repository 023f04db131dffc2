"""Restore: a deployment from a backup that `_backup.py` wrote. What is cut off may be done again."""

from __future__ import annotations

import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from _backup import REGISTRY, blob, facts_of, some, verify
from _deployment import DeployError, Deployment
from _images import say
from _services import begin, renew, set_up

_PSQL = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "/run/postgresql", "-U", "touchstone")
#: A restored database has this name until it is whole, and then takes the place of the one there.
_FRESH = "touchstone_restored"
_RESTORE = (
    "pg_restore", "-h", "/run/postgresql", "-U", "touchstone", f"--dbname={_FRESH}", "--no-owner", "--exit-on-error",
    "--single-transaction",
)  # fmt: skip
#: The comment on a database in whose place a restored one came, and which is not yet settled.
_UNSETTLED = "restored, not yet settled"
_STATE = "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = 'touchstone'"


def restore(deployment: Deployment, folder: Path) -> None:
    """Make a deployment from a backup, or fill one that holds nothing yet. Raises `DeployError`.

    The database comes beside the one there, and takes its place once all files are stored. Whatever fails before its
    services start, the same command may be given again.
    """
    say("checking the backup")
    manifest = verify(folder)
    begin(deployment)
    _refuse_content(deployment)
    deployment.compose("stop", "web", "scheduler", *deployment.nodes)
    say("the database")
    _order(deployment, f"DROP DATABASE IF EXISTS {_FRESH} WITH (FORCE)", f"CREATE DATABASE {_FRESH}")
    with (folder / manifest["database"]["name"]).open("rb") as dump:
        _run(deployment.exec("postgres", *_RESTORE), stdin=dump)
    say("stored files")
    receive = deployment.once("python3", "-m", "scripts.stored", "receive")
    _give(receive, _tarred(folder / "blobs", manifest["blobs"]), env=deployment.environment())
    _swap(deployment)
    set_up(deployment)
    found = facts_of(deployment, "settle")
    new = sorted(set(found["missing"]) - set(manifest["missing"]))
    if new:
        raise DeployError(f"The database refers to {len(new)} files that are not in the storage: {some(new)}.")
    if found["missing"]:
        say(f"{len(found['missing'])} files were missing when the backup was made: {some(found['missing'])}")
    if manifest["images"]:  # before the nodes: runs that wait may need one
        say("images of the registry")
        renew(deployment, ("registry",))
        with (folder / manifest["images"]["name"]).open("rb") as images:
            _run(deployment.exec("registry", "tar", "-C", REGISTRY, "-x"), stdin=images)
    _order(deployment, "COMMENT ON DATABASE touchstone IS NULL")
    renew(deployment)
    say(f"restored the backup of {manifest['created']}: {found['rows']['evaluations_run']} runs")


def _swap(deployment: Deployment) -> None:
    """Put the restored database in the place of the empty one, which goes."""
    _order(
        deployment,
        f"COMMENT ON DATABASE {_FRESH} IS '{_UNSETTLED}'",
        "DROP DATABASE IF EXISTS touchstone WITH (FORCE)",
        f"ALTER DATABASE {_FRESH} RENAME TO touchstone",
    )


def _refuse_content(deployment: Deployment) -> None:
    """People are the first that a deployment gets. One that a restore left half-way may be filled again."""
    if _ask(deployment, _STATE, database="postgres") == _UNSETTLED:
        say("a restore was cut off here; it begins again")
        return
    there = _ask(deployment, "SELECT count(*) FROM pg_database WHERE datname = 'touchstone'", database="postgres")
    query = "SELECT CASE WHEN to_regclass('accounts_user') IS NULL THEN 0 ELSE 1 END"
    if there == "0" or _ask(deployment, query) == "0":
        return
    people = _ask(deployment, "SELECT count(*) FROM accounts_user")
    if people != "0":
        raise DeployError(
            f"This deployment is not empty: it has {people} accounts. A backup is restored into an empty one only; "
            "make one with another TOUCHSTONE_HOME and COMPOSE_PROJECT_NAME, or remove this one's data with "
            "`deploy.py down --data`."
        )


def refuse_unsettled(deployment: Deployment) -> None:
    """Raises `DeployError` where a restore was cut off after the database took its place: only a restore goes on."""
    if deployment.is_running("postgres") and _ask(deployment, _STATE, database="postgres") == _UNSETTLED:
        raise DeployError(
            "A restore was cut off here, so nothing is started on what it left: give the same `restore` again, or "
            "begin anew after `deploy.py down --data`."
        )


def _order(deployment: Deployment, *orders: str) -> None:
    """Each in a transaction of its own: databases come and go outside of one."""
    asked = [part for order in orders for part in ("-c", order)]
    _run(deployment.exec("postgres", *_PSQL, *asked, "postgres"), stdin=subprocess.DEVNULL)


def _ask(deployment: Deployment, query: str, *, database: str = "touchstone") -> str:
    argv = deployment.exec("postgres", *_PSQL, "-c", query, database)
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _run(argv: list[str], **options: Any) -> None:
    if subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, **options).returncode != 0:
        raise DeployError(f"`{' '.join(argv[:6])} …` failed; see above.")


def _tarred(folder: Path, names: Iterable[str]) -> Callable[[IO[bytes]], None]:
    """Writes an archive of stored files into a pipe."""

    def write(pipe: IO[bytes]) -> None:
        with tarfile.open(fileobj=pipe, mode="w|") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                path = blob(folder, name)
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(info, file)

    return write


def _give(argv: list[str], write: Callable[[IO[bytes]], None], *, env: Mapping[str, str]) -> None:
    """Run a command whose stdin `write` fills."""
    failure: list[BaseException] = []

    def fill(pipe: IO[bytes]) -> None:
        try:
            with pipe:
                write(pipe)
        except BaseException as error:  # told by whoever waits for the command
            failure.append(error)

    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env) as process:
        thread = threading.Thread(target=fill, args=(process.stdin,))
        thread.start()
        code = process.wait()
        thread.join()
    if code != 0:
        raise DeployError(f"`{' '.join(argv[-4:])}` ended with status {code}; see above.")
    if failure:
        raise failure[0]
