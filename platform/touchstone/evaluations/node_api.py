"""The node API: thin views for worker nodes, which hold no database credentials.

Bodies are contract models. Every answer that is not 2xx is a problem (RFC 9457).
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import orjson
import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runners.contract import EventBatch, NodeHello, RunResult, RunSpec, dump
from runners.spec.models import SubmissionKind
from touchstone.core.errors import TooLarge, UserError
from touchstone.core.problems import CONTENT_TYPE, problem, problem_response, request_id_of
from touchstone.core.storage import blob_open
from touchstone.evaluations import services
from touchstone.evaluations.models import Node

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=BaseModel)
View = Callable[..., HttpResponseBase]


class ClaimBody(BaseModel):
    """What a node asks for. `wait` is reserved for long polling; answers come at once.

    `key`: drawn by the node for each claim, and the same when it asks again because no answer came.
    """

    model_config = ConfigDict(extra="forbid")

    queue: Annotated[str, Field(min_length=1, max_length=20)]
    kinds: Annotated[tuple[SubmissionKind, ...], Field(min_length=1)]
    wait: bool = False
    key: Annotated[str, Field(max_length=64)] = ""


class ReleaseBody(BaseModel):
    """Why a run is given back. `lost`: what supervised it died, and a restarted worker found it."""

    model_config = ConfigDict(extra="forbid")

    lost: bool = False


def guarded(*, method: str) -> Callable[[View], View]:
    """One method, and errors as problems."""

    def wrap(view: View) -> View:
        @functools.wraps(view)
        def run(request: HttpRequest, **parts: object) -> HttpResponseBase:
            if request.method != method:
                response = problem_response(UserError(f"Send {method}.", code="method", status=405), request=request)
                response["Allow"] = method
                return response
            try:
                return view(request, **parts)
            except UserError as error:
                return problem_response(error, request=request)
            except Exception:
                log.exception("node_api.failed", path=request.path)
                body = problem(
                    status=500, detail="The platform failed; the log has this request's id.", code="internal",
                    request_id=request_id_of(request),
                )  # fmt: skip
                return JsonResponse(body, status=500, content_type=CONTENT_TYPE)

        return csrf_exempt(run)

    return wrap


def for_node(view: View) -> View:
    """A POST of a node that proved who it is; the view gets it as `node`."""

    @guarded(method="POST")
    @functools.wraps(view)
    def run(request: HttpRequest, **parts: object) -> HttpResponseBase:
        scheme, _, raw = request.headers.get("Authorization", "").partition(" ")
        node = services.node_authenticate(raw=raw.strip()) if scheme.lower() == "bearer" else None
        if node is None:
            error = UserError(
                "The node token is missing, unknown or disabled.",
                "Make one with `manage.py node_create NAME`.",
                "token",
                401,
            )
            response = problem_response(error, request=request)
            response["WWW-Authenticate"] = 'Bearer realm="node"'
            return response
        return view(request, node=node, **parts)

    return run


def _body(request: HttpRequest, model: type[M]) -> M:
    """The request's body as a contract model. orjson refuses NaN, which JSON has not. Raises 413 and 422."""
    try:
        return model.model_validate_json(orjson.dumps(orjson.loads(request.body)))
    except RequestDataTooBig:
        raise TooLarge(f"The body has more than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.") from None
    except orjson.JSONDecodeError as error:
        raise UserError(f"The body is not JSON: {error}.", code="invalid_json", status=422) from None
    except ValidationError as error:
        raise UserError(_first(error.errors(include_url=False)), code="invalid_content", status=422) from None


def _first(errors: Sequence[object]) -> str:
    lines = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in errors[:10]]  # type: ignore[index]
    return "The body breaks the contract: " + "; ".join(lines)


@for_node
def register(request: HttpRequest, *, node: Node) -> HttpResponseBase:
    services.node_register(node=node, hello=_body(request, NodeHello))
    return JsonResponse(
        {
            "node": node.name,
            "lease_seconds": settings.TOUCHSTONE_LEASE_SECONDS,
            "heartbeat_seconds": settings.TOUCHSTONE_HEARTBEAT_SECONDS,
        }
    )


@for_node
def claim(request: HttpRequest, *, node: Node) -> HttpResponseBase:
    body = _body(request, ClaimBody)
    # The node reaches us under this name, so it will reach the files under it too.
    spec = services.run_claim(
        node=node, queue=body.queue, kinds=list(body.kinds), base_url=request.build_absolute_uri("/"), key=body.key
    )
    return HttpResponse(status=204) if spec is None else JsonResponse({"run": _told(spec)})


def _told(spec: RunSpec) -> dict[str, Any]:
    """A run as JSON. A node of the version before refuses what it does not know, so what is not used is left out."""
    fields = RunSpec.model_fields
    whole = dump(spec).items()
    told = {name: value for name, value in whole if value not in (None, []) or fields[name].is_required()}
    return told if spec.input is None else {**told, "input": spec.input.model_dump(mode="json", exclude_none=True)}


@for_node
def lease(request: HttpRequest, *, node: Node, run_id: uuid.UUID, attempt: int) -> HttpResponseBase:
    return JsonResponse(dump(services.lease_renew(node=node, run_id=run_id, attempt=attempt)))


@for_node
def events(request: HttpRequest, *, node: Node, run_id: uuid.UUID, attempt: int) -> HttpResponseBase:
    services.events_append(node=node, run_id=run_id, attempt=attempt, batch=_body(request, EventBatch))
    return HttpResponse(status=204)


@for_node
def result(request: HttpRequest, *, node: Node, run_id: uuid.UUID, attempt: int) -> HttpResponseBase:
    body = _body(request, RunResult)
    if (body.run, body.attempt) != (str(run_id), attempt):
        raise UserError("The body is about another attempt than the URL.", code="invalid_content", status=422)
    return JsonResponse({"status": services.result_accept(node=node, result=body)})


@for_node
def release(request: HttpRequest, *, node: Node, run_id: uuid.UUID, attempt: int) -> HttpResponseBase:
    body = _body(request, ReleaseBody) if request.body else ReleaseBody()
    services.run_release(node=node, run_id=run_id, attempt=attempt, lost=body.lost)
    return HttpResponse(status=204)


@guarded(method="GET")
def file(request: HttpRequest, *, signed: str) -> HttpResponseBase:
    """The signature is the permission: it names one file of one attempt that runs now."""
    sha256 = services.file_signed(signed=signed)
    response = FileResponse(blob_open(sha256=sha256), content_type="application/octet-stream")
    response["ETag"] = f'"{sha256}"'
    return response
