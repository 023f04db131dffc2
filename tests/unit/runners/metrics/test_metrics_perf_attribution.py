"""A published attribution task: which of ten language models answered, with answers that name none for sure."""

import numpy as np
import pytest

from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import context

#: For each of ten models whether it was attributed rightly; "-": several were, so that the answer is ambiguous.
ROWS = {
    "HDT": ("yynnynnyny", 5), "perplexity": ("nnnnnynnnn", 1), "TripletNet": ("nnyynnnnny", 3),
    "BERT, fine-tuned": ("nyyynnnyyy", 6), "BERT, both": ("nyyynnnyyy", 6), "exact matching": ("yyynnnynny", 5),
    "BERT, base": ("y-y-nnyyyy", 6), "BERT, base, chosen prompts": ("yn-nnyyy-y", 5),
    "BERT, base, all prompts": ("yyy-nyyyyy", 8),
}  # fmt: skip
MODELS = tuple(f"m{i}" for i in range(10))


@pytest.mark.parametrize("method", ROWS)
def test_an_ambiguous_answer_is_no_hit_and_accuses_nobody(method):
    """A class of its own for "none": it is missed where it is said, and no model gets a false attribution by it."""
    row, printed = ROWS[method]
    labels = np.arange(10)
    # A wrong answer names the next model, an ambiguous one the class "none".
    said = np.array([i if c == "y" else 10 if c == "-" else (i + 1) % 10 for i, c in enumerate(row)])
    ctx = context(labels, said, task=TaskSpec(kind="multiclass", classes=(*MODELS, "none")))
    (accuracy,) = measure("performance.accuracy", "x", {}, ctx)
    (wrong,) = measure("performance.confusion_matrix", "x", {}, ctx)
    assert accuracy.value * 10 == pytest.approx(printed)
    assert wrong.value == 10 - printed
    table = np.array(wrong.details["confusion"])
    falsely = table.sum(axis=0) - np.diag(table)
    assert falsely[:10].sum() == row.count("n")
    assert falsely[10] == row.count("-")
