"""What evaluates submissions: the queues for everybody who is signed in, the nodes for the platform's staff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.core.errors import Conflict, NotAllowed, NotFound
from touchstone.evaluations.models import Node
from touchstone.evaluations.queue_selectors import NodeView, nodes_view, queues_summary
from touchstone.evaluations.services import (
    may_manage_nodes,
    node_disable,
    node_drain,
    node_get,
    node_release,
    node_undrain,
)
from touchstone.web import present
from touchstone.web.views.support import page

_ACTS: dict[str, Callable[..., Node]] = {
    "drain": node_drain, "undrain": node_undrain, "release": node_release, "disable": node_disable,
}  # fmt: skip


def _acts(view: NodeView) -> list[tuple[str, Any]]:
    """What can be done with a node as it is."""
    if view.node.disabled_at:
        return []
    found = ["release"] if view.node.quarantined_at else []
    found.append("undrain" if view.node.drained_at else "drain")
    return [(act, present.NODE_ACTS[act].button) for act in [*found, "disable"]]


def _refuse_idle(node: Node, act: str) -> None:
    """Raises `Conflict` where the act would change nothing: the answer must not say that it did."""
    applies = {
        "drain": node.drained_at is None, "undrain": node.drained_at is not None,
        "release": node.quarantined_at is not None, "disable": True,
    }  # fmt: skip
    if node.disabled_at is not None:
        raise Conflict(
            _("%(node)s is disabled.") % {"node": node.name}, _("`manage.py node create --replace` revives it.")
        )
    if not applies[act]:
        raise Conflict(present.NODE_ACTS[act].idle % {"node": node.name}, _("The page of nodes shows how it is now."))


def _row(view: NodeView) -> dict[str, Any]:
    hello = view.node.hello or {}
    engines = hello.get("engines") or []
    return {
        "view": view,
        "node": view.node,
        "hello": hello,
        "gpus": hello.get("gpus") or [],
        "engines": [engine for engine in engines if engine.get("ok")],
        "broken": [engine for engine in engines if not engine.get("ok")],
        "kinds": ", ".join(hello.get("kinds") or []),
        "speed": present.speed(hello.get("calibration")),
        "free": max(0, view.slots - view.long_runs) if view.state in ("ready", "busy") else 0,
        "acts": _acts(view),
    }


@login_required
@never_cache
@page
def nodes(request: HttpRequest) -> HttpResponse:
    """The queues; for staff the nodes with what they are, what they run, and what can be done with them."""
    staff = may_manage_nodes(user=request.user)
    context = {
        "nav": "nodes",
        "queues": [(queue, present.duration(queue.usual_wait)) for queue in queues_summary()],
        "staff": staff,
        "rows": [_row(view) for view in nodes_view()] if staff else [],
    }
    whole = request.headers.get("HX-Request") != "true"
    return render(request, "web/nodes/nodes.html" if whole else "web/nodes/_tables.html", context)


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def node_act(request: HttpRequest, name: str, act: str) -> HttpResponse:
    """Ask first what will happen, then do it."""
    if not may_manage_nodes(user=request.user):
        raise NotAllowed(_("Only the platform's staff manages nodes."))
    if act not in _ACTS:
        raise NotFound(_("There is no such address."))
    node = node_get(name=name)
    _refuse_idle(node, act)
    texts = present.NODE_ACTS[act]
    if request.method == "POST":
        _ACTS[act](node=node, by=request.user)
        messages.success(request, f"{node.name}: {texts.done}")
        return redirect("web:nodes")
    return render(request, "web/nodes/act.html", {"nav": "nodes", "node": node, "texts": texts})
