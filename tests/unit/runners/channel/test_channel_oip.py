"""Decoding of replies: nothing a submission claims is believed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.channel.errors import ProtocolError
from runners.channel.oip import Expected, decode_infer, encode_infer, reply_limit
from touchstone_client._oip import BadRequest, decode_request, encode_reply

Y = Expected("y", (2, 3), ("FP32", "FP64"))


def _reply(output: dict[str, Any], raw: bytes = b"") -> tuple[memoryview, str | None]:
    header = json.dumps({"model_name": "model", "outputs": [output]}).encode()
    return memoryview(header + raw), str(len(header)) if raw else None


def _binary(size: int = 24, **changes: Any) -> dict[str, Any]:
    return {"name": "y", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": size}, **changes}


@pytest.mark.parametrize("binary", [True, False])
def test_the_participants_helper_and_the_platform_understand_each_other(binary: bool) -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    headers, body = encode_infer({"x": x}, ["y"], binary=binary, parameters={"loss": "margin"})
    length = headers.get("Inference-Header-Content-Length")
    request = decode_request(memoryview(body), None if length is None else int(length))
    np.testing.assert_array_equal(request.inputs["x"], x)
    assert request.parameters["loss"] == "margin"
    reply = encode_reply(request, {"y": x[:, :3] / 7}, model="model")
    found = decode_infer(memoryview(reply.body), dict(reply.headers).get("Inference-Header-Content-Length"), [Y])
    np.testing.assert_allclose(found["y"], x[:, :3] / 7, rtol=1e-6)
    assert len(reply.body) <= reply_limit([Y])


WRONG: list[tuple[str, dict[str, Any], bytes, str]] = [
    ("shape", _binary(shape=[3, 2]), bytes(24), r"shape \[3, 2\], expected \[2, 3\]"),
    ("flat", _binary(shape=[6]), bytes(24), r"expected \[2, 3\]"),
    ("huge-shape", _binary(shape=[2**40, 2**40]), bytes(24), "expected"),
    ("datatype", _binary(datatype="INT64"), bytes(24), "expected FP32 or FP64"),
    ("datatype-object", _binary(datatype={"a": 1}), bytes(24), "expected FP32 or FP64"),
    ("size-lies", _binary(25), bytes(24), "binary_data_size is no number up to the 24 bytes"),
    ("size-negative", _binary(-1), bytes(24), "binary_data_size is no number"),
    ("size-boolean", _binary(parameters={"binary_data_size": True}), bytes(24), "binary_data_size is no number"),
    ("too-few-bytes", _binary(20), bytes(20), "needs? 24|need 24"),
    ("rest", _binary(24), bytes(30), "6 bytes of the answer belong to no output"),
    ("name", _binary(name="z"), bytes(24), "no output 'y'"),
    ("no-data", {"name": "y", "datatype": "FP32", "shape": [2, 3]}, b"", "neither data nor"),
    ("few-numbers", {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": [1, 2]}, b"", "2 numbers, expected 6"),
    ("words", {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": ["a"] * 6}, b"", "not numbers"),
    ("ragged", {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": [[1, 2], [3]]}, b"", "not numbers"),
]


SAID = [
    _binary(datatype="SECRET"),
    _binary(shape=[7_000_000_001, "SECRET"]),
    _binary(name="SECRET"),
    _binary(parameters={"binary_data_size": "SECRET"}),
    {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": ["SECRET"] * 6},
]


@pytest.mark.parametrize("output", SAID)
def test_what_a_submission_says_is_quoted_in_the_detail_only(output: dict[str, Any]) -> None:
    """It has seen inputs that may be hidden: the text of a verdict must not carry them out."""
    with pytest.raises(ProtocolError) as caught:
        decode_infer(*_reply(output, b"" if "data" in output else bytes(24)), [Y])
    assert "SECRET" not in str(caught.value)
    assert "7000000001" not in str(caught.value)
    assert "SECRET" in caught.value.detail


@pytest.mark.parametrize(("output", "raw", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_replies_are_refused_with_the_reason(output: dict[str, Any], raw: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        decode_infer(*_reply(output, raw), [Y])


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 30, "10000", ""])
def test_a_wrong_header_length_is_refused(length: str) -> None:
    with pytest.raises(ProtocolError, match="Inference-Header-Content-Length"):
        decode_infer(_reply(_binary(), bytes(24))[0], length, [Y])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b'{"outputs": 3}', b'{"outputs": [3]}', b'{"outputs": []}']
)
def test_a_body_that_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_infer(memoryview(body), None, [Y])


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200), length=st.none() | st.integers(-5, 300).map(str) | st.text(max_size=5))
def test_no_bytes_bring_anything_but_a_protocol_error(body: bytes, length: str | None) -> None:
    with pytest.raises(ProtocolError):
        decode_infer(memoryview(body), length, [Y])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(name=JSON, datatype=JSON, shape=JSON, parameters=JSON, data=JSON)
def test_no_json_brings_anything_but_a_protocol_error(
    name: Any, datatype: Any, shape: Any, parameters: Any, data: Any
) -> None:
    output = {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters, "data": data}
    with pytest.raises(ProtocolError):
        decode_infer(memoryview(json.dumps({"outputs": [output]}).encode()), None, [Y])


EIGHT = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}


@pytest.mark.parametrize(
    ("header", "raw", "message"),
    [
        ({"inputs": [EIGHT]}, 7, "7 bytes given"),
        ({"inputs": [EIGHT]}, 9, "1 bytes follow"),
        ({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]}, 0, "not supported"),
        ({"input": []}, 0, "not an Open Inference"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [3], "data": [1]}]}, 0, "not an Open Inference"),
    ],
)  # fmt: skip
def test_the_helper_refuses_wrong_requests(header: dict[str, Any], raw: int, message: str) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(BadRequest, match=message):
        decode_request(memoryview(text + bytes(raw)), len(text))
