"""Limits of memory that fit a machine: those of the services, and what the runs of a node may use together."""

from __future__ import annotations

import os

_MIB = 2**20
_GIB = 2**30
#: Redis and the registry have fixed limits in docker/compose.yml.
_FIXED = _GIB


def machine_memory() -> int:
    """This machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def local_nodes(total: int) -> int:
    """How many nodes a machine of so many bytes has room for beside the server: each with runs of some GiB."""
    return 2 if total >= 20 * _GIB else 1


def limits(total: int, nodes: int) -> dict[str, str]:
    """Settings for a machine with `total` bytes. From 6 GiB on, all together are within it and an eighth is left over.

    A node's limit is for its judge; its runs have `TOUCHSTONE_MEMORY` beside that, 512 MiB at least.
    """
    parts = {
        "TOUCHSTONE_POSTGRES_MEMORY": _share(total, 16, 512 * _MIB, 2 * _GIB),
        "TOUCHSTONE_WEB_MEMORY": _share(total, 16, 512 * _MIB, 2 * _GIB),
        "TOUCHSTONE_SCHEDULER_MEMORY": _share(total, 8, _GIB, 4 * _GIB),
        "TOUCHSTONE_NODE_MEMORY": _share(total, 8, 1536 * _MIB, 8 * _GIB),
    }
    settings = {name: f"{size // _MIB}m" for name, size in parts.items()}
    if nodes:
        servers = sum(parts.values()) - parts["TOUCHSTONE_NODE_MEMORY"] + _FIXED
        left = (total - total // 8 - servers) // nodes - parts["TOUCHSTONE_NODE_MEMORY"]
        settings["TOUCHSTONE_MEMORY"] = f"{max(left, 512 * _MIB) // _MIB}MiB"
    return settings


def _share(total: int, part: int, least: int, most: int) -> int:
    return min(max(total // part, least), most)
