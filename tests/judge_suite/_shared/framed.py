"""The framed form of the protocol, byte by byte: a server that can lie in every field of a frame."""

import json
import struct

import numpy as np
from raw import SERVER, Requests, described, dial

PREFIX = struct.Struct("<4sBBHIIQ")
ANSWER, ERROR = 2, 3
OFFER = {**SERVER, "extensions": ["binary_tensor_data", "touchstone_framed"]}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: touchstone-framed/1\r\n\r\n"


def frame(y, number, *, magic=b"TSF1", kind=ANSWER, status=0, head_size=None, size=None, raw=None, head=None):
    """One answer; every field of it may lie."""
    raw = np.ascontiguousarray(y).tobytes() if raw is None else raw
    if head is None:
        described_ = {"name": "y", "datatype": "FP64", "shape": list(y.shape)}
        head = json.dumps({"outputs": [{**described_, "parameters": {"binary_data_size": len(raw)}}]}).encode()
    told = (len(head) if head_size is None else head_size, len(raw) if size is None else size)
    return PREFIX.pack(magic, kind, 0, status, number, *told) + head + raw


def _exactly(connection, size):
    whole = b""
    while len(whole) < size:
        data = connection.recv(size - len(whole))
        if not data:
            raise SystemExit(0)
        whole += data
    return whole


def serve(answer):
    """Answer in frames; `answer(connection, x, number, call)` gives the bytes to send, or None."""
    connection = dial()
    requests = Requests(connection)
    switched = False
    while not switched:
        asked = requests.next()
        if asked is None:
            return
        switched = asked[2][0].get("upgrade") == "touchstone-framed/1"
        connection.sendall(SWITCH if switched else described(asked[1], server=OFFER))
    call = 0
    while True:
        _, _, _, _, number, head_size, size = PREFIX.unpack(_exactly(connection, PREFIX.size))
        entry = json.loads(_exactly(connection, head_size))["inputs"][0]
        x = np.frombuffer(_exactly(connection, size), dtype="<f4").reshape(entry["shape"])
        said = answer(connection, x, number, call)
        call += 1
        if said is not None:
            connection.sendall(said)
