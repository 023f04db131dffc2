"""What a node may do in Redis: with a Redis that has the ACL in force, and a worker of Celery as a node starts it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import prepare
import pytest
import redis_users
from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from tests.conftest import need
from touchstone.config.celery import app as server_app

_NODES = ["node-1", "node-2"]
_SECONDS = 60.0
#: A node's worker, but for what a nudge does: it notes its argument, and waits while there is a file `hold`.
_WORKER = """
import os, time
from pathlib import Path
from celery import Celery
app = Celery("node", broker=os.environ["BROKER"], set_as_current=False)
app.conf.update(
    task_ignore_result=True, task_serializer="json", accept_content=["json"], worker_prefetch_multiplier=1,
    worker_concurrency=1, broker_connection_retry_on_startup=True, worker_enable_remote_control=False,
    broker_transport_options={"visibility_timeout": 86400, "polling_interval": 0.1},
)

@app.task(name="touchstone.nudge")
def nudge(run):
    Path(f"took-{run}").touch()
    while Path("hold").exists():
        time.sleep(0.05)
"""


@dataclass
class Queue:
    """A Redis with the users of a deployment."""

    secrets: Path
    socket: Path

    def url(self, name: str) -> str:
        """The URL in a file of secrets, by this Redis's socket."""
        user, _, password = (self.secrets / name).read_text().removeprefix("redis://").partition("@")[0].partition(":")
        return f"redis+socket://{user}:{password}@{self.socket}?virtual_host=0"

    def connect(self, name: str) -> Redis:
        user, _, password = (self.secrets / name).read_text().removeprefix("redis://").partition("@")[0].partition(":")
        return _connect(self, user, password)

    def refused(self) -> list[str]:
        """What users were refused since the last look: user, command or key."""
        with self.connect("broker_url") as redis:
            log = redis.acl_log()
            redis.acl_log_reset()
        return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in log]


def _connect(queue: Queue, user: str | None = None, password: str | None = None) -> Redis:
    once = Retry(NoBackoff(), 0)
    return Redis(unix_socket_path=str(queue.socket), username=user, password=password, retry=once)


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {_SECONDS} s"
        time.sleep(0.05)


@pytest.fixture
def queue(secrets_home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    need(shutil.which("redis-server") is not None, "redis-server", switch="REQUIRE_DOCKER")
    prepare.main([str(secrets_home), *_NODES])
    found = Queue(secrets_home / "secrets", tmp_path_factory.mktemp("r") / "s")
    argv = ["redis-server", "--port", "0", "--unixsocket", str(found.socket), "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([*argv, "--aclfile", str(found.secrets / "redis_acl")], stdout=subprocess.DEVNULL)
    try:
        _until(lambda: server.poll() is not None or _answers(found), "Redis answers")
        assert server.poll() is None, "Redis refused its users"
        yield found
    finally:
        server.terminate()
        server.wait(timeout=_SECONDS)


def _answers(queue: Queue) -> bool:
    try:
        with queue.connect("broker_url") as redis:
            return bool(redis.ping())
    except RedisConnectionError:
        return False


@pytest.fixture
def worker(queue: Queue, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as docker/compose.yml starts one, in `tmp_path`."""
    (tmp_path / "work.py").write_text(_WORKER)
    env = os.environ | {"BROKER": queue.url("node-1-queue"), "C_FORCE_ROOT": "1"}
    argv = [sys.executable, "-m", "celery", "--app=work", "worker", "--queues=cpu,gpu", "--without-mingle"]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen([*argv, "--without-gossip"], cwd=tmp_path, env=env, stdout=log, stderr=log)
        try:
            yield child
        finally:
            (tmp_path / "hold").unlink(missing_ok=True)
            child.kill() if child.poll() is None else None
            child.wait(timeout=_SECONDS)


def _nudge(queue: Queue, run: str, name: str) -> None:
    options = server_app.conf.broker_transport_options
    with Celery("server", broker=queue.url("broker_url"), set_as_current=False) as server:
        server.conf.broker_transport_options = options
        server.send_task("touchstone.nudge", args=[run], queue=name, ignore_result=True)


def test_a_worker_takes_acknowledges_and_puts_back(
    queue: Queue, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    for run, name in (("1", "cpu"), ("2", "gpu"), ("3", "cpu")):
        _nudge(queue, run, name)
    _until(lambda: len(list(tmp_path.glob("took-*"))) == 3 or worker.poll() is not None, "nudges are taken")
    assert worker.poll() is None, (tmp_path / "log").read_text()[-3000:]

    with queue.connect("broker_url") as redis:
        _until(lambda: redis.exists("unacked", "unacked_index") == 0, "all are acknowledged")
        (tmp_path / "hold").touch()
        _nudge(queue, "4", "cpu")
        _until((tmp_path / "took-4").exists, "one more is taken")
        _nudge(queue, "5", "cpu")  # taken beforehand, while the worker is busy
        _until(lambda: redis.hlen("unacked") == 1, "it is in the list of what is taken")
        worker.send_signal(signal.SIGTERM)
        (tmp_path / "hold").unlink()
        worker.wait(timeout=_SECONDS)
        assert redis.llen("cpu") == 1
        assert redis.exists("unacked", "unacked_index") == 0
    assert queue.refused() == []


_NOT_A_NODES = (
    "SELECT 1", "SCAN 0", "KEYS *", "INFO", "CONFIG GET *", "FLUSHALL", "EVAL return(1) 0", "CLIENT LIST",
    "SETRANGE cpu 536870911 x", "APPEND unacked_mutex x", "RENAME cpu server", "COPY cpu server",
    "SORT cpu STORE server",
    "LPUSH server x", "LPUSH cpu-2 x", "GET touchstone:1:x", "SET touchstone:1:x y", "HSET server.unacked x y",
    "ZADD server.unacked_index 1 x", "SADD _kombu.binding.server x", "PUBLISH /0.celery.pidbox x", "SUBSCRIBE x",
    "ACL WHOAMI", "BRPOP server 1", "XADD cpu * a b", "SCRIPT FLUSH", "FUNCTION LIST", "MONITOR",
)  # fmt: skip


def test_what_a_node_may_not_do(queue: Queue) -> None:
    done: list[str] = []
    with queue.connect("node-2-queue") as redis:
        for command in _NOT_A_NODES:
            try:
                redis.execute_command(*command.split())
            except NoPermissionError:
                continue
            done.append(command)
    assert done == []


def test_what_the_server_has_taken_is_apart_from_what_nodes_have() -> None:
    options = server_app.conf.broker_transport_options
    line = next(
        line
        for line in redis_users.acl(server={"s"}, nodes={"node.a": {"n"}}).splitlines()
        if line.startswith("user node.a")
    )
    keys = [part.removeprefix("~") for part in line.split() if part.startswith("~")]

    ours = {options[name] for name in ("unacked_key", "unacked_index_key", "unacked_mutex_key")}
    assert len(ours) == 3
    assert all(key.startswith("server.") for key in ours)
    assert not any(key.startswith(("server", "*", "?")) for key in keys)


def test_each_node_has_a_password_of_its_own_and_redis_keeps_digests(queue: Queue) -> None:
    texts = {name: (queue.secrets / f"{name}-queue").read_text() for name in _NODES}
    passwords = [text.partition("@")[0].rpartition(":")[2] for text in texts.values()]

    assert len(set(passwords)) == 2
    assert not any(password in (queue.secrets / "redis_acl").read_text() for password in passwords)
    with _connect(queue, "node.node-1", passwords[1]) as wrong, pytest.raises(AuthenticationError):
        wrong.ping()


def test_who_has_no_name_may_ping_as_the_health_check_and_no_more(queue: Queue) -> None:
    with _connect(queue, "health", "none") as redis:
        assert redis.ping()
        with pytest.raises(NoPermissionError):
            redis.get("cpu")
    with _connect(queue) as redis, pytest.raises(AuthenticationError):
        redis.ping()


def test_new_passwords_hold_beside_the_old_until_it_is_done(queue: Queue, secrets_home: Path) -> None:
    acl = queue.secrets / "redis_acl"
    file = acl.stat().st_ino
    before = queue.connect("node-1-queue")
    with before, queue.connect("broker_url") as server:
        assert before.llen("cpu") == 0
        prepare.main(["--new", "redis", "--", str(secrets_home), *_NODES])
        prepare.main(["--new", "redis", "--", str(secrets_home), *_NODES])  # the first was cut off
        redis_users.apply(server, acl.read_text())
        with queue.connect("node-1-queue") as now, queue.connect("node-1-queue.old") as old:
            assert (now.llen("cpu"), old.llen("cpu"), before.llen("cpu")) == (0, 0, 0)

        leftover = queue.connect("node-1-queue.old")
        prepare.main(["--done", "--", str(secrets_home), *_NODES])
        with queue.connect("broker_url") as again:
            redis_users.apply(again, acl.read_text())
        with leftover, pytest.raises(AuthenticationError):
            leftover.ping()
        assert before.llen("cpu") == 0, "a connection broke"
    assert acl.stat().st_ino == file, "a container holds the old file"
    assert list(queue.secrets.glob("*.old")) == []


def test_a_node_that_is_gone_is_gone_in_redis(queue: Queue, secrets_home: Path) -> None:
    prepare.main(["--queue", "gpu-1", "--", str(secrets_home), *_NODES])
    with queue.connect("broker_url") as server:
        redis_users.apply(server, (queue.secrets / "redis_acl").read_text())
        with queue.connect("gpu-1-queue") as there:
            assert there.llen("gpu") == 0
        (queue.secrets / "gpu-1-queue").unlink()
        prepare.main([str(secrets_home), *_NODES])
        redis_users.apply(server, (queue.secrets / "redis_acl").read_text())
        assert sorted(server.acl_users()) == ["default", "health", "node.node-1", "node.node-2", "server"]


def test_nodes_of_an_earlier_deployment_keep_their_user_until_its_file_goes(secrets_home: Path) -> None:
    prepare.main([str(secrets_home), *_NODES])
    legacy = secrets_home / "secrets" / "node_broker_url"
    legacy.write_text("redis://node:old@redis:6379/0")
    prepare.main([str(secrets_home), *_NODES])
    assert "\nuser node on #" in (secrets_home / "secrets" / "redis_acl").read_text()

    legacy.unlink()
    prepare.main([str(secrets_home), *_NODES])
    assert "\nuser node on" not in (secrets_home / "secrets" / "redis_acl").read_text()


def test_a_name_that_would_say_more_to_redis_is_refused(secrets_home: Path) -> None:
    with pytest.raises(ValueError, match="is not a node name"):
        prepare.main(["--queue", "x on nopass ~*", "--", str(secrets_home), *_NODES])
