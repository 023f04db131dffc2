"""What evaluates submissions: the queues, for everybody who is signed in; the nodes, for the platform's staff."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView
from touchstone.api.node_outputs import NodesOut, QueuesOut
from touchstone.api.schema import operation
from touchstone.core.errors import NotAllowed
from touchstone.evaluations.models import Run
from touchstone.evaluations.queue_selectors import NodeView, nodes_view, queues_summary
from touchstone.evaluations.services import may_manage_nodes


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
    scopes = {"GET": "read"}

    @operation(operation_id="nodes_list", summary="The nodes, for the platform's staff", responses=NodesOut)
    def get(self, request: Request) -> Response:
        if not may_manage_nodes(user=request.user):
            raise NotAllowed("Only the platform's staff sees the nodes.", "GET /api/v1/queues says what waits.")
        return Response(NodesOut({"items": [node_dict(view) for view in nodes_view()]}).data)


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
