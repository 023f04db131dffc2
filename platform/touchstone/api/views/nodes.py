"""What evaluates submissions: the queues, for everybody who is signed in; the nodes, for the platform's staff."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.scopes import ADMIN
from touchstone.api.base import ApiView, Strict
from touchstone.api.node_outputs import NodeOut, NodesOut, QueuesOut
from touchstone.api.schema import operation
from touchstone.core.errors import NotAllowed
from touchstone.evaluations.models import Run
from touchstone.evaluations.queue_selectors import NodeView, nodes_view, queues_summary
from touchstone.evaluations.services import (
    may_manage_nodes,
    node_disable,
    node_drain,
    node_get,
    node_release,
    node_undrain,
)

_ACTS = {"drain": node_drain, "undrain": node_undrain, "release": node_release, "disable": node_disable}


class Queues(ApiView):
    """What waits, and who is there to take it."""

    tag = "nodes"
    scopes = {"GET": "read"}

    @operation(operation_id="queues_list", summary="What waits, and for how long", responses=QueuesOut)
    def get(self, request: Request) -> Response:
        return Response(QueuesOut({"items": queues_summary()}).data)


class Nodes(ApiView):
    """The nodes in detail."""

    tag = "nodes"
    scopes = {"GET": "admin"}

    @operation(operation_id="nodes_list", summary="The nodes, for the platform's staff", responses=NodesOut)
    def get(self, request: Request) -> Response:
        if not may_manage_nodes(user=request.user):
            raise NotAllowed("Only the platform's staff sees the nodes.", "GET /api/v1/queues says what waits.")
        return Response(NodesOut({"items": [node_dict(view) for view in nodes_view()]}).data)


class NodeAct(ApiView):
    """Draining, releasing, disabling."""

    tag = "nodes"
    scopes = {"POST": ADMIN}

    class Input(Strict):
        """What to do with it."""

        act = serializers.ChoiceField(
            list(_ACTS),
            help_text="drain: no new runs; undrain: runs again; release: out of quarantine; disable: refuse its token.",
        )

    @operation(
        operation_id="nodes_act",
        summary="Drain, undrain, release or disable a node",
        description="For the platform's staff. Again changes nothing.",
        request=Input,
        responses=NodeOut,
    )
    def post(self, request: Request, name: str) -> Response:
        if not may_manage_nodes(user=request.user):
            raise NotAllowed("Only the platform's staff manages nodes.", "Ask them.")
        node = node_get(name=name)
        _ACTS[self.body(request, self.Input)["act"]](node=node, by=request.user)
        return Response(NodeOut(node_dict(next(view for view in nodes_view() if view.node.pk == node.pk))).data)


def _sent(run: Run) -> Any:
    """The submission as its participant knows it: a run may be that of a copy."""
    return run.submission.original_id or run.submission_id


def node_dict(view: NodeView) -> dict[str, Any]:
    """A node as `NodeOut` describes it."""
    node, hello = view.node, view.node.hello or {}
    return {
        "name": node.name,
        "state": view.state,
        "queues": hello.get("queues") or [],
        "kinds": hello.get("kinds") or [],
        "engines": hello.get("engines") or [],
        "cpus": hello.get("cpus"),
        "memory": hello.get("memory"),
        "gpus": hello.get("gpus") or [],
        "slots": view.slots,
        "calibration": hello.get("calibration"),
        "version": hello.get("version") or "",
        "seen_at": node.seen_at,
        "drained_at": node.drained_at,
        "quarantined_at": node.quarantined_at,
        "quarantine_reason": node.quarantine_reason,
        "faults": node.faults,
        "runs": [{"run": run.pk, "submission": _sent(run), "started_at": run.started_at} for run in view.runs],
    }
