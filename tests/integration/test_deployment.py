"""A whole deployment from docker/compose.yml: scores, restarts and an upgrade under way, a backup and its return."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from deploykit import Deployed, docker, ended, next_version, outcome, refused, sandboxes
from livekit import (
    MAIN,
    answers,
    build_image,
    clean_environment,
    code,
    competition,
    push,
    remove_image,
    scores,
    submit_code,
    write_bundle,
)
from onnx import TensorProto, helper, numpy_helper

from scripts.stack import ROOT
from tests.conftest import need
from touchstone_client import types as t
from touchstone_client.pushing import push_image
from touchstone_client.sdk import Client

pytestmark = pytest.mark.docker
_KEY = "performance.accuracy"
#: Answers as MAIN does, so many seconds an item later.
_SLOW = MAIN.replace("def predict(x):", "def predict(x):\n    import time\n    time.sleep({seconds} * len(x))")


@pytest.fixture(scope="module")
def images(docker_engine: str) -> None:
    """The images of a deployment, from what is installed here."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    compose = plugin.returncode == 0 or shutil.which("docker-compose") is not None
    need(compose, "Compose (docker-compose, or Docker's plugin)", switch="REQUIRE_DOCKER")
    argv = [sys.executable, str(ROOT / "docker" / "build_deploy.py")]
    done = subprocess.run(argv, capture_output=True, text=True, env=clean_environment(), timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def deployed(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A deployment that is up, with two nodes."""
    found = Deployed(tmp_path_factory.mktemp("deployed") / "home")
    try:
        found.deploy("up", "--no-build")
        yield found
        assert sandboxes(found) == [], "a run's container outlived its run"
        assert refused(found, "node.node-1") == "[]"
    finally:
        found.remove()


@pytest.fixture(scope="module")
def slug(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small competition in it, with time for slow answers."""
    spec = competition()
    spec["submission"]["resources"] |= {"time": "180s", "start": "30s"}
    folder = write_bundle(tmp_path_factory.mktemp("bundle") / "bundle", spec)
    return push(deployed.person("organiser", organise=True), folder).competition


@pytest.fixture
def team(deployed: Deployed, slug: str) -> Client:
    """Somebody who takes part."""
    client = deployed.person("participant")
    client.join(slug, accept_terms=True, display_name="Participant")
    return client


def _model(path: Path) -> Path:
    """ONNX: logits that grow with a - b."""
    weights = numpy_helper.from_array(np.array([[-20, 20], [20, -20]], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)], "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [weights],
    )  # fmt: skip
    path.write_bytes(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    )
    return path


def _pushed(deployed: Deployed, client: Client, slug: str, folder: Path) -> str:
    """An image in the deployment's registry; the engine no longer has the name it was built under."""
    image = build_image(folder, "FROM touchstone/base:1\nCOPY main.py /app/main.py\n")
    place, token = client.image_place(slug), deployed.tokens["participant"]
    name = push_image(image, place=place, username="participant", token=token, name="small", say=print)
    remove_image(image)
    return name


def _slow(client: Client, slug: str, folder: Path, *, seconds: float) -> t.Submission:
    """A run that has so many seconds to go for each of its 40 items."""
    return submit_code(client, slug, code(folder, _SLOW.replace("{seconds}", str(seconds))))


def _await_running(client: Client, *submissions: t.Submission) -> None:
    deadline = time.monotonic() + 60
    for submission in submissions:
        while (state := client.submission(submission.id)).status != "running":
            assert not state.final, state.explanation
            assert time.monotonic() < deadline, f"still {state.status}"
            time.sleep(0.2)


def test_every_kind_is_scored_and_both_nodes_work(deployed: Deployed, slug: str, team: Client, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(answers(wrong=4))
    sent = {
        "container": team.submit(
            slug, "open", image=_pushed(deployed, team, slug, tmp_path / "image"), kind="container"
        ),
        "model": team.submit(slug, "open", _model(tmp_path / "model.onnx"), kind="model"),
        "one": _slow(team, slug, tmp_path / "one", seconds=0.05),
        "two": _slow(team, slug, tmp_path / "two", seconds=0.05),
        "predictions": team.submit(slug, "open", file, kind="predictions"),
    }

    found = {name: outcome(team, submission) for name, submission in sent.items()}

    right = ("scored", 1, {_KEY: 1.0})
    assert found == dict.fromkeys(sent, right) | {"predictions": ("scored", 1, {_KEY: pytest.approx(0.9)})}
    assert {deployed.node_of(submission) for submission in sent.values()} == {"node-1", "node-2"}


def test_secrets_are_in_files_only_and_nodes_reach_no_database(deployed: Deployed) -> None:
    secrets = deployed.home / "secrets"
    texts = [path.read_text() for path in secrets.iterdir() if path.is_file() and path.suffix != ".json"]
    passwords = [part for text in texts for part in re.split(r"[@:>\s]", text)]
    long = [part for part in passwords if len(part) > 30]
    assert len(long) > 6
    said = docker("inspect", *deployed.containers()) + docker("history", "--no-trunc", "touchstone/web:1")

    assert [part for part in long if part in said] == []
    assert secrets.stat().st_mode & 0o077 == 0
    look = "import socket; socket.create_connection(('postgres', 5432), 2)"
    tried = subprocess.run(
        ["docker", "exec", deployed.container("node-1"), "python3", "-c", look], capture_output=True, text=True
    )
    assert "gaierror" in tried.stderr
    torch = docker(
        "run", "--rm", "touchstone/web:1", "python3", "-c", "import importlib.util as u; print(u.find_spec('torch'))"
    )
    assert torch.strip() == "None"


def test_a_node_may_use_its_queue_and_nothing_else_of_redis(deployed: Deployed) -> None:
    ask = (
        "import redis; r = redis.Redis.from_url(open('/run/secrets/node-2-queue').read()); print(r.llen('cpu'))\n"
        "for call in (lambda: r.set('touchstone:1:x', 'y'), lambda: r.lpush('server', 'y'), lambda: r.keys('*'),\n"
        "             lambda: r.publish('/0.celery.pidbox', 'y'), lambda: r.flushall(), lambda: r.config_get('*')):\n"
        "    try:\n        print(call())\n    except redis.exceptions.NoPermissionError:\n        print('refused')\n"
    )

    said = docker("exec", deployed.container("node-2"), "python3", "-c", ask).split()

    assert said[0].isdigit()
    assert said[1:] == ["refused"] * 6


def test_a_run_outlives_the_restart_of_every_service(
    deployed: Deployed, slug: str, team: Client, tmp_path: Path
) -> None:
    runs: list[t.Submission] = []
    for service in ("redis", "postgres", "registry", "scheduler", "web"):
        if not runs or team.submission(runs[-1].id).status != "running":
            runs.append(_slow(team, slug, tmp_path / service, seconds=0.5))
            _await_running(team, runs[-1])
        deployed.deploy("restart", service)
    assert [outcome(team, run) for run in runs] == [("scored", 1, {_KEY: 1.0})] * len(runs)

    both = [_slow(team, slug, tmp_path / name, seconds=0.25) for name in ("first", "second")]
    _await_running(team, *both)
    assert sandboxes(deployed)
    assert {deployed.node_of(submission) for submission in both} == {"node-1", "node-2"}
    restarts = [deployed.start("restart", node) for node in ("node-1", "node-2")]
    said = [ended(process, seconds=300) for process in restarts]
    assert [code for code, _ in said] == [0, 0], said
    assert [outcome(team, submission) for submission in both] == [("scored", 1, {_KEY: 1.0})] * 2
    doubled = "SELECT run_id, count(*) FROM evaluations_result GROUP BY 1 HAVING count(*) > 1"
    assert deployed.rows(doubled) == []


def test_an_upgrade_migrates_under_a_run_and_a_backup_comes_back_elsewhere(
    deployed: Deployed, slug: str, team: Client, tmp_path: Path
) -> None:
    image = next_version(tmp_path / "next")
    slow = _slow(team, slug, tmp_path / "slow", seconds=0.5)
    _await_running(team, slow)
    deployed.set("TOUCHSTONE_WEB_IMAGE", image)
    deployed.deploy("up", "--no-build")
    assert deployed.rows("SELECT count(*) FROM django_migrations WHERE name = '9999_next'") == [("1",)]
    assert outcome(team, slow) == ("scored", 1, {_KEY: 1.0})

    backup = tmp_path / "backup"
    deployed.deploy("backup", str(backup))
    again = deployed.deploy("backup", str(backup))
    assert "0 files sent" in again
    before = {done.id: (done.status, scores(team, done)) for done in team.submissions(slug)}
    board = [(row.rank, row.participant) for row in team.leaderboard(slug, "open", "main").rows]
    assert board == [(1, "Participant")]
    assert before[slow.id] == ("scored", {_KEY: 1.0})
    assert "not empty" in deployed.deploy("restore", str(backup), fails=True)
    _damaged(backup, tmp_path / "damaged", deployed)

    other = Deployed(tmp_path / "other", extra={"TOUCHSTONE_WEB_IMAGE": image, "TOUCHSTONE_LOCAL_NODES": "1"})
    try:
        other.deploy("restore", str(backup))
        client = other.person("participant")
        assert {done.id: (done.status, scores(client, done)) for done in client.submissions(slug)} == before
        assert [(row.rank, row.participant) for row in client.leaderboard(slug, "open", "main").rows] == board
        other.deploy("rotate", "redis")
        fresh = submit_code(client, slug, code(tmp_path / "fresh"))
        assert outcome(client, fresh) == ("scored", 1, {_KEY: 1.0})
    finally:
        other.remove()
        deployed.set("TOUCHSTONE_WEB_IMAGE", "touchstone/web:1")
        docker("image", "rm", "--force", image)


def _damaged(backup: Path, copy: Path, deployed: Deployed) -> None:
    """A backup with one changed byte is refused before anything is touched."""
    shutil.copytree(backup, copy)
    blob = next(path for path in sorted((copy / "blobs").glob("??/*")))
    content = bytearray(blob.read_bytes())
    content[0] ^= 1
    blob.write_bytes(content)
    assert "damaged" in deployed.deploy("restore", str(copy), fails=True)
