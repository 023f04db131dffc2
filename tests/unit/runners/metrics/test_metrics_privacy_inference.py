from dataclasses import replace

import numpy as np
import pytest

from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.privacy.attribute_inference import _balanced
from runners.metrics.privacy.learner import basis, learn, narrow, ridge
from runners.registry import get_metric
from runners.spec.models import AttributeSpec, InputSpec, TaskSpec
from tests.factories.runner_models import (
    NetModel,
    context,
    digits,
    linear_model,
    model_context,
)


def run(ctx: MetricContext, name: str, **parameters):
    return {r.key: r for r in measure(name, "p", parameters, ctx)}


def secret_context(p_yes, secret, labels, *, minimum=30, inputs=None, features=(), **more):
    p = np.column_stack([1 - p_yes, p_yes])
    spec = None
    if inputs is not None:
        spec = InputSpec(kind="tabular", shape=inputs.shape[1:], features=features, range=(-9, 9))
    return context(
        labels, p.argmax(axis=1), probabilities=p, attributes={"secret": secret.astype(object)},
        attribute_specs={"secret": AttributeSpec(privileged="a", minimum=minimum)},
        inputs=inputs, input=spec, **more,
    )  # fmt: skip


def people(n=800, seed=0):
    """Inputs that know nothing of the secret, the secret, and labels of their own."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    secret = np.where(rng.random(n) < 0.3, "a", "b")
    return x, secret, rng.integers(0, 2, n)


NAMES = ("u", "v", "w", "z")


def test_answers_that_tell_the_secret():
    x, secret, labels = people()
    p = np.where(secret == "a", 0.8, 0.6) + 0.05 * np.tanh(x[:, 0].astype(float))
    found = run(secret_context(p, secret, labels, inputs=x, features=NAMES), "privacy.attribute_inference",
                attribute="secret")  # fmt: skip
    assert list(found) == ["p", "p.with_answers", "p.without_answers"]
    assert found["p.with_answers"].value > 0.99
    assert abs(found["p.without_answers"].value - 0.5) < 0.07
    assert found["p"].value == pytest.approx(found["p.with_answers"].value - found["p.without_answers"].value)
    assert 0.4 < found["p"].low < found["p"].value < found["p"].high < 0.6
    assert found["p"].details["values"] == ["a", "b"]
    assert found["p"].details["chance"] == 0.5


def test_what_the_inputs_tell_is_not_the_models_fault():
    """The model says nothing that is not in the inputs: raw accuracy is 1, the gain is 0."""
    x, secret, labels = people()
    x[:, 1] = np.where(secret == "a", 1.0, -1.0)
    p = 1 / (1 + np.exp(-x[:, 1].astype(float)))
    ctx = secret_context(p, secret, labels, inputs=x, features=NAMES)
    found = run(ctx, "privacy.attribute_inference", attribute="secret")
    assert found["p.with_answers"].value == 1.0
    assert found["p"].value == 0.0
    assert (found["p"].low, found["p"].high) == (None, None)
    # An attacker who does not know that input learns it from the answers.
    hidden = run(ctx, "privacy.attribute_inference", attribute="secret", hidden=["v"])
    assert hidden["p"].value > 0.4


def test_answers_that_know_nothing_gain_nothing():
    inside = 0
    for seed in range(6):
        x, secret, labels = people(400, seed)
        p = 1 / (1 + np.exp(-x[:, 0].astype(float)))
        found = run(secret_context(p, secret, labels, inputs=x, features=NAMES, seed=seed),
                    "privacy.attribute_inference", attribute="secret")["p"]  # fmt: skip
        inside += found.low is None or found.low <= 0 <= found.high
        assert abs(found.value) < 0.12
    assert inside >= 5


def test_labels_count_as_known():
    _, secret, _ = people()
    labels = (secret == "a").astype(int)
    ctx = secret_context(np.where(labels == 1, 0.9, 0.1), secret, labels)
    assert run(ctx, "privacy.attribute_inference", attribute="secret")["p"].value == 0.0
    assert run(ctx, "privacy.attribute_inference", attribute="secret", label=False)["p"].value == pytest.approx(
        0.5, abs=0.03
    )


def test_interval_of_the_gain_by_hand():
    """Without anything known the learner guesses one value; the interval is that of two means."""
    _, secret, _ = people(200)
    labels = np.zeros(200, dtype=int)
    p = np.where(secret == "a", 0.9, 0.2)
    p[np.flatnonzero(secret == "a")[:6]] = 0.2
    found = run(secret_context(p, secret, labels), "privacy.attribute_inference", attribute="secret")
    a = int((secret == "a").sum())
    assert found["p.with_answers"].value == pytest.approx(((a - 6) / a + 1) / 2)
    share = (a - 6) / a
    deviation = np.sqrt(share * (1 - share) / (a - 1)) / 2
    assert found["p.with_answers"].low == pytest.approx(found["p.with_answers"].value - 1.959964 * deviation)


def test_interval_over_people_by_hand():
    """Ten people, all items of one right or all wrong: the deviation of a mean over ten, not over a hundred."""
    person, values = np.repeat(np.arange(10), 10), np.repeat([1.0, 0, 1, 1, 0, 1, 1, 1, 0, 1], 10)
    found = _balanced(values, np.zeros(100, dtype=int), person, {}, (0.0, 1.0))
    spread = values[::10].std(ddof=1) / np.sqrt(10)
    assert (found.low, found.high) == pytest.approx((0.7 - 1.959964 * spread, 0.7 + 1.959964 * spread))


def test_attribute_inference_needs_two_groups_and_an_attribute():
    x, secret, labels = people(200)
    secret[:] = "b"
    secret[:10] = "a"
    found = run(secret_context(np.full(200, 0.6), secret, labels), "privacy.attribute_inference", attribute="secret")
    assert {(r.value, r.state) for r in found.values()} == {(None, "too_few")}
    ctx = secret_context(np.full(200, 0.6), secret, labels, inputs=x, features=NAMES, minimum=5)
    with pytest.raises(ScorerFault, match="no such feature"):
        run(ctx, "privacy.attribute_inference", attribute="secret", hidden=["q"])
    with pytest.raises(ScorerFault, match="secrt"):
        run(ctx, "privacy.attribute_inference", attribute="secrt")
    bare = replace(ctx, attributes={"x": secret})
    assert run(bare, "privacy.attribute_inference", attribute="secret")["p"].state == "not_applicable"


def test_people_with_several_items_are_in_one_fold():
    """Answers name the person: an attacker who saw other items of the person would know everything."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(40), 10)
    secret = np.where(rng.random(40) < 0.5, "a", "b")[person]
    p = (0.01 + 0.02 * np.argsort(rng.permutation(40)))[person]
    names = np.array([f"c{i}" for i in person], dtype=object)
    alone = secret_context(p, secret, np.zeros(400, dtype=int))
    together = secret_context(p, secret, np.zeros(400, dtype=int), clusters=names)
    leaky = run(alone, "privacy.attribute_inference", attribute="secret")["p"]
    honest = run(together, "privacy.attribute_inference", attribute="secret")["p"]
    assert leaky.value > 0.2
    assert honest.low < honest.value < 0.05


def test_a_linear_model_is_copied_exactly():
    """Log-probabilities of a linear model are not linear, but their difference is: the copy's is the model's."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 12)).astype(np.float32)
    model = linear_model(rng.normal(size=12), 0.2)
    ctx = model_context(model, x, rng.integers(0, 2, 400), value_range=(-1, 1))
    asked = model.queries
    found = run(ctx, "privacy.extraction_fidelity", budget=60)
    assert model.queries - asked == 60
    assert model.calls == 2
    assert found["p"].value == 1.0
    assert found["p"].n == 200
    # The labels are noise: nothing of the model can be learned without asking.
    assert 0.35 < found["p.gain"].value < 0.65
    assert found["p.gain"].low < found["p.gain"].value < found["p.gain"].high
    assert found["p"].details["of_items"] == 60


def test_a_constant_model_gives_nothing_away():
    x = np.random.default_rng(0).random((100, 3)).astype(np.float32)
    model = linear_model(np.zeros(3), 2.0)
    found = run(model_context(model, x, np.ones(100, dtype=int)), "privacy.extraction_fidelity", budget=100)
    assert found["p"].value == 1.0
    assert found["p.gain"].value == 0.0
    assert found["p"].details["most_frequent_answer"] == 1.0


def test_a_network_is_copied_the_better_the_more_is_asked():
    model, x, y = digits()
    ctx = model_context(model, x, y, task=TaskSpec(kind="multiclass", classes=tuple("0123456789")))
    values = [run(ctx, "privacy.extraction_fidelity", budget=budget)["p"].value for budget in (20, 150, 1500)]
    assert values[0] < 0.9
    assert min(values[1:]) > 0.93


def test_mixtures_stay_in_the_value_range():
    class Watching(NetModel):
        def predict(self, x):
            assert x.min() >= 0
            assert x.max() <= 1
            assert x.dtype == np.float32
            return super().predict(x)

    x = np.random.default_rng(0).random((60, 3)).astype(np.float32)
    model = Watching([np.eye(3)[:, :2]], [np.zeros(2)])
    found = run(model_context(model, x, np.zeros(60, dtype=int)), "privacy.extraction_fidelity", budget=500)
    assert found["p"].details["mixtures"] == 470


def test_extraction_costs_its_budget_and_needs_a_model():
    cost = get_metric("privacy.extraction_fidelity").queries({"budget": 700}, 10_000)
    assert (cost.least, cost.typical, cost.access) == (0, 700, "queries")
    file = context([0, 1] * 50, [0, 1] * 50)
    assert {r.state for r in run(file, "privacy.extraction_fidelity").values()} == {"not_applicable"}
    x = np.zeros((30, 2), dtype=np.float32)
    few = run(model_context(linear_model(np.ones(2)), x, np.zeros(30, dtype=int)), "privacy.extraction_fidelity")
    assert {(r.state, r.n) for r in few.values()} == {("too_few", 30)}


def test_ridge_is_the_same_from_both_sides():
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(8, 8)), rng.normal(size=(8, 2)), rng.uniform(1, 2, 8)
    tall = ridge(np.vstack([a, np.zeros((1, 8))]), np.vstack([b, np.zeros((1, 2))]), [1e-3], np.r_[w, w.mean()])[0]
    scale = 1e-3 * float((a * np.sqrt(w / w.mean())[:, None]).__pow__(2).sum()) / 8
    root = np.sqrt(w / w.mean())[:, None]
    by_hand = np.linalg.lstsq(
        np.vstack([a * root, np.sqrt(scale) * np.eye(8)]), np.vstack([b * root, np.zeros((8, 2))])
    )
    assert tall == pytest.approx(by_hand[0], rel=1e-6)
    wide = ridge(a[:5], b[:5], [1e-3])[0]
    scale = 1e-3 * float((a[:5] ** 2).sum()) / 8
    expected = np.linalg.solve(a[:5].T @ a[:5] + scale * np.eye(8), a[:5].T @ b[:5])
    assert wide == pytest.approx(expected, rel=1e-6)


def test_learner_finds_what_is_not_linear():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1200, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)

    def right(t, g):
        return float((t.argmax(axis=1) == g.argmax(axis=1)).mean())

    model = learn(x[:800], np.eye(2)[y[:800]], rng, quality=right)
    assert (model(x[800:]).argmax(axis=1) == y[800:]).mean() > 0.93
    line = ridge(basis(x, rng, hidden=0)(x), np.eye(2)[y], [1e-9])[0]
    assert ((basis(x, rng, hidden=0)(x) @ line).argmax(axis=1) == y).mean() < 0.65


def test_wide_inputs_keep_their_distances():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3, 40, 40)).astype(np.float32)
    small = narrow(4800, 512, rng)(x)
    assert small.shape == (20, 512)
    before = np.linalg.norm(x.reshape(20, -1)[0] - x.reshape(20, -1)[1])
    assert np.linalg.norm(small[0] - small[1]) == pytest.approx(before, rel=0.15)
    assert (narrow(16, 16, rng)(x[:, :1, :4, :4]) == x[:, :1, :4, :4].reshape(20, 16)).all()
    assert narrow(4800, 512, rng)(x[:0]).shape == (0, 512)
