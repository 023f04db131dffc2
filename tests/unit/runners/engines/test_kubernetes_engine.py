"""The Kubernetes engine against a server that speaks the real protocol. No kubelet, scheduler or plug-in takes part."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.channel.listener import Listener
from runners.contract import ImagePull, Verdict
from runners.engines import _kubernetes_image, _limits, _self_test
from runners.engines._kubernetes_settings import Settings
from runners.engines._kubernetes_states import ended
from runners.engines.base import Exit, Job, Limits
from runners.engines.kubernetes import KubernetesEngine
from runners.errors import ParticipantFault, RetryableError
from runners.models.opening import open_model
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec
from tests.factories.kubernetes_fake import TOKEN, Cluster, until

IMAGE = "registry.test/team/model@sha256:" + "a" * 64
LIMITS = Limits(memory=2**28, cpus=1.5, seconds=30.0, tmp=2**24, log=4096)
SLEEP = ("python", "-c", "import time; print('up', flush=True); time.sleep(60)")


@pytest.fixture(params=["v5.channel.k8s.io"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    running = Cluster(protocol=request.param)
    yield running
    running.close()


@pytest.fixture
def engine(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesEngine]:
    monkeypatch.setattr(_limits, "NODE", "test-node")
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    given = {"URL": cluster.url, "RUNTIME": "registry.test/touchstone/runtime@sha256:" + "b" * 64, "PENDING": "1s"}
    environ = {f"TOUCHSTONE_KUBERNETES_{key}": value for key, value in given.items()}
    made = KubernetesEngine(Settings.read({**environ, "TOUCHSTONE_KUBERNETES_TOKEN_FILE": str(token)}))
    yield made
    made.close()


def _job(argv: tuple[str, ...] = SLEEP, **more: object) -> Job:
    return Job(**{"run": "run-1", "attempt": 1, "limits": LIMITS, "argv": argv, **more})  # type: ignore[arg-type]


def _finish(engine: KubernetesEngine, job: Job) -> tuple[Exit | None, bytes]:
    sandbox = engine.start(job)
    try:
        return sandbox.wait(15), sandbox.logs()
    finally:
        sandbox.close()


@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_and_log_come_back(engine: KubernetesEngine, cluster: Cluster, code: int) -> None:
    ended, log = _finish(engine, _job(("python", "-c", f"print('out'); raise SystemExit({code})")))
    assert ended == Exit(code)
    assert log == b"out\n"
    assert not cluster.pods
    assert [kind for kind, _ in cluster.objects] == ["networkpolicies"]


def test_the_log_keeps_its_end(engine: KubernetesEngine) -> None:
    _, log = _finish(engine, _job(("python", "-c", "for i in range(5000): print('line', i)")))
    assert len(log) == LIMITS.log
    assert log.endswith(b"line 4999\n")


@pytest.mark.parametrize("cluster", ["v5.channel.k8s.io", "v4.channel.k8s.io"], indirect=True)
def test_the_submission_s_files_come_along(engine: KubernetesEngine, tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    (folder / "data").mkdir(parents=True)
    (folder / "main.py").write_text("print(open('data/x').read(), len(open('big', 'rb').read()))")
    (folder / "data" / "x").write_text("hello")
    (folder / "big").write_bytes(bytes(3 * 2**20))
    (folder / "link").symlink_to("/etc/passwd")
    ended, log = _finish(engine, _job(("python", "main.py"), folder=folder))
    assert (ended, log) == (Exit(0), b"hello 3145728\n")


def test_the_channel_works_both_ways_and_more_than_once(engine: KubernetesEngine, tmp_path: Path) -> None:
    code = (
        "import os, socket\n"
        "for word in (b'one', b'two'):\n"
        "    s = socket.socket(socket.AF_UNIX); s.connect(os.environ['TOUCHSTONE_SOCKET'])\n"
        "    s.sendall(word * 100000); s.shutdown(socket.SHUT_WR)\n"
        "    print(len(b''.join(iter(lambda: s.recv(65536), b'')))); s.close()"
    )
    with Listener(tmp_path) as listener:
        sandbox = engine.start(_job(("python", "-c", code), channel=listener.folder))
        try:
            for word in (b"one", b"two"):
                connection = listener.accept(10)
                assert connection is not None
                with connection:
                    connection.settimeout(10)
                    assert b"".join(iter(lambda: connection.recv(65536), b"")) == word * 100000  # noqa: B023
                    connection.sendall(b"y" * 200000)
            assert sandbox.wait(10) == Exit(0)
            assert sandbox.logs() == b"200000\n200000\n"
        finally:
            sandbox.close()


def test_a_model_is_asked_through_it(engine: KubernetesEngine, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text(
        "import numpy as np\nfrom touchstone_client import serve\n"
        "serve(lambda x: np.stack([1 - x[:, 0], x[:, 0]], axis=1))\n"
    )
    with open_model(
        engine, kind="code", folder=folder, input=InputSpec(kind="tabular", shape=(1,), features=("a",), range=(0, 1)),
        task=TaskSpec(kind="binary", classes=("no", "yes"), positive="yes"),
        resources=ResourceSpec(time=30, start=20), run="run-1", attempt=1, workdir=tmp_path, deadline=_soon(),
    ) as model:  # fmt: skip
        x = np.random.default_rng(0).random((300, 1)).astype(np.float32)
        np.testing.assert_allclose(model.predict(x)[:, 1], x[:, 0], atol=1e-6)


def _soon() -> float:
    import time

    return time.monotonic() + 30


def test_kill_ends_it_and_keeps_the_log(engine: KubernetesEngine, cluster: Cluster) -> None:
    sandbox = engine.start(_job())
    until(lambda: sandbox.logs() == b"up\n")
    sandbox.kill()
    sandbox.kill()
    assert sandbox.poll() == Exit(None, killed=True)
    assert sandbox.logs() == b"up\n"
    assert not cluster.pods
    sandbox.close()


def test_it_is_ended_at_its_time_limit(engine: KubernetesEngine, cluster: Cluster) -> None:
    limits = Limits(memory=2**28, cpus=1, seconds=0.5, tmp=2**20)
    ended, _ = _finish(engine, _job(limits=limits))
    assert ended == Exit(None, timeout=True, killed=True)
    assert not cluster.pods


STRUCK = [
    ("evicted", {"phase": "Failed", "reason": "Evicted", "message": "node was low on memory"}, Exit(None, lost=True)),
    (
        "evicted-for-its-own-disk",
        {
            "phase": "Failed", "reason": "Evicted",
            "message": "Container submission exceeded its local ephemeral storage limit \"272Mi\".",
        },
        Exit(None, killed=True),
    ),
    ("node-lost", {"phase": "Unknown", "reason": "NodeLost"}, Exit(None, lost=True)),
    ("shutdown", {"phase": "Failed", "reason": "Terminated", "message": "node shutdown"}, Exit(None, lost=True)),
    (
        "preempted",
        {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]},
        Exit(None, lost=True),
    ),
    ("deadline", {"phase": "Failed", "reason": "DeadlineExceeded"}, Exit(None, lost=True)),
    (
        "out-of-memory",
        {
            "phase": "Failed",
            "containerStatuses": [
                {"name": "submission", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
            ],
        },
        Exit(137, memory=True),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("status", "expected"), [row[1:] for row in STRUCK], ids=[row[0] for row in STRUCK])
def test_what_befalls_a_pod(
    engine: KubernetesEngine, cluster: Cluster, status: dict[str, object], expected: Exit
) -> None:
    cluster.fates["run-1"] = {"struck": status}
    ended, _ = _finish(engine, _job())
    assert ended == expected


def test_the_cluster_s_deadline_is_the_submission_s_once_its_own_time_is_over() -> None:
    pod = {"status": {"phase": "Failed", "reason": "DeadlineExceeded"}}
    assert ended(pod, killed=False, due=True) == Exit(None, timeout=True, killed=True)


#: What the probe finds in an ordinary pod.
POD = {
    "uid": 65534, "capabilities": "0000000000000000", "no_new_privileges": True, "interfaces": ["lo", "eth0"],
    "connects": False, "writable": [], "tmp": True, "host_root": False, "docker_socket": False, "processes": 1,
    "mounts": False, "user_namespace": False, "kernel": "6.1", "channel": True, "environment": ["HOME", "PATH"],
}  # fmt: skip


def test_a_pod_with_an_interface_that_leads_nowhere_is_fine() -> None:
    assert _self_test.judge(POD, interfaces=True) == []
    assert _self_test.judge({**POD, "connects": True}, interfaces=True) == ["it reached a network address"]
    assert _self_test.judge(POD) == ["it sees network interfaces ['lo', 'eth0']"]


def test_a_pod_that_somebody_deleted_is_lost(engine: KubernetesEngine, cluster: Cluster) -> None:
    sandbox = engine.start(_job())
    cluster.remove_pod(sandbox.pod)
    assert sandbox.wait(10) == Exit(None, lost=True)
    sandbox.close()


def test_a_relay_that_is_cut_off_is_lost_though_the_judge_kills_it(engine: KubernetesEngine, cluster: Cluster) -> None:
    sandbox = engine.start(_job())
    relay = cluster.pods[sandbox.pod].processes[0]
    relay.kill()
    until(sandbox._broken.is_set)
    sandbox.kill()
    assert sandbox.poll() == Exit(None, lost=True)
    sandbox.close()


STUCK = [
    (
        "no-node",
        {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu"}]},
        "no_capacity", "Insufficient cpu",
    ),
    (
        "no-image",
        {"containerStatuses": [{"name": "submission", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
        "image_missing", "could not pull the image of `submission`",
    ),
    (
        "no-container",
        {"containerStatuses": [{"name": "submission", "state": {"waiting": {"reason": "CreateContainerError"}}}]},
        "engine_start", "could not start `submission`",
    ),
    (
        "no-relay",
        {"initContainerStatuses": [{"name": "relay", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]},
        "engine_start", "could not start `relay`",
    ),
    ("given-up", {"phase": "Failed", "reason": "OutOfcpu"}, "sandbox_lost", "OutOfcpu"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "words"), [row[1:] for row in STUCK], ids=[row[0] for row in STUCK])
def test_a_pod_that_never_runs(
    engine: KubernetesEngine, cluster: Cluster, status: dict[str, object], code: str, words: str
) -> None:
    cluster.fates["run-1"] = {"stuck": {"phase": "Pending", **status}}
    with pytest.raises(RetryableError, match=words) as caught:
        engine.start(_job())
    assert caught.value.code == code
    assert not cluster.pods


def test_an_image_that_cannot_be_started_is_the_participant_s(engine: KubernetesEngine, cluster: Cluster) -> None:
    state = {"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec: no such file"}}
    cluster.fates["run-1"] = {
        "stuck": {"phase": "Pending", "containerStatuses": [{"name": "submission", "state": state}]}
    }
    with pytest.raises(ParticipantFault, match="no such file") as caught:
        engine.start(_job(image=IMAGE))
    assert caught.value.verdict is Verdict.CRASH


BUSY = [
    ("busy", [("POST", "/jobs", 429, {"Retry-After": "0"})]),
    ("away", [("POST", "/jobs", 503, {}), ("GET", "/pods", 502, {}), ("DELETE", "/jobs", 504, {})]),
    ("policy-made-meanwhile", [("POST", "/networkpolicies", 409, {})]),
    ("gone-already", [("DELETE", "/jobs", 404, {}), ("DELETE", "/pods", 404, {})]),
]


@pytest.mark.parametrize("faults", [row[1] for row in BUSY], ids=[row[0] for row in BUSY])
def test_a_busy_server_costs_no_run(engine: KubernetesEngine, cluster: Cluster, faults: list[object]) -> None:
    cluster.faults += faults  # type: ignore[arg-type]
    assert _finish(engine, _job(("python", "-c", "print(1)")))[0] == Exit(0)
    assert not cluster.faults


def test_a_server_that_forbids_is_the_node_s_fault(engine: KubernetesEngine, cluster: Cluster) -> None:
    cluster.faults.append(("POST", "/jobs", 403, {}))
    with pytest.raises(RetryableError, match=r"docs/kubernetes\.md") as caught:
        engine.start(_job())
    assert caught.value.code == "node_misconfigured"


def test_a_running_attempt_is_not_started_twice(engine: KubernetesEngine) -> None:
    sandbox = engine.start(_job())
    with pytest.raises(RetryableError, match="still running") as caught:
        engine.start(_job())
    assert caught.value.code == "run_conflict"
    assert sandbox.poll() is None
    sandbox.close()


def test_an_older_attempt_gives_way(engine: KubernetesEngine) -> None:
    older = engine.start(_job())
    newer = engine.start(_job(attempt=2))
    assert older.wait(5) == Exit(None, lost=True)
    assert newer.poll() is None
    older.close()
    newer.close()


def test_reap_spares_what_is_kept_and_what_is_another_node_s(
    engine: KubernetesEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandboxes = {name: engine.start(_job(run=name)) for name in ("kept", "left")}
    monkeypatch.setattr(_limits, "NODE", "another")
    assert engine.reap([]) == []
    monkeypatch.setattr(_limits, "NODE", "test-node")
    assert engine.reap(["kept"]) == ["left~1"]
    assert sandboxes["kept"].poll() is None
    for sandbox in sandboxes.values():
        sandbox.close()


def test_reap_takes_the_jobs_of_a_worker_that_is_gone(
    engine: KubernetesEngine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = _limits.worker_id().partition(":")[0]
    with monkeypatch.context() as patch:
        patch.setattr(_limits, "worker_id", lambda: f"{host}:1:0")  # a process with that number started at another time
        sandbox = engine.start(_job(run="orphan"))
    assert engine.reap(["orphan"]) == ["orphan~1"]
    assert not cluster.pods
    sandbox.close()


def test_a_private_image_is_pulled_with_a_key_of_its_own(
    engine: KubernetesEngine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kubernetes_image, "check", lambda _: None)  # there is no registry here
    image = engine.pull_image(ImagePull(reference=IMAGE, username="run", password="secret"), limit=2**30)
    assert engine.has_image(image)
    sandbox = engine.start(_job(image=image))
    secret = next(item for (kind, _), item in cluster.objects.items() if kind == "secrets")
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert base64.b64decode(config["auths"]["registry.test"]["auth"]) == b"run:secret"
    job = next(item for (kind, _), item in cluster.objects.items() if kind == "jobs")
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]
    assert "secret" not in json.dumps(job["spec"]["template"]["spec"]["containers"])
    sandbox.close()
    assert not [kind for kind, _ in cluster.objects if kind == "secrets"]


def test_a_policy_that_lets_through_is_refused(engine: KubernetesEngine, cluster: Cluster) -> None:
    engine._ensure_policy()
    policy = cluster.objects["networkpolicies", "touchstone-sandbox"]
    policy["spec"]["egress"] = [{}]
    with pytest.raises(RetryableError, match="not the platform's own"):
        engine.start(_job())


def test_the_self_test_says_what_was_never_tried(engine: KubernetesEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its probes: they would really try to break out, and the fake has no walls to stop them."""
    asked: list[str] = []

    def problems(_engine: object, *, image: str, reaches: tuple[str, ...]) -> tuple[list[str], dict[str, object]]:
        asked.append(image)
        assert reaches[0].startswith("127.0.0.1:")
        return ["the process limit is not enforced: 200 processes, 48 are allowed"], {"seccomp": False}

    monkeypatch.setattr("runners.engines._self_test.problems", problems)
    report = engine.self_test()
    assert report.ok
    assert report.version == "v1.37.0-fake"
    assert asked == ["registry.test/touchstone/runtime@sha256:" + "b" * 64]
    assert "untested on a live cluster" in report.isolation
    assert any("not been tried on a live cluster" in text for text in report.not_enforced)
    assert any("podPidsLimit" in text for text in report.not_enforced)
    assert any(text.startswith("seccomp") for text in report.not_enforced)


def test_the_fake_runs_no_probe(engine: KubernetesEngine, cluster: Cluster) -> None:
    assert cluster.refuses(("python3", "-c", "_call('mount', b'none')"))
    assert not cluster.refuses(SLEEP)


def test_an_archive_is_refused(engine: KubernetesEngine, tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match="registry"):
        engine.load_image(tmp_path / "image.tar", limit=1)


def test_without_the_package_it_says_what_to_install(engine: KubernetesEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "websockets.sync.client", None)
    with pytest.raises(RetryableError, match=r"pip install") as caught:
        engine.start(_job())
    assert caught.value.code == "engine_missing"
