"""What Kubernetes says of a pod, and what that means for a run."""

from __future__ import annotations

from typing import Any

from runners.contract import Verdict
from runners.engines._kubernetes_manifest import RELAY, SUBMISSION
from runners.engines.base import Exit
from runners.errors import ParticipantFault, RetryableError

Object = dict[str, Any]

#: The cluster ended the pod for reasons of its own.
_CLUSTER = frozenset(
    {
        "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "Preempted", "NodeAffinity",
        "UnexpectedAdmissionError", "OutOfmemory", "OutOfcpu", "OutOfpods", "Evicted",
    }
)  # fmt: skip
#: Evicted for what it wrote, by the kubelet's words: no fault of the node.
_OWN_DISK = ("exceeded its local ephemeral storage limit", "exceeds the limit", "usage of emptydir volume")
_NO_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_NO_CONTAINER = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_START_ERRORS = frozenset({"StartError", "ContainerCannotRun"})


def container(pod: Object, name: str) -> Object:
    """A container's state: `waiting`, `running` or `terminated`; empty before the kubelet has the pod."""
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    found: Object = next((item.get("state") or {} for item in every if item.get("name") == name), {})
    return found


def is_running(pod: Object, name: str) -> bool:
    return "running" in container(pod, name)


def ended(pod: Object | None, *, killed: bool, due: bool = False) -> Exit | None:
    """How the submission ended; None while it runs. `killed`: we asked for it. `due`: its own time is over."""
    if pod is None:  # deleted behind our back, or by us
        return Exit(None, killed=killed, lost=not killed)
    status = pod.get("status") or {}
    reason, message = str(status.get("reason", "")), str(status.get("message", "")).lower()
    terminated: Object | None = container(pod, SUBMISSION).get("terminated")
    if terminated is not None and terminated.get("reason") == "OOMKilled":
        return Exit(int(terminated.get("exitCode", 137)), memory=True)
    if reason == "DeadlineExceeded":  # it counts the pod's boot as well, which is no part of the submission's time
        return Exit(None, timeout=True, killed=True) if due else Exit(None, lost=True)
    if reason == "Evicted" and any(words in message for words in _OWN_DISK):
        return Exit(None, killed=True)
    if killed and status.get("phase") in ("Failed", "Succeeded"):
        return Exit(_code(terminated), killed=True)
    if reason in _CLUSTER or _disrupted(status) or status.get("phase") == "Unknown":
        return Exit(None, lost=True)
    if terminated is not None:
        return Exit(_code(terminated))
    return Exit(None, lost=True) if status.get("phase") == "Failed" else None


def start_fault(pod: Object, *, foreign: bool) -> Exception | None:
    """Why a pod will never run; None where it still may. `foreign`: the image is a participant's."""
    for name in (RELAY, SUBMISSION):
        state = container(pod, name)
        waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
        reason = str(waiting.get("reason") or terminated.get("reason") or "")
        said = f"{reason}: {waiting.get('message') or terminated.get('message') or 'no message'}"[:800]
        if reason in _NO_IMAGE:
            return RetryableError(f"The cluster could not pull the image of `{name}`: {said}", code="image_missing")
        if reason in _START_ERRORS and name == SUBMISSION and foreign:
            return ParticipantFault(
                Verdict.CRASH, f"The image could not be started: {said}", code="image_start",
                hint="Run it as the platform does: see the command in the guide to submitting containers.",
            )  # fmt: skip
        if reason in _NO_CONTAINER | _START_ERRORS or (name == RELAY and terminated):
            return RetryableError(f"The cluster could not start `{name}`: {said}", code="engine_start")
    gone = ended(pod, killed=False)
    if gone is not None and gone.lost:
        status = pod.get("status") or {}
        said = f"{status.get('reason', '')} {status.get('message', '')}".strip()[:800]
        return RetryableError(f"The cluster gave the pod up before it ran: {said or 'no reason'}", code="sandbox_lost")
    return None


def why_pending(pod: Object | None) -> str:
    """The scheduler's own words."""
    conditions = ((pod or {}).get("status") or {}).get("conditions") or []
    said = [item.get("message", "") for item in conditions if item.get("status") == "False" and item.get("message")]
    return "; ".join(said)[:600] or ("no pod was made" if pod is None else "no reason given")


def _code(terminated: Object | None) -> int | None:
    return None if terminated is None else int(terminated.get("exitCode", 0))


def _disrupted(status: Object) -> bool:
    conditions = status.get("conditions") or []
    return any(item.get("type") == "DisruptionTarget" and item.get("status") == "True" for item in conditions)
