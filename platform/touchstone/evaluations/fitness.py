"""Which node can take which run: what a run needs, compared with what nodes said about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from touchstone.core.clock import now
from touchstone.evaluations.models import Lane, Node, Run


@dataclass(frozen=True)
class Capabilities:
    """What a node can take. None where it has not said: then nothing is held against it. `memory` in bytes."""

    queues: frozenset[str] | None
    kinds: frozenset[str]
    cpus: float | None
    memory: int | None
    gpus: int
    slots: int


def capabilities(*, node: Node) -> Capabilities:
    """What `node` told when it registered."""
    hello = node.hello or {}
    queues = hello.get("queues")
    return Capabilities(
        queues=None if queues is None else frozenset(queues),
        kinds=frozenset(hello.get("kinds", ())),
        cpus=hello.get("cpus"),
        memory=hello.get("memory"),
        gpus=len(hello.get("gpus") or ()),
        slots=max(1, int(hello.get("slots") or 1)),
    )


def fits(*, able: Capabilities, run: Run) -> bool:
    """Whether a node that is `able` to that much can take `run`."""
    return (
        (able.queues is None or run.queue in able.queues)
        and run.kind in able.kinds
        and (able.cpus is None or run.cpus <= able.cpus)
        and (able.memory is None or run.memory <= able.memory)
        and run.gpus <= able.gpus
    )


def size_filter(*, able: Capabilities) -> Q:
    """Runs that are not too large for such a node."""
    found = Q(gpus__lte=able.gpus)
    if able.cpus is not None:
        found &= Q(cpus__lte=able.cpus)
    if able.memory is not None:
        found &= Q(memory__lte=able.memory)
    return found


def fit_filter(*, able: Capabilities) -> Q:
    """Runs that such a node can take."""
    found = size_filter(able=able) & Q(kind__in=sorted(able.kinds))
    return found if able.queues is None else found & Q(queue__in=sorted(able.queues))


def nodes_active() -> QuerySet[Node]:
    """Nodes that take runs now: seen lately, and neither drained, quarantined nor disabled."""
    since = now() - timedelta(seconds=settings.TOUCHSTONE_NODE_ONLINE_SECONDS)
    return Node.objects.filter(seen_at__gte=since, disabled_at=None, drained_at=None, quarantined_at=None)


def nodes_for(*, run: Run, nodes: Iterable[Node]) -> list[Node]:
    """Those of `nodes` that can take `run`."""
    return [node for node in nodes if fits(able=capabilities(node=node), run=run)]


def lacking(*, run: Run, nodes: Iterable[Node]) -> str:
    """What the run needs and none of `nodes` has, in words; empty where one of them could take it.

    `nodes` are all that are known, online or not: a node that is switched off is no reason to give up hope.
    """
    known = [capabilities(node=node) for node in nodes]
    if not known or any(fits(able=able, run=run) for able in known):
        return ""
    for need, having in _needs(run, known):
        if having != "":
            return _("it needs %(need)s; %(having)s") % {"need": need, "having": having}
    return _("it needs %(need)s; no node has all of it at once") % {"need": _together(run)}


def _needs(run: Run, known: Sequence[Capabilities]) -> Iterable[tuple[str, str]]:
    """Each need and, where no node meets it, what there is."""
    most_gpus = max(able.gpus for able in known)
    if run.gpus > most_gpus:
        none = _("no node has them") if run.gpus > 1 else _("no node has one")
        yield _gpus(run.gpus), none if most_gpus == 0 else _largest_has(str(most_gpus))
    if all(run.kind not in able.kinds for able in known):
        yield _("a node that runs submissions of kind %(kind)s") % {"kind": run.kind}, _("no node does")
    if all(able.queues is not None and run.queue not in able.queues for able in known):
        yield _("a node of the queue %(queue)s") % {"queue": run.queue}, _("no node serves it")
    yield _cpus(run), _largest([able.cpus for able in known], run.cpus, lambda n: f"{n:g}")
    yield _memory(run), _largest([able.memory for able in known], run.memory, _bytes)


def _largest(found: Sequence[Any], needed: float, form: Any) -> str:
    if any(value is None or value >= needed for value in found):
        return ""
    return _largest_has(form(max(found)))


def _largest_has(what: str) -> str:
    return _("the largest node has %(what)s") % {"what": what}


def _cpus(run: Run) -> str:
    return _("%(n)s CPUs") % {"n": f"{run.cpus:g}"}


def _memory(run: Run) -> str:
    return _("%(size)s of memory") % {"size": _bytes(run.memory)}


def _together(run: Run) -> str:
    parts = [_cpus(run), _memory(run), *([_gpus(run.gpus)] if run.gpus else [])]
    return _("%(parts)s and the kind %(kind)s") % {"parts": ", ".join(parts), "kind": run.kind}


def _gpus(n: int) -> str:
    return ngettext("%(n)s GPU", "%(n)s GPUs", n) % {"n": n}


def _bytes(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"


def lane_of(*, kind: str) -> Lane:
    """The lane that a kind of submission waits in."""
    return Lane.QUICK if kind == "predictions" else Lane.LONG
