"""A pod whose submission runs."""

from __future__ import annotations

import threading
import time

from runners.engines._kubernetes_api import Api
from runners.engines._kubernetes_exec import Exec
from runners.engines._kubernetes_manifest import SUBMISSION
from runners.engines._kubernetes_states import ended
from runners.engines.base import Exit, Limits

_PAUSE = 0.25
#: A relay that ends with its pod: how long the API may take to say how the pod ended.
_DYING = 5.0
#: The kubelet starts its clock a moment before we see the submission run.
_SLACK = 2.0


class KubernetesSandbox:
    """`waited`: seconds from creation until it ran, which are not the submission's. `broken`: the channel is."""

    samples_memory = False

    def __init__(
        self, api: Api, job: str, pod: str, limits: Limits, relay: Exec, *, waited: float, broken: threading.Event
    ) -> None:
        self.waited = waited
        self.pod = pod
        self._api = api
        self._job = job
        self._limits = limits
        self._relay = relay
        self._broken = broken
        self._broke = 0.0
        self._deadline = time.monotonic() + limits.seconds
        self._looked = 0.0
        self._log = b""
        self._closed = False
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """None while it runs. Past its time limit it is ended here."""
        if self._exit is not None:
            return self._exit
        now = time.monotonic()
        if now >= self._deadline:
            self._end(Exit(None, timeout=True, killed=True))
        elif now - self._looked >= _PAUSE:
            self._looked = now
            self._look(now)
        return self._exit

    def wait(self, seconds: float) -> Exit | None:
        """Wait at most so long; None if it still runs."""
        end = time.monotonic() + seconds
        while (result := self.poll()) is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _PAUSE))
        return result

    def kill(self) -> None:
        """End every process of the pod. Safe to repeat."""
        if self._broken.is_set():
            self.wait(_DYING + 1.0)  # it ended, or was cut off, before we asked
        self._looked = 0.0
        if self.poll() is None:
            self._end(Exit(None, killed=True))

    def logs(self) -> bytes:
        """The last bytes of stdout and stderr, at most `limits.log`."""
        return self._log if self._exit is not None else self._read_log()

    def peak_memory(self) -> int | None:
        """Unknown: the kubelet tells of no peak."""
        return None

    def close(self) -> None:
        """Kill, and remove everything it left. Safe to repeat."""
        if self._closed:
            return
        self.kill()
        self._relay.close()
        self._api.delete("jobs", self._job)
        self._closed = True

    def _look(self, now: float) -> None:
        pod = self._api.get("pods", self.pod)
        found = ended(pod, killed=False, due=now >= self._deadline - _SLACK)
        if self._broken.is_set():
            self._broke = self._broke or now
        if found is None and self._broke and now - self._broke >= _DYING:
            # The way to the API server broke, not the submission: another attempt may have a better one.
            found = Exit(None, lost=True)
        if found is not None:
            self._end(found)

    def _end(self, found: Exit) -> None:
        """The log goes with the pod, so it is read first."""
        self._log = self._read_log()
        self._exit = found
        self._api.delete("pods", self.pod)
        self._api.delete("jobs", self._job)

    def _read_log(self) -> bytes:
        return self._api.log(self.pod, SUBMISSION, limit=self._limits.log)
