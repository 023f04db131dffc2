"""`input.sizes`: which other sizes an item may have, and what is wrong with those that cannot be."""

import pytest
from pydantic import ValidationError

from runners.spec.models import InputSpec


def spec(kind="array", shape=(64, 8), **sizes):
    return InputSpec(kind=kind, shape=shape, sizes=sizes or None, features=("a",) if kind == "tabular" else ())


def test_shapes_that_are_allowed():
    found = spec(axes=[0], least=16, most=256, multiple_of=16)
    assert found.allows((64, 8))
    assert found.allows((256, 8))
    for shape in ((8, 8), (272, 8), (24, 8), (64, 9), (64,), (64, 8, 1), ()):
        assert not found.allows(shape)
    assert spec().allows((64, 8))
    assert not spec().allows((128, 8))


def test_a_square_grows_on_both_sides():
    found = spec("image", (3, 32, 32), axes=[1, 2], least=16, most=64)
    assert found.allows((3, 48, 48))
    assert not found.allows((3, 48, 32))
    assert not found.allows((1, 48, 48))


@pytest.mark.parametrize(
    ("kind", "shape", "sizes", "text"),
    [
        ("array", (64, 8), {"axes": [2], "least": 1, "most": 9}, "axes may be 0, 1"),
        ("array", (64, 8), {"axes": [0, 0], "least": 1, "most": 99}, "an axis stands twice"),
        ("array", (64, 8), {"axes": [], "least": 1, "most": 99}, "at least 1 item"),
        ("array", (64, 8), {"axes": [-1], "least": 1, "most": 99}, "greater than or equal to 0"),
        ("array", (64, 8), {"axes": [0, 1], "least": 1, "most": 99}, "one length on the axes"),
        ("array", (64, 8), {"axes": [0], "least": 65, "most": 99}, "from 65 to 99"),
        ("array", (64, 8), {"axes": [0], "least": 9, "most": 9}, "larger than least"),
        ("array", (64, 8), {"axes": [0], "least": 0, "most": 99}, "greater than or equal to 1"),
        ("array", (64, 8), {"axes": [0], "least": 1, "most": 96, "multiple_of": 16}, "multiple of multiple_of"),
        ("array", (60, 8), {"axes": [0], "least": 16, "most": 96, "multiple_of": 16}, "a multiple of 16"),
        ("array", (64, 8), {"axes": [0], "least": 1, "most": 2**21}, "less than or equal to 1048576"),
        ("image", (3, 32, 32), {"axes": [0], "least": 1, "most": 9}, "axes may be 1, 2"),
        ("tabular", (1,), {"axes": [0], "least": 1, "most": 9}, "one size"),
        ("array", (64, 8), {"axes": [0], "least": 1, "most": 99, "step": 2}, "Extra inputs"),
    ],
)
def test_sizes_that_cannot_be(kind, shape, sizes, text):
    with pytest.raises(ValidationError, match=text):
        spec(kind, shape, **sizes)
