"""Runs on a Kubernetes cluster: one job of one pod each, reached through the API server alone.

**Untested on a live cluster.** What it makes is valid by the API's published schema, and it works against a server that
speaks the real protocol; no kubelet, scheduler or network plug-in has had a part in a test.

A pod has an interface, and a NetworkPolicy that lets nothing in or out. The channel's other end is a relay container of
ours beside the submission; the judge, with the labels, stays here and talks to the relay through `exec`, which goes by
API server and kubelet and not by the pod's network. Only by name (`TOUCHSTONE_ENGINE=kubernetes`); settings are
`TOUCHSTONE_KUBERNETES_…`, see docs/kubernetes.md.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Collection
from pathlib import Path

import httpx

from runners.contract import EngineReport, GpuInfo, ImagePull
from runners.engines import _kubernetes_image, _limits, _self_test
from runners.engines._kubernetes_api import Api, Object, Refused
from runners.engines._kubernetes_exec import Exec
from runners.engines._kubernetes_manifest import (
    POLICY,
    SANDBOX,
    Names,
    job_manifest,
    label,
    names,
    network_policy,
    pull_secret,
)
from runners.engines._kubernetes_sandbox import KubernetesSandbox
from runners.engines._kubernetes_settings import Settings
from runners.engines._kubernetes_start import await_relay, await_submission, send_files, size_of, start_relay
from runners.engines.base import Job
from runners.errors import RetryableError, UserError
from runners.registry import engine

_CONFLICT = 409
_PREFIX = "touchstone"
#: Names that every cluster's DNS knows, for a pod that can ask it.
_OF_EACH_CLUSTER = ("kubernetes.default.svc:443", "kube-dns.kube-system.svc:53")
_PIDS = "the process limit is not enforced"
_UNTESTED = (
    "anything by test: this engine has not been tried on a live cluster, only against the API's schema and a fake"
)
_NOT_ENFORCED = (
    _UNTESTED,
    "processes: only by the kubelet's podPidsLimit, which the cluster's operator sets",
    "open files, size of one file, noexec on /tmp: a pod cannot limit them",
    "network: only where the cluster's network plug-in enforces NetworkPolicy; a pod has an interface",
    "peak memory: the kubelet does not tell it; a child killed for memory while the first process lives is not seen",
    "what an image of another registry than the platform's says of itself: volumes are writable, up to the pod's disk",
)


@engine("kubernetes")
class KubernetesEngine:
    """`patience`: seconds `start` may wait for a node, on top of the run's own time."""

    name = "kubernetes"
    takes_images = True

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings.read()
        self.patience = self._settings.pending
        count = self._settings.gpus
        self.devices: tuple[GpuInfo, ...] | None = tuple(
            GpuInfo(uuid=f"kubernetes-{n}", name=self._settings.gpu) for n in range(count)
        )
        self._pulls: dict[str, ImagePull] = {}
        self._api: Api | None = None
        self._owner = 0

    @property
    def api(self) -> Api:
        """The connections, made on first use in each process: a node forks its judges."""
        if self._api is None or self._owner != os.getpid():
            self._api, self._owner = Api(self._settings), os.getpid()
        return self._api

    def close(self) -> None:
        """Hang up. Running pods stay."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def self_test(self) -> EngineReport:
        """Pods in which probes try to break out."""
        try:
            version = self.api.version()
            found, seen = _self_test.problems(self, image=self._settings.runtime, reaches=self._addresses())
        except (RetryableError, UserError) as error:
            return EngineReport(name=self.name, ok=False, problems=(error.message,))
        problems = tuple(text for text in found if not text.startswith(_PIDS))
        missing = _NOT_ENFORCED if not seen or seen.get("seccomp") else (*_NOT_ENFORCED, "seccomp: no filter is loaded")
        kind = self._settings.runtime_class or "the cluster's default runtime"
        return EngineReport(
            name=self.name, ok=not problems, version=version, not_enforced=missing, problems=problems,
            isolation=f"Kubernetes pod, {kind}, seccomp (untested on a live cluster)",
        )  # fmt: skip

    def _addresses(self) -> tuple[str, ...]:
        """What a pod would reach first if its policy were not enforced."""
        api = httpx.URL(self._settings.url)
        return (f"{api.host}:{api.port or (443 if api.scheme == 'https' else 80)}", *_OF_EACH_CLUSTER)

    def start(self, job: Job) -> KubernetesSandbox:
        """Make the job and wait until its submission runs; that wait is no part of `limits.seconds`.

        Raises `RetryableError` where no node takes the pod within `TOUCHSTONE_KUBERNETES_PENDING` or the cluster
        fails, and `ParticipantFault` where the image itself cannot be started.
        """
        if job.limits.seconds <= 0:
            raise RetryableError("a job needs time to run", code="engine_use")
        began = time.monotonic()
        called = names(job)
        self._ensure_policy()
        self._make(job, called)
        relay: Exec | None = None
        try:
            foreign = job.image is not None and job.image != self._settings.runtime
            pod = await_relay(self.api, called, self._settings, foreign=foreign)
            if job.folder is not None:
                send_files(self.api, self._settings, pod, job.folder)
            broken = threading.Event()
            relay = start_relay(self.api, self._settings, pod, job.channel, ended=broken.set)
            await_submission(self.api, pod, foreign=foreign, broken=broken.is_set)
        except BaseException:
            if relay is not None:
                relay.close()
            self.api.delete("jobs", called.job)
            raise
        waited = time.monotonic() - began
        return KubernetesSandbox(self.api, called.job, pod, job.limits, relay, waited=waited, broken=broken)

    def adopt(self, job: Job) -> None:
        """Nothing to take over: the relay, and with it the submission, ends with its judge's connection."""

    def pull_image(self, pull: ImagePull, *, limit: int) -> str:
        """Look at the image, and remember the key: the cluster's node pulls it. `limit` was held when it was pushed.

        Raises `ParticipantFault` for one with volumes, `RetryableError` for one that needs an engine with a bridge.
        """
        _kubernetes_image.check(pull)
        self._pulls[pull.reference] = pull
        return pull.reference

    def load_image(self, archive: Path, *, limit: int) -> str:
        """Always raises `RetryableError`: a cluster takes images from a registry."""
        text = f"A cluster's nodes cannot take {archive.name}: push the image to the platform's registry instead."
        raise RetryableError(text, code="no_container_engine")

    def has_image(self, image: str) -> bool:
        """Whether a node of the cluster may pull it: it names a registry and a digest."""
        return "/" in image and "@sha256:" in image

    def image_used(self, image: str) -> None:
        """The kubelets look after their images; the key is forgotten."""
        self._pulls.pop(image, None)

    def reap(self, keep: Collection[str]) -> list[str]:
        """Delete jobs of this node's runs that are not in `keep`, and of anybody whose worker here is gone."""
        removed: list[str] = []
        found = self.api.list("jobs", SANDBOX)
        kept = set(keep)
        for item in found:
            notes = _notes(item)
            mine = item["metadata"].get("labels", {}).get(f"{_PREFIX}/node") == label(_limits.NODE)
            gone = _limits.is_gone(notes.get(f"{_PREFIX}/worker", ""))
            if (mine and notes.get(f"{_PREFIX}/run") not in kept) or gone:
                self.api.delete("jobs", item["metadata"]["name"])
                removed.append(f"{notes.get(f'{_PREFIX}/run')}~{notes.get(f'{_PREFIX}/attempt')}")
        return removed

    def _ensure_policy(self) -> None:
        """A pod without it could reach the network: it is there before any pod."""
        wanted = network_policy()
        found = self.api.get("networkpolicies", POLICY)
        if found is None:
            try:
                self.api.create("networkpolicies", wanted)
            except Refused as error:
                if error.status != _CONFLICT:
                    raise
        elif {key: found["spec"].get(key) for key in wanted["spec"]} != wanted["spec"] or _lets_through(found["spec"]):
            text = f"the NetworkPolicy {POLICY} is not the platform's own: remove it, and it is made anew"
            raise RetryableError(text, code="node_misconfigured")

    def _make(self, job: Job, called: Names) -> None:
        """The job, suspended; what it needs; then its pod may come."""
        mark = secrets.token_hex(8)
        pull = self._pulls.get(job.image or "")
        keyed = pull is not None and bool(pull.username)
        body = job_manifest(job, self._settings, mark=mark, files=size_of(job.folder), pull=keyed)
        self._clear_older(job, called)
        made = self._create(job, called, body, mark)
        try:
            if pull is not None and keyed:
                self.api.create("secrets", pull_secret(job, pull, made))
            self.api.resume(called.job)
        except BaseException:
            self.api.delete("jobs", called.job)
            raise

    def _create(self, job: Job, called: Names, body: Object, mark: str) -> Object:
        try:
            return self.api.create("jobs", body)
        except Refused as error:
            if error.status != _CONFLICT:
                raise
        found = self.api.get("jobs", called.job)
        if found is not None and _notes(found).get(f"{_PREFIX}/mark") == mark:
            return found  # the answer to our first request was lost, not the request
        text = f"attempt {job.attempt} of run {job.run} is still running on this cluster"
        raise RetryableError(text, code="run_conflict")

    def _clear_older(self, job: Job, called: Names) -> None:
        """Older attempts give way, and this one's where nobody watches it any more."""
        for item in self.api.list("jobs", {f"{_PREFIX}/run": called.labels[f"{_PREFIX}/run"]}):
            notes = _notes(item)
            older = int(notes.get(f"{_PREFIX}/attempt", "0")) < job.attempt
            if older or _limits.is_gone(notes.get(f"{_PREFIX}/worker", "")):
                self.api.delete("jobs", item["metadata"]["name"])


def _notes(item: Object) -> dict[str, str]:
    """The annotations of a job; empty where there are none."""
    found: dict[str, str] = item["metadata"].get("annotations") or {}
    return found


def _lets_through(spec: Object) -> bool:
    return bool(spec.get("ingress") or spec.get("egress"))
