"""Parameters against the JSON Schema that typed signatures produce."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from runners.spec.parameters import parameter_problems


class Typed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    eps: Annotated[float, Field(gt=0, le=10)]
    norm: Literal["l2", "linf"] = "l2"
    steps: Annotated[int, Field(ge=1)] = 10
    sizes: list[Annotated[int, Field(ge=1)]] | None = None
    name: Annotated[str, Field(min_length=2)] = "ab"
    flag: bool = False


SCHEMA = Typed.model_json_schema()


@pytest.mark.parametrize(
    ("given", "loc", "message"),
    [
        ({}, (), "`eps` is missing"),
        ({"eps": 0}, ("eps",), "more than 0"),
        ({"eps": 11}, ("eps",), "at most 10"),
        ({"eps": "1"}, ("eps",), "expected a number, found the text"),
        ({"eps": True}, ("eps",), "expected a number, found true"),
        ({"eps": 1, "norm": "l1"}, ("norm",), "expected l2 or linf"),
        ({"eps": 1, "steps": 1.5}, ("steps",), "a whole number"),
        ({"eps": 1, "steps": 0}, ("steps",), "at least 1"),
        ({"eps": 1, "sizes": [1, 0]}, ("sizes", 1), "at least 1"),
        ({"eps": 1, "sizes": 3}, ("sizes",), "a list or nothing"),
        ({"eps": 1, "name": "a"}, ("name",), "at least 2 characters"),
        ({"eps": 1, "flag": 1}, ("flag",), "true or false"),
        ({"eps": 1, "step": 1}, ("step",), "no parameter named `step`"),
    ],
)
def test_problems_agree_with_the_typed_model(given: dict[str, Any], loc: tuple[Any, ...], message: str) -> None:
    (problem,) = parameter_problems(SCHEMA, given)
    assert problem.loc == loc
    assert message in problem.message


def test_right_parameters_have_no_problem() -> None:
    given = {"eps": 1, "norm": "linf", "steps": 3, "sizes": [1, 2], "name": "xyz", "flag": True}
    assert parameter_problems(SCHEMA, given) == []
    assert parameter_problems(SCHEMA, {"eps": 1, "sizes": None}) == []


def test_a_second_schema_adds_its_keys() -> None:
    also = {"properties": {"restarts": {"type": "integer"}}, "required": ["restarts"]}
    assert parameter_problems(SCHEMA, {"eps": 1, "restarts": 2}, also=also) == []
    assert [p.code for p in parameter_problems(SCHEMA, {"eps": 1}, also=also)] == ["missing_parameter"]
