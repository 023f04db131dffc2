"""Part of the web image: who may do what in Redis. Its ACL file is made from this, and a Redis that runs is told.

The server may do all. A node has a user of its own, which may take and acknowledge nudges of its queues, and put back
what it cannot perform. It reaches neither the server's cache, which is unpickled, nor the server's queue, nor the list
of what the server has taken and not yet acknowledged: the server puts entries of that list back where they say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

#: As the server names nodes.
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
#: A queue is a list, and one more for each of kombu's three higher priorities: two separators and a digit.
_QUEUES = ("cpu", "gpu")
_UNACKED = ("unacked", "unacked_index", "unacked_mutex")
#: What Celery's worker does, by watching one: BRPOP and LLEN of queues, the list of what is taken and its lock (SET,
#: and a script that GETs and DELs), its queues' entries in the table of queues, a nudge put back, a sign of life.
_COMMANDS = (
    "ping", "multi", "exec", "watch", "unwatch", "discard", "brpop", "llen", "lpush", "rpush", "hset", "hget", "hdel",
    "zadd", "zrem", "zrange", "sadd", "smembers", "set", "get", "del", "evalsha", "script|load", "publish",
)  # fmt: skip


class _Redis(Protocol):
    def execute_command(self, *arguments: str) -> object: ...


def user_of(node: str) -> str:
    """A node's name in Redis."""
    if not NAME.fullmatch(node):
        raise ValueError(f"{node!r} is not a node name: lower-case letters, digits, dots and dashes, 100 at most")
    return f"node.{node}"


def acl(*, server: Collection[str], nodes: Mapping[str, Collection[str]]) -> str:
    """The ACL file: the server's passwords, and the nodes' by the names of their users. It holds digests only."""
    bindings = [f"_kombu.{table}.{queue}" for table in ("binding", "binding_permanent") for queue in _QUEUES]
    keys = [f"~{key}" for key in (*_QUEUES, *(f"{queue}???" for queue in _QUEUES), *_UNACKED, *bindings)]
    rights = ["resetkeys", *keys, "resetchannels", "&/0.celeryev/*", "-@all", *(f"+{name}" for name in _COMMANDS)]
    lines = ["user default off", "user health on nopass resetkeys resetchannels -@all +ping"]
    lines.append(" ".join(["user server on", *_digests(server), "~* &* +@all"]))
    lines += [" ".join(["user", user, "on", *_digests(given), *rights]) for user, given in sorted(nodes.items())]
    return "".join(f"{line}\n" for line in lines)


def apply(redis: _Redis, text: str) -> None:
    """Give a Redis that runs the users of an ACL file; others end. By `ACL LOAD` every connection would break."""
    wanted = [line.split()[1:] for line in text.splitlines()]
    for name, *rules in wanted:
        redis.execute_command("ACL", "SETUSER", name, "reset", *rules)
    there = redis.execute_command("ACL", "USERS")
    assert isinstance(there, Iterable)
    known = {bytes(name).decode() if isinstance(name, bytes) else str(name) for name in there}
    for name in sorted(known - {name for name, *_ in wanted}):
        redis.execute_command("ACL", "DELUSER", name)


def _digests(passwords: Collection[str]) -> list[str]:
    return sorted("#" + hashlib.sha256(password.encode()).hexdigest() for password in passwords)
