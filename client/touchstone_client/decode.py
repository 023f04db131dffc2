"""JSON objects to frozen dataclasses and back.

Fields that the server adds later are ignored, so an older client keeps working; a missing field without a default
is an error that names it.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Hashable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from touchstone_client.errors import ClientError

T = TypeVar("T")


def decode(kind: type[T], data: object) -> T:
    """`data` (parsed JSON) as an instance of the dataclass `kind`. Raises `ClientError` where the shapes differ."""
    try:
        return _record(kind, data)
    except (KeyError, TypeError, ValueError) as error:
        raise ClientError(
            "The server's answer is not in the form this client knows",
            why=f"{kind.__name__}: {error}",
            hint="Check the server's address, and update the client: pip install -U touchstone-client",
            code="unknown_answer",
        ) from error


def encode(value: object) -> Any:
    """The JSON form of a value made of dataclasses, tuples, dicts, datetimes and plain values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _record(kind: type[T], data: object) -> T:
    if not isinstance(data, Mapping):
        raise TypeError(f"expected an object, got {type(data).__name__}")
    hints = _hints(cast(Hashable, kind))
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name in data:
            values[field.name] = _value(hints[field.name], data[field.name], field.name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise KeyError(f"{field.name} is missing")
    return kind(**values)


def _value(hint: Any, data: Any, name: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if data is None else _value(_not_none(hint), data, name)
    if origin is tuple:
        return tuple(_value(get_args(hint)[0], item, name) for item in data)
    if origin is dict:
        return {str(key): _value(get_args(hint)[1], item, name) for key, item in data.items()}
    if dataclasses.is_dataclass(hint):
        return _record(hint, data)  # type: ignore[arg-type]
    if hint is datetime:
        return datetime.fromisoformat(data)
    return _plain(hint, data, name)


def _not_none(hint: Any) -> Any:
    return next(item for item in get_args(hint) if item is not type(None))


def _plain(hint: Any, data: Any, name: str) -> Any:
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if hint in (str, int, float, bool) and not isinstance(data, hint):
        raise TypeError(f"{name} is {type(data).__name__}, not {hint.__name__}")
    return data
