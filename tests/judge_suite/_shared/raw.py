"""A server that speaks the protocol byte by byte, so that a case can misspeak wherever it likes."""

import json
import os
import socket

import numpy as np

JSON = (("Content-Type", "application/json"),)
METADATA = {
    "name": "model", "versions": ["1"], "platform": "raw",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1, 2]}],
}  # fmt: skip
SERVER = {"name": "raw", "version": "1", "extensions": ["binary_tensor_data"]}


def honest(x):
    """Right answers: yes where the first number is positive."""
    yes = 1 / (1 + np.exp(-20.0 * x[:, 0].astype(np.float64)))
    return np.column_stack([1 - yes, yes])


def dial():
    """A connection to the platform."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ["TOUCHSTONE_SOCKET"])
    return connection


def message(body, headers=JSON, status=200, length=None):
    """An HTTP answer; `length` may lie."""
    lines = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{key}: {value}" for key, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def as_json(content, **options):
    """A JSON answer."""
    return message(json.dumps(content).encode(), **options)


def tensor(y, *, datatype="FP64", shape=None, size=None, raw=None, header_length=None, outputs=None):
    """An answer with one binary tensor; every part of it may lie."""
    raw = np.ascontiguousarray(y).tobytes() if raw is None else raw
    described = {
        "name": "y", "datatype": datatype, "shape": list(y.shape) if shape is None else shape,
        "parameters": {"binary_data_size": len(raw) if size is None else size},
    }  # fmt: skip
    header = json.dumps({"model_name": "model", "outputs": outputs or [described]}).encode()
    named = str(len(header)) if header_length is None else header_length
    return message(
        header + raw, (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", named))
    )


class Requests:
    """Reads what the platform asks on one connection."""

    def __init__(self, connection):
        self.connection = connection
        self._buffer = b""

    def next(self):
        """Method, path and body of the next request, or None when the platform hung up."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        size = int(headers.get("content-length", "0"))
        while len(self._buffer) < size:
            if not self._fill():
                return None
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        method, path, _ = lines[0].split(" ", 2)
        return method, path, (headers, body)

    def _fill(self):
        try:
            data = self.connection.recv(65536)
        except OSError:
            return False
        self._buffer += data
        return bool(data)


def items(request):
    """The batch that was asked, float32 of shape (n, 4)."""
    headers, body = request
    length = int(headers["inference-header-content-length"])
    entry = json.loads(body[:length])["inputs"][0]
    return np.frombuffer(body[length:], dtype="<f4").reshape(entry["shape"])


def described(path, metadata=METADATA, server=SERVER):
    """The right answer to a question that is no inference."""
    return as_json({"/v2": server, "/v2/models/model": metadata}.get(path.rstrip("/"), {"ready": True}))


def converse(connection, answer, calls=0, most=None):
    """Answer until the platform hangs up or `most` inferences were answered; returns how many there were.

    `answer(connection, x, call)` gives the bytes to send, or None where it has dealt with the question itself.
    """
    requests = Requests(connection)
    while most is None or calls < most:
        asked = requests.next()
        if asked is None:
            break
        method, path, request = asked
        if method == "GET":
            connection.sendall(described(path))
            continue
        said = answer(connection, items(request), calls)
        calls += 1
        if said is not None:
            connection.sendall(said)
    return calls


def serve(answer):
    """Dial once and answer until the platform hangs up."""
    converse(dial(), answer)
