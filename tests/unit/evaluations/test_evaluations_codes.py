"""The codes that runners give: the server has words for each, and knows which of them speak against a node."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import runners
from runners.contract import IMAGE_PULL
from touchstone.evaluations.explanations import _BY_CODE, _PLATFORM
from touchstone.evaluations.services.node_states import is_better_elsewhere, is_node_fault

_CONSTANTS = {"IMAGE_PULL": IMAGE_PULL}


def _codes(error: str) -> set[str]:
    """The `code=` of every `error(...)` in the runners' source."""
    found = set()
    for path in Path(runners.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == error:
                values = [word.value for word in node.keywords if word.arg == "code"]
                found |= {value.value for value in values if isinstance(value, ast.Constant)}
                found |= {_CONSTANTS.get(value.id, "") for value in values if isinstance(value, ast.Name)}
    return found - {""}


@pytest.mark.parametrize("code", sorted(c for c in _codes("RetryableError") if c.startswith(("image_", "runtime_"))))
def test_faults_about_images_have_words_and_speak_against_no_node(code: str) -> None:
    assert code in _PLATFORM
    assert is_better_elsewhere(code=code)
    assert is_node_fault(code=code) is (code == "runtime_missing")


@pytest.mark.parametrize("code", sorted(_codes("UserError") & {c for c in _codes("UserError") if "image" in c}))
def test_faults_of_images_have_words(code: str) -> None:
    assert code in _BY_CODE


def test_a_pull_that_failed_counts_against_no_node() -> None:
    assert IMAGE_PULL in _codes("RetryableError")
    assert "engine_pull" not in _codes("RetryableError")
    assert not is_node_fault(code=IMAGE_PULL)


def test_every_word_for_a_node_is_one_that_runners_say() -> None:
    said = _codes("RetryableError") | _codes("UserError") | _codes("ParticipantFault") | {"check_time"}
    assert {code for code in (*_PLATFORM, *_BY_CODE) if code.startswith(("image_", "check_"))} <= said
