"""A running container."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from docker import APIClient
from runners.engines import _docker_owner
from runners.engines._docker_api import settled
from runners.engines.base import Exit, Limits
from runners.errors import RetryableError

_PAUSE = 0.02
_GONE, _NOT_RUNNING = 404, 409
_ENDED = (128 + 9, 128 + 15)
#: Seconds that the daemon may take to tell of a kill for memory, on a busy host.
_LATE_EVENT = 15.0
#: Share of the limit that the peak of a container reaches which the kernel killed for its memory.
_NEAR = 0.95
#: Seconds that a killed process may stay a zombie: gVisor's supervisor reaps late on a busy host.
_REAPED = 60.0
_ZOMBIE = "is zombie"
#: How many events the daemon remembers (moby, daemon/events: eventsLimit).
_KEPT_EVENTS = 256
_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


class DockerSandbox:
    """`started` is a wall-clock time in seconds, for the daemon's events.

    `owner`: the file that `_docker_owner` may make for it. `seconds`: what an adopted one has left of its time; it is
    ended then as `lost`, for part of that time went by while nobody asked it.
    """

    waited = 0.0
    samples_memory = False

    def __init__(
        self,
        client: APIClient,
        container: str,
        limits: Limits,
        *,
        started: float,
        owner: Path | None = None,
        seconds: float | None = None,
    ) -> None:
        self._client = client
        self._id = container
        self._limits = limits
        self._started = started
        self._owner = owner
        self._adopted = seconds is not None
        self._deadline = time.monotonic() + (limits.seconds if seconds is None else seconds)
        self._peak_file: Path | None = None
        self._peak: int | None = None
        self._log = b""
        self._killed = False
        self._timeout = False
        self._cut_short = False
        self._told_by: float | None = None
        self._closed = False
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """None while it runs, and until it is known why it ended. Past its time limit it is killed here."""
        if self._exit is not None:
            return self._exit
        self._look_at_memory()
        state = self._state()
        if state["Running"] and time.monotonic() >= self._deadline:
            self._timeout = not self._adopted
            self._cut_short = self._adopted
            state = self._stop()
        if not state["Running"]:
            self._finish(state)
        return self._exit

    def wait(self, seconds: float) -> Exit | None:
        """Wait at most so long, and where it has ended until it is known why; None if it still runs."""
        end = time.monotonic() + seconds
        while (result := self.poll()) is None and (self._told_by is not None or time.monotonic() < end):
            time.sleep(_PAUSE)
        return result

    def kill(self) -> None:
        """End every process of the container. Safe to repeat."""
        if self.wait(0) is None:
            self._killed = True
            self._finish(self._stop())

    def _stop(self) -> dict[str, Any]:
        until = time.monotonic() + _REAPED
        while True:
            try:
                settled(lambda: self._client.kill(self._id, "SIGKILL"), fine=(_GONE, _NOT_RUNNING))
                break
            except RetryableError as error:
                if _ZOMBIE not in error.message or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
        state = self._state()
        while state["Running"]:
            time.sleep(_PAUSE)
            state = self._state()
        return state

    def _state(self) -> dict[str, Any]:
        found = settled(lambda: self._client.inspect_container(self._id), fine=(_GONE,))
        if found is None:  # removed behind our back, by a reaper or a person
            return {"Running": False, "ExitCode": None, "OOMKilled": False, "Pid": 0}
        state: dict[str, Any] = found["State"]
        if self._peak_file is None and state["Pid"]:
            self._peak_file = _memory_file(int(state["Pid"]), self._id)
        return state

    def _finish(self, state: dict[str, Any]) -> None:
        seen = self._events()
        if self._may_be_told_more(state, seen):
            return
        code = state["ExitCode"]
        killed = self._killed or self._timeout or self._cut_short
        # A child's kill for memory may be missing in the container's state.
        memory = bool(state["OOMKilled"]) or "oom" in seen or (not killed and self._at_limit(code, seen))
        lost = self._cut_short or (not killed and not memory and self._is_lost(code, seen))
        self._log = self._read_logs()
        self._exit = Exit(code, memory=memory, timeout=self._timeout, killed=killed, lost=lost)

    def _may_be_told_more(self, state: dict[str, Any], seen: set[str]) -> bool:
        """Where SIGKILL has no sender, the event of the kernel's kill for memory may come a moment after it."""
        ours = self._killed or self._timeout or self._cut_short or state["OOMKilled"]
        if state["ExitCode"] != _ENDED[0] or ours or {"oom", "kill"} & seen:
            return False
        if self._told_by is None:
            self._told_by = time.monotonic() + _LATE_EVENT
        return time.monotonic() < self._told_by

    def _at_limit(self, code: int | None, seen: set[str]) -> bool:
        """Whether SIGKILL without a sender met a full container: events are told late or never on a busy host."""
        sent = "kill" in seen or "start" not in seen  # by the daemon, or by one that died
        return code == _ENDED[0] and not sent and self._peak is not None and self._peak >= _NEAR * self._limits.memory

    def _is_lost(self, code: int | None, seen: set[str]) -> bool:
        return code is None or "kill" in seen or self._by_a_dying_daemon(code, seen)

    def _events(self) -> set[str]:
        """What the daemon tells of the container's life: `start`; `oom`; `kill`, a signal sent through the daemon."""
        found = self._ask({"container": [self._id], "event": ["oom", "kill", "start"]}, int(self._started) - 1)
        return {str(event.get("Action", "")) for event in found}

    def _ask(self, filters: dict[str, list[str]], since: int) -> list[dict[str, Any]]:
        # To this moment, not to a later second: the daemon keeps the answer open until then.
        window = {"since": since, "until": f"{time.time():.6f}"}
        ask = lambda: list(self._client.events(filters=filters, decode=True, **window))  # noqa: E731
        found: list[dict[str, Any]] = settled(ask, fine=())
        return found

    def _by_a_dying_daemon(self, code: int, seen: set[str]) -> bool:
        """A daemon that ends, ends its containers by SIGTERM or SIGKILL; the next one knows nothing of their start.

        Nor does one that has seen much since: it keeps only its last events.
        """
        if code not in _ENDED or "start" in seen:
            return False
        return len(self._ask({}, 1)) < _KEPT_EVENTS

    def logs(self) -> bytes:
        """The last bytes of stdout and stderr, at most `limits.log`."""
        return self._log if self._exit is not None else self._read_logs()

    def _read_logs(self) -> bytes:
        # The daemon keeps at most two files of `limits.log` each, so this is bounded.
        kept = settled(lambda: self._client.logs(self._id, stdout=True, stderr=True), fine=(_GONE, _NOT_RUNNING))
        return bytes(kept or b"")[-self._limits.log :]

    def peak_memory(self) -> int | None:
        """Peak bytes of the whole container, read files included as far as they were cached; None if unknown."""
        if self._exit is None:
            if self._peak_file is None:
                self._state()
            self._look_at_memory()
        return self._peak

    def _look_at_memory(self) -> None:
        # The group vanishes with the container: the last look counts.
        if self._peak_file is None:
            return
        try:
            self._peak = int(self._peak_file.read_text())
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """Kill, and remove the container. Safe to repeat."""
        if self._closed:
            return
        self.kill()
        remove = lambda: self._client.remove_container(self._id, force=True, v=True)  # noqa: E731
        settled(remove, fine=(_GONE, _NOT_RUNNING))
        _docker_owner.forget(self._owner)
        self._closed = True


def _memory_file(pid: int, container: str) -> Path | None:
    """The kernel's record of the peak of a container on this host, cgroup v1 or v2."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if container not in path:  # the daemon may be on another host: that process is somebody else's
            continue
        if "memory" in controllers.split(","):
            return _V1 / path.lstrip("/") / "memory.max_usage_in_bytes"
        peak = _V2 / path.lstrip("/") / "memory.peak"
        if controllers == "" and peak.exists():
            return peak
    return None
