"""The Docker daemon's answers, sorted: lost connections are tried again, faults are told apart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import requests
import urllib3
from docker.errors import APIError, DockerException

from runners.contract import Verdict
from runners.errors import ParticipantFault, RetryableError

T = TypeVar("T")

#: A connection that broke, or never was.
LOST = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
#: Half a minute in all: a daemon that is being restarted or upgraded leaves its containers running meanwhile.
_PAUSES = (0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 10.0)
#: What a daemon answers that is just ending, or whose containerd is.
_RESTARTING = (
    "transport is closing", "client connection is closing", "dial unix", "shutting down", "context canceled",
)  # fmt: skip
#: The node lacks what its own settings promise.
_MISCONFIGURED = ("could not select device driver", "unknown runtime", "nvidia-container-cli")
#: The node is in trouble: no fault of the image.
_NODE_FAULTS = (
    *_MISCONFIGURED,
    "no space left on device",
    "disk quota exceeded",
    "input/output error",
    "read-only file system",
    "cgroup",
    "oci runtime state",
)
#: Shorter words of an image could not be taken for one of these.
_SHORTEST = 4
#: runc says so where the image's own command or files are at fault.
_IMAGE_FAULTS = (
    "executable file not found", "no such file or directory", "permission denied", "exec format error",
    "no command specified", "is a directory", "not a directory", "unable to find user",
)  # fmt: skip
#: For an image that fails in a way that nobody foresaw.
_HINT = (
    "Other images start on this node, with the same limits. Look at what yours has at /run/touchstone, /tmp, "
    "/dev/shm and /etc/hosts (plain folders and files, no links, or nothing), and at its WORKDIR, ENV and ENTRYPOINT; "
    "then run it as the platform does: see the command in the guide to submitting containers."
)


def retried(call: Callable[[], T]) -> T:
    """Call the daemon; a lost connection is tried again for some seconds, since a daemon may be restarted.

    Raises `RetryableError` if it stays away. `APIError` (the daemon answered) passes through.
    """
    for pause in (*_PAUSES, None):
        try:
            return call()
        except APIError as error:
            if pause is None or not _is_restarting(error):
                raise
        except (*LOST, DockerException) as error:
            if pause is None:
                raise RetryableError(f"the Docker daemon does not answer: {error}", code="engine_gone") from error
        time.sleep(pause)
    raise AssertionError("unreachable")


def _is_restarting(error: APIError) -> bool:
    status = error.response.status_code if error.response is not None else 0
    return status >= 500 and any(words in explain(error).lower() for words in _RESTARTING)


def is_node_fault(text: str) -> bool:
    """Whether the daemon's words speak of the node and not of an image."""
    return any(words in text.lower() for words in _NODE_FAULTS)


def explain(error: APIError) -> str:
    """The daemon's own words."""
    return str(error.explanation or error)[:2000]


def start_fault(error: APIError, *, foreign: bool, words: Collection[str] = ()) -> Exception:
    """What a failed create or start means; `foreign`: the image is a participant's.

    `words` come from the image itself: an entry point named after a fault of the node must not pass for one.
    """
    text = explain(error)
    told = _without(text, words).lower()
    if any(known in told for known in _MISCONFIGURED):
        return RetryableError(f"This node cannot start the sandbox as asked: {text}", code="node_misconfigured")
    at_image = any(known in told for known in _IMAGE_FAULTS)
    if foreign and at_image and not is_node_fault(told):
        hint = "Run it as the platform does: see the command in the guide to submitting containers."
        return image_fault(error, hint=hint)
    return RetryableError(f"Docker could not start the sandbox: {text}", code="engine_start")


def image_fault(error: APIError, *, hint: str = _HINT) -> ParticipantFault:
    """An image that does not start where others do."""
    return ParticipantFault(
        Verdict.CRASH, f"The image could not be started: {explain(error)}", hint=hint, code="image_start"
    )


def _without(text: str, words: Collection[str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= _SHORTEST:
            text = text.replace(word, "…").replace(json.dumps(word)[1:-1], "…")
    return text


def settled(call: Callable[[], Any], *, fine: tuple[int, ...]) -> Any:
    """`retried`, but the statuses in `fine` (already gone, not running) count as done and give None."""
    try:
        return retried(call)
    except APIError as error:
        if error.response is not None and error.response.status_code in fine:
            return None
        raise RetryableError(f"the Docker daemon refused: {explain(error)}", code="engine_refused") from error
