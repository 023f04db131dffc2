"""Made-up requests to every operation, through the whole server: nothing breaks, and nothing is answered that the
description does not tell.

`make fuzz-api` does the same with more cases; CASES and SEED say how many, and which.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.factories.api_fuzz import Fuzz
from tests.factories.example_world import ExampleWorld, example_world

pytestmark = [
    pytest.mark.django_db,
    # The client that schemathesis sends forms with leaves their files to the garbage collector.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <function SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
    ),
]
CASES = int(os.environ.get("TOUCHSTONE_FUZZ_CASES", "4"))
SEED = int(os.environ.get("TOUCHSTONE_FUZZ_SEED", "20260301"))
#: What the example world cannot say yes to, and why.
ELSEWHERE = {
    "oidc_mint": "needs an issuer that signs: tests/unit/api/test_api_oidc.py",
    "competitions_images_remove": "needs a registry: tests/unit/api/test_api_images.py",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A refused request is a line of the log; here there are thousands."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    gc.collect()


@pytest.fixture(scope="module")
def world(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExampleWorld]:
    """One for all: what requests change is undone."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield example_world(tmp_path_factory.mktemp("examples"))
        transaction.set_rollback(True)


@pytest.fixture
def fuzz(world: ExampleWorld) -> Fuzz:
    return Fuzz(world)


def test_every_operation_answers_as_described_whatever_it_is_sent(fuzz: Fuzz) -> None:
    for name in fuzz.operations:
        fuzz.send_odd(name, most=CASES // 2)
        fuzz.send_made_up(name, cases=CASES, number=SEED)
    assert not fuzz.found.faults, fuzz.found.text()


def test_every_example_is_answered_as_it_says_and_only_to_who_may(fuzz: Fuzz) -> None:
    """So each operation says yes at least once, to the very request that its description shows."""
    wrong = {}
    for name in fuzz.operations:
        if name in ELSEWHERE:
            continue
        answer = fuzz.send_example(name)
        if answer is None or answer.status_code != fuzz.example(name).status:
            wrong[name] = f"{name}: {answer and (answer.status_code, answer.content[:400])}"
    assert not wrong, "\n".join(wrong.values())
    assert not fuzz.found.faults, fuzz.found.text()
    assert fuzz.found.refused_always() == []


def test_nobody_gets_in_with_a_wrong_token(fuzz: Fuzz) -> None:
    """Not even where anybody may ask without one."""
    fuzz.world.tokens["nobody"] = "ts_46ed3d5ac83fe8ec_" + "x" * 43
    for name in fuzz.operations:
        if fuzz.example(name).path or "{" not in fuzz.operations[name].path:
            answer = fuzz.send_example(name, actor="nobody")
            assert answer is not None, fuzz.found.text()
            assert answer.status_code == 401, name
