"""A running bubblewrap sandbox."""

from __future__ import annotations

import subprocess
import time

from runners.engines._cgroups import Cgroup
from runners.engines._watch import LogTail, MemoryWatch
from runners.engines.base import Exit, Limits

_POLL = 0.005
#: What Python, C++ and torch say when the kernel refuses memory.
_REFUSED = (b"MemoryError", b"bad_alloc", b"can't allocate memory", b"Cannot allocate memory")


class BubblewrapSandbox:
    """`group` is None where cgroups cannot be used; then `watch` looks after memory."""

    waited = 0.0

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        log: LogTail,
        limits: Limits,
        group: Cgroup | None,
        watch: MemoryWatch | None,
    ) -> None:
        self._process = process
        self._log = log
        self._group = group
        self._watch = watch
        self.samples_memory = group is None
        self._deadline = time.monotonic() + limits.seconds
        self._peak: int | None = None
        self._killed = False
        self._timeout = False
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """None while it runs. Past its time limit it is killed here."""
        if self._exit is not None:
            return self._exit
        code = self._process.poll()
        if code is None:
            if time.monotonic() < self._deadline:
                return None
            self._timeout = True
            self._end()
            code = self._process.wait()
        self._finish(code)
        return self._exit

    def wait(self, seconds: float) -> Exit | None:
        """Wait at most so long; None if it still runs."""
        end = time.monotonic() + seconds
        while (result := self.poll()) is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _POLL))
        return result

    def kill(self) -> None:
        """End every process of the sandbox. Safe to repeat."""
        if self.poll() is not None:
            return
        self._killed = True
        self._end()
        self._finish(self._process.wait())

    def _end(self) -> None:
        # Killing bwrap ends the first process of the pid namespace, and the kernel ends the rest.
        self._process.kill()
        if self._group is not None:
            self._group.kill()

    def _finish(self, code: int) -> None:
        if self._group is not None:
            self._group.kill()
        if self._watch is not None:
            self._watch.stop()
        self._log.join()
        self._peak = self.peak_memory()
        code = 128 - code if code < 0 else code
        memory = self._group.out_of_memory() if self._group is not None else self._ran_out(code)
        lost = self._group is not None and self._group.host_out_of_memory()
        self._exit = Exit(code, memory=memory, timeout=self._timeout, killed=self._killed or self._timeout, lost=lost)

    def _ran_out(self, code: int) -> bool:
        """Without cgroups: killed by the watch, or ended by a refused allocation (RLIMIT_DATA), by its last words."""
        if self._watch is not None and self._watch.exceeded:
            return True
        return code != 0 and any(words in self._log.read()[-4096:] for words in _REFUSED)

    def logs(self) -> bytes:
        """The last bytes of stdout and stderr, at most `limits.log`."""
        return self._log.read()

    def peak_memory(self) -> int | None:
        """Peak bytes of the whole sandbox; with cgroups the files it read count as far as they were cached."""
        if self._exit is not None:
            return self._peak
        if self._group is not None:
            return self._group.peak()
        return (self._watch.peak or None) if self._watch is not None else None  # 0: nobody has looked yet

    def close(self) -> None:
        """Kill, and remove everything it left. Safe to repeat."""
        self.kill()
        if self._group is not None:
            self._group.remove()
