"""Turn one Python function into a server the platform can ask.

    from touchstone_client import serve

    def predict(x):            # float32, shape (n, *item shape)
        return probabilities   # float, shape (n, classes)

    serve(predict)

On the platform, `TOUCHSTONE_SOCKET` names a unix socket: the process dials it and answers Open
Inference Protocol requests on that connection, in their framed form if asked to. Without that
variable it listens on TCP port 8080 (or `TOUCHSTONE_PORT`), so that the same program can be tried
at home with curl.
Standard library and NumPy only.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from touchstone_client._dial import dial
from touchstone_client._frames import EXTENSION, PROTOCOL, serve_frames
from touchstone_client._http import Handler, Request, serve_connection
from touchstone_client._oip import BadRequest, decode_request, encode_reply
from touchstone_client._reply import Reply, error_reply, json_reply

Array = npt.NDArray[Any]
Predict = Callable[[Array], Any]
#: `gradient(x, y, loss)` → loss (n,), gradient like x, logits (n, classes).
GradientFunction = Callable[[Array, Array, str], tuple[Array, Array, Array]]
#: `explain(x, target)` → attributions like x, or one for each pixel: how much each number speaks for the class.
ExplainFunction = Callable[[Array, Array], Any]
Tensors = Sequence[Mapping[str, Any]]

_VERSION = "1"
_FLOATS = (np.dtype("<f4"), np.dtype("<f8"))
_DEFAULT_INPUTS: Tensors = ({"name": "x", "datatype": "FP32", "shape": [-1, -1]},)
_DEFAULT_OUTPUTS: Tensors = ({"name": "y", "datatype": "FP64", "shape": [-1, -1]},)
_TARGET: Mapping[str, Any] = {"name": "target", "datatype": "INT64", "shape": [-1]}


class Application:
    """Routes requests of one model. Predictions run one at a time."""

    def __init__(
        self,
        predict: Predict,
        *,
        gradient: GradientFunction | None = None,
        explain: ExplainFunction | None = None,
        pixels: bool = False,
        name: str = "model",
        inputs: Tensors | None = None,
        outputs: Tensors | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._predict = predict
        self._gradient = gradient
        self._explain = explain
        self._lock = threading.Lock()
        self._input = str((inputs or _DEFAULT_INPUTS)[0]["name"])
        self._output = str((outputs or _DEFAULT_OUTPUTS)[0]["name"])
        self._name = name
        root = f"/v2/models/{name}"
        metadata: dict[str, Any] = {
            "name": name, "versions": [_VERSION], "platform": "touchstone_client",
            "inputs": [dict(t) for t in inputs or _DEFAULT_INPUTS],
            "outputs": [dict(t) for t in outputs or _DEFAULT_OUTPUTS],
        }  # fmt: skip
        if explain is not None:
            shape = [-1, -1, -1] if pixels else metadata["inputs"][0]["shape"]
            metadata["inputs"].append(dict(_TARGET))
            metadata["outputs"].append({"name": "attribution", "datatype": "FP64", "shape": shape})
        if parameters:
            metadata["parameters"] = dict(parameters)
        server = {"name": "touchstone_client", "version": _VERSION, "extensions": ["binary_tensor_data", EXTENSION]}
        ready = {"name": name, "ready": True}
        self._get = {
            "/v2": server, "/v2/health/live": {"live": True}, "/v2/health/ready": {"ready": True},
            root: metadata, f"{root}/versions/{_VERSION}": metadata,
            f"{root}/ready": ready, f"{root}/versions/{_VERSION}/ready": ready,
        }  # fmt: skip
        self._post = {f"{root}/infer": "infer", f"{root}/versions/{_VERSION}/infer": "infer"}
        if gradient is not None:
            self._post[f"{root}/gradient"] = "gradient"

    def __call__(self, request: Request) -> Reply:
        """Answer one request. A failure of `predict` is answered with status 500; its traceback goes to stderr."""
        path = request.path.rstrip("/")
        if request.method == "GET" and path == "/v2" and request.headers.get("upgrade", "").lower() == PROTOCOL:
            headers = (("Connection", "Upgrade"), ("Upgrade", PROTOCOL))
            return Reply(101, headers, b"", lambda connection, begun: serve_frames(connection, begun, self.answer))
        if request.method == "GET" and path in self._get:
            return json_reply(self._get[path])
        if request.method != "POST" or path not in self._post:
            known = path in self._get or path in self._post
            return error_reply(f"{request.method} {request.path} is not offered", 405 if known else 404)
        try:
            asked = decode_request(request.body, _header_length(request))
            return encode_reply(asked, self.answer(self._post[path], asked.inputs, asked.parameters), model=self._name)
        except BadRequest as error:
            return error_reply(str(error), 400)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            return error_reply(f"{type(error).__name__}: {error}", 500)

    def answer(self, action: str, inputs: dict[str, Array], parameters: Mapping[str, Any]) -> dict[str, Array]:
        """Outputs by name; `action` is infer or gradient. Raises `BadRequest`, and whatever `predict` raises.

        A question that has the input `target` is one for the output `attribution`, and for that alone.
        """
        x = _input(inputs, self._input)
        if action == "infer":
            if self._explain is not None and "target" in inputs:
                with self._lock:
                    return {"attribution": _floats(self._explain(x, inputs["target"]))}
            with self._lock:
                return {self._output: _floats(self._predict(x))}
        if action != "gradient" or self._gradient is None:
            raise BadRequest(f"this model does not offer {action[:80]!r}")
        y = _input(inputs, "y")
        with self._lock:
            loss, gradient, logits = self._gradient(x, y, str(parameters.get("loss", "cross_entropy")))
        return {"loss": loss, "gradient": gradient, "logits": logits}


def _floats(answer: Any) -> Array:
    array = np.asarray(answer)
    return array if array.dtype in _FLOATS else array.astype(np.float64)


def _header_length(request: Request) -> int | None:
    length = request.headers.get("inference-header-content-length")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise BadRequest(f"Inference-Header-Content-Length is {length!r}")
    return None if length is None else int(length)


def _input(inputs: Mapping[str, Array], name: str) -> Array:
    if name in inputs:
        return inputs[name]
    raise BadRequest(f"input {name!r} is missing; given: {', '.join(inputs) or 'none'}")


def _converse(connection: socket.socket, handler: Handler) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            serve_connection(connection, handler)
        except ConnectionError as error:
            print(f"a client went away: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the participant's own log


def listen(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 8080, ready: Callable[[int], None] | None = None
) -> None:
    """Serve on TCP until interrupted; `ready` is told the port (port 0 takes a free one)."""
    with socket.create_server((host, port)) as listener:
        bound = int(listener.getsockname()[1])
        print(f"serving the Open Inference Protocol on http://{host}:{bound}", file=sys.stderr, flush=True)  # noqa: T201
        if ready is not None:
            ready(bound)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, handler), daemon=True).start()


def run(handler: Handler) -> None:
    """Serve where the environment says: the platform's socket, else TCP."""
    path = os.environ.get("TOUCHSTONE_SOCKET")
    if path:
        dial(path, handler)
        return
    try:
        host = os.environ.get("TOUCHSTONE_HOST", "127.0.0.1")
        listen(handler, host=host, port=int(os.environ.get("TOUCHSTONE_PORT", "8080")))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201


def serve(
    predict: Predict,
    *,
    gradient: GradientFunction | None = None,
    explain: ExplainFunction | None = None,
    pixels: bool = False,
    name: str = "model",
    inputs: Tensors | None = None,
    outputs: Tensors | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Serve `predict` until the platform hangs up (or, at home, until interrupted).

    Args:
        predict: float32 array (n, *item shape) → array (n, classes): probabilities whose rows sum
            to one, or logits, as the competition's `input.output` says.
        gradient: optional; `(x, y, loss)` → loss (n,), gradient like x, logits (n, classes). The
            platform asks it only of its own weights server.
        explain: optional; `(x, target)` → how much each number of x speaks for the class `target` (int64, (n,)) of
            its item: like x, finite numbers up to 1e100. Asked by metrics of explanations only, never with a
            prediction.
        pixels: `explain` answers one number for each pixel, (n, height, width), instead.
        name: the model's name in URLs; the platform asks for `model`.
        inputs, outputs: metadata of the tensors: name, datatype, shape; the first of each is used.
        parameters: free metadata shown at `GET /v2/models/<name>`.
    """
    run(
        Application(
            predict, gradient=gradient, explain=explain, pixels=pixels, name=name, inputs=inputs, outputs=outputs,
            parameters=parameters,
        )
    )  # fmt: skip
