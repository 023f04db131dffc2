"""The objects that the engine makes: a job of one pod, the policy that cuts its network, a secret to pull its image.

The pod has two containers. `relay` (ours) is a sidecar: an init container that stays. It takes the submission's files
and listens on the channel's socket, in volumes that both see; its startup probe holds `submission` back until then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from math import ceil
from typing import Any

from runners.contract import ImagePull
from runners.engines import _limits
from runners.engines._kubernetes_settings import Settings
from runners.engines.base import Job

Object = dict[str, Any]

PREFIX = "touchstone"
#: All pods of submissions, and nothing else, have this label: the network policy selects by it.
SANDBOX = {f"{PREFIX}/sandbox": "true"}
POLICY = "touchstone-sandbox"
RELAY, SUBMISSION = "relay", "submission"
_RELAY_UID = 65533
#: For the image to come and the sidecar to start, on top of queue and run.
BOOT_SECONDS = 900
_KEPT_SECONDS = 300
_LOGS = 256 * 2**20
_MARGIN = 16 * 2**20


@dataclass(frozen=True)
class Names:
    """A job's name and the labels by which it is found again."""

    job: str
    labels: dict[str, str]

    @property
    def secret(self) -> str:
        return f"{self.job}-pull"


def names(job: Job) -> Names:
    """A name is valid whatever the run is called; the run's own is an annotation."""
    digest = hashlib.sha256(job.run.encode()).hexdigest()[:20]
    labels = {**SANDBOX, f"{PREFIX}/node": label(_limits.NODE), f"{PREFIX}/run": digest}
    return Names(f"touchstone-{digest}-{job.attempt}", labels)


def label(text: str) -> str:
    """A label's value has at most 63 characters of a small set."""
    return re.sub(r"[^A-Za-z0-9]", "-", text)[-63:].strip("-")


def job_manifest(job: Job, settings: Settings, *, mark: str, files: int, pull: bool) -> Object:
    """`mark`: tells our own job from another's of the same name. `files`: bytes of the submission's folder."""
    called = names(job)
    wanted = job.limits.seconds + BOOT_SECONDS
    annotations = {
        f"{PREFIX}/run": job.run, f"{PREFIX}/attempt": str(job.attempt), f"{PREFIX}/worker": _limits.worker_id(),
        f"{PREFIX}/mark": mark,
    }  # fmt: skip
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": called.job, "labels": called.labels, "annotations": annotations},
        "spec": {
            "suspend": True, "parallelism": 1, "completions": 1, "backoffLimit": 0,
            "activeDeadlineSeconds": ceil(wanted + settings.pending), "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {"labels": called.labels, "annotations": annotations},
                "spec": _pod(job, settings, called, files=files, pull=pull, seconds=ceil(wanted)),
            },
        },
    }  # fmt: skip


def network_policy() -> Object:
    """Nothing in, nothing out, for every pod of a submission."""
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": POLICY, "labels": {"app.kubernetes.io/managed-by": PREFIX}},
        "spec": {"podSelector": {"matchLabels": SANDBOX}, "policyTypes": ["Ingress", "Egress"]},
    }  # fmt: skip


def pull_secret(job: Job, pull: ImagePull, owner: Object) -> Object:
    """The key of one pull; it goes with the job that owns it."""
    called = names(job)
    pair = base64.b64encode(f"{pull.username}:{pull.password}".encode()).decode()
    config = {"auths": {pull.reference.partition("/")[0]: {"auth": pair}}}
    owners = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": called.job,
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
    ]
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": called.secret, "labels": called.labels, "ownerReferences": owners},
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
    }  # fmt: skip


def _pod(job: Job, settings: Settings, called: Names, *, files: int, pull: bool, seconds: int) -> Object:
    secrets = [name for name in (settings.pull_secret, called.secret if pull else "") if name]
    shown: Object = {
        "restartPolicy": "Never", "activeDeadlineSeconds": seconds, "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False, "enableServiceLinks": False, "hostname": "sandbox",
        "dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": _limits.UID, "runAsGroup": _limits.UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "channel", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "files", "emptyDir": {"sizeLimit": str(files + _MARGIN)}},
            # In memory: full is an error that the process sees, not the end of the pod.
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": str(job.limits.tmp)}},
        ],
        "initContainers": [_relay(settings)], "containers": [_submission(job, settings, files)],
    }  # fmt: skip
    if secrets:
        shown["imagePullSecrets"] = [{"name": name} for name in secrets]
    if settings.runtime_class:
        shown["runtimeClassName"] = settings.runtime_class
    if settings.selector:
        shown["nodeSelector"] = settings.selector
    if job.gpus:
        shown["tolerations"] = [{"key": settings.gpu, "operator": "Exists", "effect": "NoSchedule"}]
    return shown


def _walls(uid: int) -> Object:
    return {
        "runAsNonRoot": True, "runAsUser": uid, "runAsGroup": uid, "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False, "privileged": False, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


def _relay(settings: Settings) -> Object:
    share = {"cpu": "200m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
    return {
        "name": RELAY, "image": settings.runtime, "restartPolicy": "Always",
        "command": ["python3", "-m", "runners.engines._kubernetes_relay", "hold"],
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "securityContext": _walls(_RELAY_UID), "resources": {"requests": share, "limits": share},
        "startupProbe": {
            "exec": {"command": ["test", "-S", _limits.SOCKET]}, "periodSeconds": 1,
            "failureThreshold": BOOT_SECONDS, "timeoutSeconds": 5,
        },
        "volumeMounts": [
            {"name": "channel", "mountPath": _limits.CHANNEL}, {"name": "files", "mountPath": _limits.SUBMISSION},
        ],
    }  # fmt: skip


def _submission(job: Job, settings: Settings, files: int) -> Object:
    limits = job.limits
    share = {
        "cpu": f"{max(1, ceil(limits.cpus * 1000))}m", "memory": str(limits.memory),
        "ephemeral-storage": str(_LOGS + files + _MARGIN),
    }  # fmt: skip
    if job.gpus:
        share[settings.gpu] = str(len(job.gpus))
    made: Object = {
        "name": SUBMISSION, "image": job.image or settings.runtime, "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in _limits.environment(job).items()],
        "securityContext": _walls(_limits.UID), "resources": {"requests": share, "limits": share},
        "volumeMounts": [
            {"name": "channel", "mountPath": _limits.CHANNEL, "readOnly": True},
            {"name": "files", "mountPath": _limits.SUBMISSION, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the sandbox's own
        ],
    }  # fmt: skip
    if job.argv:
        made["command"] = [job.argv[0] if job.argv[0] != "python" else "python3", *job.argv[1:]]
    if job.image is None:
        made["workingDir"] = _limits.SUBMISSION if job.folder is not None else "/tmp"  # noqa: S108
    return made
