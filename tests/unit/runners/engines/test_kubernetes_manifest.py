"""What the Kubernetes engine asks for: valid by the published schema, and with every wall up."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest

from runners.contract import ImagePull
from runners.engines._kubernetes_manifest import job_manifest, label, names, network_policy, pull_secret
from runners.engines._kubernetes_settings import Settings
from runners.engines.base import Job, Limits
from runners.errors import UserError

IMAGE = "registry.test/team/model@sha256:" + "a" * 64
BASE = {"URL": "https://api.test", "RUNTIME": "registry.test/runtime@sha256:" + "b" * 64}
LIMITS = Limits(memory=2**30, cpus=1.5, seconds=90.0, tmp=2**26)
SCHEMAS = ("1.29.1", "1.33.1", "1.37.0")


def _settings(**more: str) -> Settings:
    return Settings.read({f"TOUCHSTONE_KUBERNETES_{key}": value for key, value in {**BASE, **more}.items()})


def _job(**more: Any) -> Job:
    return Job(**{"run": "Run_ÿ/1", "attempt": 2, "limits": LIMITS, "image": IMAGE, **more})


def _manifest(job: Job | None = None, **settings: str) -> dict[str, Any]:
    return job_manifest(job or _job(), _settings(**settings), mark="m", files=5000, pull=True)


def _pod(**settings: str) -> dict[str, Any]:
    spec: dict[str, Any] = _manifest(**settings)["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_object_is_valid(schema: str) -> None:
    pull = ImagePull(reference=IMAGE, username="u", password="p")
    job = _manifest(_job(gpus=("any",)), RUNTIME_CLASS="gvisor", NODE_SELECTOR="pool=gpu", PULL_SECRET="ours")
    owner = {"metadata": {"uid": "1-2-3"}}
    for item in (job, _manifest(_job(argv=("python", "-m", "x"), image=None)), network_policy(),
                 pull_secret(_job(), pull, owner)):  # fmt: skip
        kubernetes_validate.validate(item, schema, strict=True)


def test_the_check_can_fail() -> None:
    broken = json.loads(json.dumps(_manifest()).replace("backoffLimit", "backofLimit"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, SCHEMAS[-1], strict=True)


def test_nothing_is_open_in_any_container() -> None:
    pod = _pod()
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"])
    for container in (*pod["initContainers"], *pod["containers"]):
        walls = container["securityContext"]
        assert walls["runAsNonRoot"]
        assert walls["runAsUser"] > 0
        assert walls["readOnlyRootFilesystem"]
        assert (walls["allowPrivilegeEscalation"], walls["privileged"]) == (False, False)
        assert walls["capabilities"] == {"drop": ["ALL"]}
        assert walls["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_submission_writes_its_tmp_only() -> None:
    pod = _pod()
    mounts = {item["mountPath"]: item.get("readOnly", False) for item in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"/run/touchstone": True, "/submission": True, "/tmp": False}
    tmp = next(volume for volume in pod["volumes"] if volume["name"] == "tmp")
    assert tmp["emptyDir"] == {"medium": "Memory", "sizeLimit": str(LIMITS.tmp)}
    assert pod["containers"][0]["securityContext"]["runAsUser"] == 65534
    assert pod["initContainers"][0]["securityContext"]["runAsUser"] != 65534


def test_limits_and_devices() -> None:
    share = _manifest(_job(gpus=("a",)))["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert (share["cpu"], share["memory"], share["nvidia.com/gpu"]) == ("1500m", str(2**30), "1")
    assert "nvidia.com/gpu" not in _pod()["containers"][0]["resources"]["limits"]
    assert _pod(RUNTIME_CLASS="gvisor")["runtimeClassName"] == "gvisor"
    assert "runtimeClassName" not in _pod()


def test_a_job_is_never_repeated_by_the_cluster() -> None:
    spec = _manifest()["spec"]
    assert (spec["backoffLimit"], spec["suspend"]) == (0, True)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > spec["template"]["spec"]["activeDeadlineSeconds"] > LIMITS.seconds
    assert spec["ttlSecondsAfterFinished"] > 0


def test_the_policy_selects_the_pods_and_lets_nothing_through() -> None:
    spec = network_policy()["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= _manifest()["spec"]["template"]["metadata"]["labels"].items()
    assert set(spec) == {"podSelector", "policyTypes"}
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_names_are_valid_whatever_the_run_is_called() -> None:
    assert names(_job()).job != names(_job(run="Run_ÿ/2")).job != names(_job(run="Run_ÿ/2", attempt=3)).job
    assert label("-host.name/ÿ" + "x" * 80 + "-") == "x" * 62
    assert _manifest()["metadata"]["annotations"]["touchstone/run"] == "Run_ÿ/1"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("URL", "http://api.test"), ("URL", ""), ("RUNTIME", "runtime"), ("NAMESPACE", "Not Valid"),
        ("RUNTIME_CLASS", "a/b"), ("GPU", "gpu"), ("PENDING", "10m"), ("PENDING", "soon"), ("NODE_SELECTOR", "x"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(key: str, value: str) -> None:
    with pytest.raises(UserError, match=f"TOUCHSTONE_KUBERNETES_{key}=") as caught:
        _settings(**{key: value})
    assert "docs/kubernetes.md" in caught.value.hint


def test_in_a_pod_its_own_account_is_used(tmp_path: Any) -> None:
    for name, text in (("token", "t"), ("ca.crt", "c"), ("namespace", "lent\n")):
        (tmp_path / name).write_text(text)
    environ = {"TOUCHSTONE_KUBERNETES_RUNTIME": BASE["RUNTIME"], "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    found = Settings.read(environ, account=tmp_path)
    assert (found.url, found.namespace, found.token_file) == ("https://10.0.0.1:443", "lent", tmp_path / "token")
