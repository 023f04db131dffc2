"""Every operation has an example and says how it fails; what they show is as the description says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from touchstone.api.examples import examples
from touchstone.api.views.schema import schema_document

#: Nothing is sent, and what is answered is no JSON.
_BODIES = ("application/json", "multipart/form-data")


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for methods in schema_document()["paths"].values():
        for described in methods.values():
            yield described["operationId"], described


def valid(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": schema_document()["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


def test_each_operation_has_one_and_there_is_none_of_an_operation_that_is_gone() -> None:
    assert set(examples()) == {name for name, _described in operations()}


@pytest.mark.parametrize("name", sorted(examples()))
def test_it_is_as_the_description_says(name: str) -> None:
    described = dict(operations())[name]
    example = examples()[name]
    told = {(each["in"], each["name"]): each for each in described.get("parameters", [])}
    for place, given in (("path", example.path), ("query", example.query), ("header", example.headers)):
        for key, value in given.items():
            valid(told[place, key]["schema"], value)
    for (place, key), each in told.items():
        assert not each.get("required") or key in (example.path if place == "path" else example.query), key
    body = described.get("requestBody")
    assert (example.request is not None) == (body is not None), "a request where one is sent, and none else"
    if body and not isinstance(example.request, str):
        valid(next(iter(body["content"].values()))["schema"], example.request)
    content = described["responses"][str(example.status)].get("content", {})
    if "application/json" in content:
        valid(content["application/json"]["schema"], example.response)
    else:
        assert example.response is None or isinstance(example.response, str)


def test_each_operation_says_what_it_does_and_how_it_fails() -> None:
    for name, described in operations():
        assert described["summary"], name
        for key in examples()[name].errors:
            status, code = key.split(" ")
            assert f"* {status} `{code}`: " in described["description"], name
            assert described["responses"][status]["content"]["application/problem+json"]["examples"][code], name


def test_no_example_has_a_secret_that_works_or_an_address_of_a_test() -> None:
    for name, example in examples().items():
        shown = repr(example)
        assert "testserver" not in shown, name
        assert "/tmp/" not in shown, name
