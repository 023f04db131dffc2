"""What the tests of engines share: which there are, and what is known to differ between them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

MIB = 2**20
#: As TOUCHSTONE_ENGINE and its settings name them; `bubblewrap-rlimits` as where cgroups cannot be written.
ENGINES = ("bubblewrap", "bubblewrap-rlimits", "docker-runc", "docker-runsc")


@dataclass(frozen=True)
class Traits:
    """What is known to differ between engines. Each is in the table of docs/engines.md."""

    #: Has a kernel of its own: it may make namespaces, of that kernel, and the host's filters are not for it.
    own_kernel: bool = False
    #: Counts the files on /tmp and /dev/shm.
    counts_files: bool = True
    #: Nothing on /tmp and /dev/shm can be executed.
    noexec: bool = True
    #: Without cgroups: a limit of memory for each process, not their sum with what /dev/shm holds.
    loose_memory: bool = False
    #: Without cgroups: the number of cores, but no share of them.
    loose_cpu: bool = False
    #: Bytes that the engine itself needs on top of the sandbox's own, and as much again for each process.
    overhead: int = 0
    #: Leaves something to find when its supervisor is killed.
    outlives: bool = True


#: As another user bubblewrap cannot mount what it likes.
_ROOT = os.geteuid() == 0
TRAITS = {
    "bubblewrap": Traits(counts_files=_ROOT, noexec=_ROOT),
    "bubblewrap-rlimits": Traits(counts_files=_ROOT, noexec=_ROOT, loose_memory=True, loose_cpu=True, outlives=False),
    "docker-runc": Traits(),
    "docker-runsc": Traits(own_kernel=True, counts_files=False, overhead=48 * MIB),
}


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
