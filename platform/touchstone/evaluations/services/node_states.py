"""What becomes of a node: drained and back by a person, into quarantine by its own faults, and out by a person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from runners.contract import IMAGE_PULL
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, NotFound
from touchstone.evaluations.models import Node, Run

#: Faults that only the node itself can be the cause of.
_OWN = frozenset({"no_engine", "no_container_engine", "runtime_missing", "engine_missing", "engine_gone"})
#: The server's own words about a node that fell silent: an outage of ours looks the same, so they prove nothing.
_UNPROVEN = frozenset({"node_lost", "node_hung"})
#: Not a node's fault, for a participant may name an image that no node holds; but another node may hold it.
_ELSEWHERE = frozenset({"image_missing", "image_gone", "no_bridge", IMAGE_PULL})
_KEPT = 10


def is_node_fault(*, code: str) -> bool:
    """Whether a platform fault with this code speaks against the node that reported it."""
    return _surely(code) or code.startswith("engine_")


def is_better_elsewhere(*, code: str) -> bool:
    """Whether the next attempt should be on another node."""
    return is_node_fault(code=code) or code in _ELSEWHERE


def _surely(code: str) -> bool:
    return code in _OWN or (code.startswith(("node_", "gpu_")) and code not in _UNPROVEN)


def may_manage_nodes(*, user: Any) -> bool:
    """Whether `user` runs the platform."""
    return bool(user is not None and user.is_authenticated and user.is_active and (user.is_staff or user.is_superuser))


def node_get(*, name: str) -> Node:
    """A node by its name. Raises `NotFound`."""
    node = Node.objects.filter(name=name).first()
    if node is None:
        raise NotFound(
            _("There is no node %(name)r.") % {"name": name}, _("`manage.py node list` shows those there are.")
        )
    return node


def node_drain(*, node: Node, by: User | None = None) -> Node:
    """No new runs for `node`; it finishes those it has. Safe to repeat. Raises `NotAllowed`."""
    return _change(node, by, "node.drain", lambda row: row.drained_at is None, {"drained_at": now()})


def node_undrain(*, node: Node, by: User | None = None) -> Node:
    """Runs for `node` again. Safe to repeat. Raises `NotAllowed`."""
    return _change(node, by, "node.undrain", lambda row: row.drained_at is not None, {"drained_at": None})


def node_release(*, node: Node, by: User | None = None) -> Node:
    """Out of quarantine; its faults are forgotten. Safe to repeat. Raises `NotAllowed`."""
    fields = {"quarantined_at": None, "quarantine_reason": "", "faults": [], "rest_until": None}
    return _change(node, by, "node.release", lambda row: row.quarantined_at is not None, fields)


def node_disable(*, node: Node, by: User | None = None) -> Node:
    """Refuse a node's token from now on. Its runs go back to the queue when their leases lapse."""
    return _change(node, by, "node.disable", lambda row: row.disabled_at is None, {"disabled_at": now()})


def _change(node: Node, by: User | None, act: str, applies: Callable[[Node], bool], fields: dict[str, Any]) -> Node:
    """`by` None: somebody at the server's command line, who may do everything."""
    if by is not None and not may_manage_nodes(user=by):
        raise NotAllowed(
            _("Only the platform's staff manages nodes."), _("Ask them; the page of nodes shows the queues.")
        )
    with transaction.atomic():
        row = Node.objects.select_for_update().get(pk=node.pk)
        if applies(row):
            for name, value in fields.items():
                setattr(row, name, value)
            row.save(update_fields=list(fields))
            audit_append(actor=by, act=act, subject=f"node:{row.name}")
    return row


def node_fault(*, run: Run, code: str, message: str) -> None:
    """Count a fault against the node that had `run`; after the third in a row, of different runs, quarantine it.

    After each fault the node rests a little longer, so that one that fails at once does not use up everybody's
    attempts. A run that failed the same way on another node says nothing about either, unless the code leaves no
    doubt. The caller holds the lock of the run's row.
    """
    # Both at once and in the order of their keys: two runs that failed on each other's nodes would wait for each other.
    keys = {key for key in (run.node_id, run.avoid_id) if key is not None}
    locked = {row.pk: row for row in Node.objects.select_for_update().filter(pk__in=keys).order_by("pk")}
    node = locked.get(run.node_id) if run.node_id is not None else None
    if node is None:
        return
    if not _surely(code) and run.avoid_id is not None and run.avoid_id != node.pk:
        _forget(run, locked.get(run.avoid_id))
        return
    if node.faults and run.started_at is not None and run.started_at.isoformat() <= node.faults[-1]["at"]:
        return  # it ran when the last fault came: one incident, such as an engine that restarts, is one fault
    own = [fault for fault in node.faults if fault.get("run") != str(run.pk)]
    node.faults = [*own, {"run": str(run.pk), "code": code, "at": now().isoformat()}][-_KEPT:]
    node.rest_until = now() + timedelta(seconds=settings.TOUCHSTONE_NODE_REST_SECONDS * len(node.faults))
    full = len(node.faults) >= settings.TOUCHSTONE_NODE_MAX_FAULTS and node.quarantined_at is None
    if full:
        node.quarantined_at = now()
        node.quarantine_reason = f"{len(node.faults)} runs in a row failed by its own fault. Last: {message or code}"
    node.save(update_fields=["faults", "rest_until", "quarantined_at", "quarantine_reason"])
    if full:
        audit_append(
            actor=None, act="node.quarantine", subject=f"node:{node.name}",
            data={"faults": node.faults, "message": message},
        )  # fmt: skip


def _forget(run: Run, other: Node | None) -> None:
    """Take what this run said against a node before back. The caller holds the lock of its row."""
    if other is not None:
        other.faults = [fault for fault in other.faults if fault.get("run") != str(run.pk)]
        other.rest_until = None
        other.save(update_fields=["faults", "rest_until"])


def node_worked(*, node: Node) -> None:
    """A run used the node's engine and came to its own end: what was held against the node is forgotten."""
    Node.objects.filter(pk=node.pk).exclude(faults=[]).update(faults=[], rest_until=None)
