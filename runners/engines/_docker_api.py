"""The Docker daemon's answers, sorted: lost connections are tried again, faults are told apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
import urllib3
from docker.errors import APIError, DockerException

from runners.contract import Verdict
from runners.errors import ParticipantFault, RetryableError

T = TypeVar("T")

#: A connection that broke, or never was.
LOST = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
_PAUSES = (0.1, 0.3, 1.0, 3.0)
#: The node is misconfigured: no fault of the image.
_NODE_FAULTS = (
    "could not select device driver",
    "unknown runtime",
    "no space left on device",
    "disk quota exceeded",
    "input/output error",
    "read-only file system",
    "cgroup",
    "oci runtime state",
)
#: runc says so where the image's own command or files are at fault.
_IMAGE_FAULTS = (
    "executable file not found", "no such file or directory", "permission denied", "exec format error",
    "no command specified", "is a directory", "not a directory", "unable to find user",
)  # fmt: skip


def retried(call: Callable[[], T]) -> T:
    """Call the daemon; a lost connection is tried again for some seconds, since a daemon may be restarted.

    Raises `RetryableError` if it stays away. `APIError` (the daemon answered) passes through.
    """
    for pause in _PAUSES:
        try:
            return call()
        except APIError:
            raise
        except (*LOST, DockerException):
            time.sleep(pause)
    try:
        return call()
    except APIError:
        raise
    except (*LOST, DockerException) as error:
        raise RetryableError(f"the Docker daemon does not answer: {error}", code="engine_gone") from error


def is_node_fault(text: str) -> bool:
    """Whether the daemon's words speak of the node and not of an image."""
    return any(words in text.lower() for words in _NODE_FAULTS)


def explain(error: APIError) -> str:
    """The daemon's own words."""
    return str(error.explanation or error)[:2000]


def start_fault(error: APIError, *, foreign: bool) -> Exception:
    """What a failed create or start means; `foreign`: the image is a participant's."""
    text = explain(error)
    at_image = any(words in text.lower() for words in _IMAGE_FAULTS)
    if foreign and at_image and not is_node_fault(text):
        return ParticipantFault(
            Verdict.CRASH, f"The image could not be started: {text}", code="image_start",
            hint="Run it as the platform does: see the command in the guide to submitting containers.",
        )  # fmt: skip
    return RetryableError(f"Docker could not start the sandbox: {text}", code="engine_start")


def settled(call: Callable[[], Any], *, fine: tuple[int, ...]) -> Any:
    """`retried`, but the statuses in `fine` (already gone, not running) count as done and give None."""
    try:
        return retried(call)
    except APIError as error:
        if error.response is not None and error.response.status_code in fine:
            return None
        raise RetryableError(f"the Docker daemon refused: {explain(error)}", code="engine_refused") from error
