"""Two linear models with known weights: what transfers between them can be computed by hand."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.robustness.crafting import chosen_items, craft, order_of
from runners.metrics.robustness.transfer import transfer
from runners.registry import undefined
from runners.spec.models import TaskSpec
from tests.factories.runner_models import QUERIES, NetModel, digits, linear_model, model_context

WIDE = (-100.0, 100.0)
PLAIN = {"items": None, "draw": 0, "onward": 10}


@dataclass
class Bench:
    """Makes what is ordered in this process; `models` by name, in a context of their own."""

    models: dict
    orders: list
    ctx: object = None
    made: dict = field(default_factory=dict)

    def examples(self, name, key):
        order = next(order for order in self.orders if order.key == key)
        model = self.models[name]
        if not isinstance(model, NetModel):
            return model
        if (name, key) not in self.made:
            self.made[name, key] = craft(self.ctx, model, order)
        return self.made[name, key]


def measured(target, sources, x, y, *, value_range=WIDE, task=None, clusters=None, seed=0, **parameters):
    """The results of the metric by key."""
    given = {"attack": "pgd", "eps": 0.3, **PLAIN, **parameters}
    bench = Bench(sources, [order_of({"norm": "linf", **given})])
    ctx = model_context(
        target, x, y, value_range=value_range, task=task, clusters=clusters, seed=seed, surrogates=bench
    )
    bench.ctx = ctx
    target.queries = 0
    found = measure("robustness.transfer", "t", {"surrogates": list(sources), **given}, ctx)
    return {result.key.removeprefix("t."): result for result in found}, target.queries


def pair(size=12, n=400, seed=1):
    """Weights of a target and a source, and items that are labelled by the source."""
    draw = np.random.default_rng(seed)
    source = draw.normal(size=size)
    target = 0.6 * source + draw.normal(size=size)
    x = draw.uniform(-1, 1, size=(n, size)).astype(np.float32)
    return target, source, x, (x @ source > 0).astype(np.int64)


def moved(x, y, source, eps, norm):
    """The item at the far end of the ball, away from its class: the strongest example against a linear model."""
    way = np.sign(source) if norm == "linf" else source / np.linalg.norm(source)
    return x - eps * np.where(y == 1, 1.0, -1.0)[:, None] * way


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("eps", [0.1, 0.3])
def test_accuracy_between_two_linear_models_is_the_closed_form(norm, eps):
    w, source, x, y = pair()
    y[::7] = 1 - y[::7]  # the source is wrong on these to begin with
    found, _ = measured(linear_model(w), {"s": linear_model(source)}, x, y, norm=norm, eps=eps)
    far = moved(x.astype(np.float64), y, source, eps, norm)
    own, right = far @ source > 0, (x @ w > 0) == y
    fooled = (own != y) & ((x @ source > 0) == y)
    hit = (far @ w > 0) == y
    assert found["accuracy[source=s]"].value == pytest.approx(hit.mean(), abs=1e-12)
    assert found["source_accuracy[source=s]"].value == pytest.approx((own == y).mean(), abs=1e-12)
    assert found["transfer_rate[source=s]"].value == pytest.approx((~hit)[right & fooled].mean(), abs=1e-12)
    assert found["transfer_rate[source=s]"].n == (right & fooled).sum()
    assert found["worst_case"].value == pytest.approx((hit & right).mean(), abs=1e-12)
    assert found["clean_accuracy"].value == pytest.approx(right.mean(), abs=1e-12)
    assert 0 < found["transfer_rate[source=s]"].value < 1


def test_between_identical_models_everything_transfers():
    _, source, x, y = pair()
    found, _ = measured(linear_model(source), {"s": linear_model(source)}, x, y)
    assert found["transfer_rate[source=s]"].value == 1.0
    assert found["accuracy[source=s]"].value == found["source_accuracy[source=s]"].value < 0.9
    assert found["worst_case"].value == found["accuracy[source=s]"].value


def test_between_orthogonal_models_nothing_transfers():
    w, source = np.zeros(12), np.zeros(12)
    w[:6], source[6:] = 1.0, 1.0
    x = np.random.default_rng(1).uniform(-1, 1, size=(300, 12)).astype(np.float32)
    y = (x @ source > 0).astype(np.int64)
    for norm in ("linf", "l2"):
        found, _ = measured(linear_model(w), {"s": linear_model(source)}, x, y, norm=norm, eps=1.0)
        assert found["transfer_rate[source=s]"].value == 0.0
        assert found["accuracy[source=s]"].value == found["clean_accuracy"].value
        assert found["source_accuracy[source=s]"].value < 0.6


def test_an_examples_strength_is_the_whole_budget():
    # Examples at the boundary of their own model, where a minimal attack leaves them, would fool no other.
    w, source, x, y = pair()
    order = order_of({"attack": "pgd", "eps": 0.3, "norm": "linf", **PLAIN})
    made = craft(model_context(linear_model(w), x, y, value_range=WIDE), linear_model(source), order)
    reach = np.abs(made.x - x).max(axis=1)
    assert (reach <= 0.3).all()
    assert reach == pytest.approx(0.3, abs=1e-5)
    assert made.x == pytest.approx(moved(x, y, source, 0.3, "linf"), abs=1e-5)
    assert made.x.dtype == np.float32


def test_examples_of_a_network_are_no_weaker_than_those_of_the_attack_alone():
    model, x, y = digits()
    found = {}
    for steps in (0, 10):
        order = order_of({"attack": "pgd", "eps": 0.1, "norm": "linf", "items": 150, "draw": 0, "onward": steps})
        made = craft(model_context(model, x, y, task=TEN), model, order)
        p = model.predict(made.x)[np.arange(150), y[made.chosen]]
        found[steps] = (made.wrong.mean(), p.mean())
        assert made.x.min() >= 0.0
        assert made.x.max() <= 1.0
    assert found[10][0] >= found[0][0] > 0
    assert found[10][1] < found[0][1]


TEN = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def test_the_worst_case_is_per_item_over_all_sources():
    # Each source moves one half of the numbers, and the range stops it at another place for each item.
    w, first, second = np.ones(12), np.repeat([1.0, 0.0], 6), np.repeat([0.0, 1.0], 6)
    x = np.random.default_rng(4).uniform(-1, 1, size=(400, 12)).astype(np.float32)
    y = (x @ w > 0).astype(np.int64)
    sources = {"s": linear_model(first), "o": linear_model(second)}
    found, asked = measured(linear_model(w), sources, x, y, eps=0.5, value_range=(-1.0, 1.0))
    survives = (x @ w > 0) == y
    for name, weights in (("s", first), ("o", second)):
        # An item that a source gets wrong is moved away from its true class all the same.
        hit = (np.clip(moved(x.astype(np.float64), y, weights, 0.5, "linf"), -1, 1) @ w > 0) == y
        assert found[f"accuracy[source={name}]"].value == pytest.approx(hit.mean(), abs=1e-12)
        survives &= hit
    assert found["worst_case"].value == pytest.approx(survives.mean(), abs=1e-12)
    assert found["worst_case"].value < min(found["accuracy[source=s]"].value, found["accuracy[source=o]"].value)
    assert asked == 3 * len(x)  # each item once, and one example for each surrogate


def test_a_model_without_gradients_is_measured_like_one_with_them():
    w, source, x, y = pair()
    with_them, _ = measured(linear_model(w), {"s": linear_model(source)}, x, y)
    without, _ = measured(linear_model(w, access=QUERIES), {"s": linear_model(source)}, x, y)
    assert {k: v.value for k, v in with_them.items()} == {k: v.value for k, v in without.items()}


def test_a_surrogate_without_gradients_is_attacked_by_questions():
    _, source, x, y = pair(n=60)
    given = {"attack": "square", "queries": 200, "eps": 0.3}
    blind = linear_model(source, access=QUERIES)
    found, _ = measured(linear_model(source), {"s": blind}, x, y, **given)
    assert found["source_accuracy[source=s]"].value < 0.9
    assert found["transfer_rate[source=s]"].value == 1.0


def test_what_an_attack_leaves_at_the_boundary_is_carried_on():
    _, source, x, y = pair(n=30)
    blind = linear_model(source, access=QUERIES)
    order = order_of({"attack": "hop_skip_jump", "norm": "l2", "eps": 1.0, "queries": 300, **PLAIN})
    made = craft(model_context(blind, x, y, value_range=WIDE), blind, order)
    reach = np.linalg.norm((made.x - x).astype(np.float64), axis=1)
    assert made.wrong.any()
    assert reach[made.wrong] == pytest.approx(1.0, abs=1e-4)
    assert (reach[~made.wrong] == 0).all()  # what does not fool it stays where it was


def test_items_and_draws_do_not_depend_on_the_run():
    w, source, x, y = pair()
    square = order_of({"attack": "square", "norm": "linf", "eps": 0.3, "queries": 100, **PLAIN})
    blind = linear_model(source, access=QUERIES)
    made = [craft(model_context(blind, x, y, value_range=WIDE, seed=seed), blind, square).x for seed in (1, 2)]
    assert (made[0] == made[1]).all()
    first, _ = measured(linear_model(w), {"s": linear_model(source)}, x, y, items=50, seed=1)
    second, _ = measured(linear_model(w), {"s": linear_model(source)}, x, y, items=50, seed=2)
    other, _ = measured(linear_model(w), {"s": linear_model(source)}, x, y, items=50, draw=5)
    assert first["accuracy[source=s]"].value == second["accuracy[source=s]"].value
    assert first["accuracy[source=s]"].n == 50
    assert first["clean_accuracy"].value != other["clean_accuracy"].value


def test_orders_are_told_apart_by_everything_that_changes_examples():
    base = {"attack": "pgd", "eps": 0.3, "norm": "linf", **PLAIN}
    changes = [{}, {"eps": 0.2}, {"norm": "l2"}, {"items": 9}, {"draw": 1}, {"onward": 3}, {"steps": 3}]
    changes.append({"attack": "fgsm"})
    keys = {order_of({**base, **change}).key for change in changes}
    assert len(keys) == len(changes)
    assert order_of({**base, "steps": 20}).key == order_of(base).key  # the attack's own default
    assert chosen_items(order_of({**base, "items": 500}), 20).tolist() == list(range(20))


def test_examples_beyond_the_budget_are_not_shown():
    w, source, x, y = pair()
    bench = Bench({"s": linear_model(source)}, [order_of({"attack": "pgd", "eps": 0.3, "norm": "linf", **PLAIN})])
    ctx = model_context(linear_model(w), x, y, value_range=WIDE, surrogates=bench)
    bench.ctx = ctx
    honest = bench.examples("s", bench.orders[0].key)
    for spoilt in (x + 0.31, np.full_like(x, np.nan), np.full_like(x, 101.0)):
        mixed = honest.x.copy()
        mixed[:100] = spoilt[:100]
        bench.made["s", bench.orders[0].key] = type(honest)(**{**vars(honest), "x": mixed})
        found = transfer(ctx, surrogates=("s",), attack="pgd", eps=0.3)["accuracy[source=s]"]
        shown = np.vstack([x[:100], honest.x[100:]])
        assert found.value == pytest.approx((((shown @ w) > 0) == y).mean(), abs=1e-12)
        assert found.details["n_beyond_eps"] == 100


def test_intervals_follow_the_clusters():
    w, source, x, y = pair()
    videos = np.repeat(np.array([f"v{i}" for i in range(20)], dtype=object), 20)
    y = np.where(np.repeat(np.arange(20) % 2, 20) == 1, y, 1 - y)  # a video is right or wrong as a whole
    plain, _ = measured(linear_model(source), {"s": linear_model(w)}, x, y, eps=0.05)
    joined, _ = measured(linear_model(source), {"s": linear_model(w)}, x, y, eps=0.05, clusters=videos)
    key = "accuracy[source=s]"
    assert plain[key].value == joined[key].value
    assert joined[key].high - joined[key].low > 2 * (plain[key].high - plain[key].low)


def test_a_surrogate_that_failed_leaves_only_its_own_results_out():
    w, source, x, y = pair()
    sources = {"s": linear_model(source), "gone": undefined("it crashed", state="failed")}
    found, _ = measured(linear_model(w), sources, x, y)
    assert found["accuracy[source=s]"].state == "ok"
    assert (found["accuracy[source=gone]"].state, found["accuracy[source=gone]"].reason) == ("failed", "it crashed")
    assert found["worst_case"].value is None
    assert "gone" in found["worst_case"].reason


def test_a_rate_without_an_example_is_undefined():
    _, source, x, y = pair()
    found, _ = measured(linear_model(source), {"s": linear_model(source)}, x, 1 - y)  # all wrong to begin with
    rate = found["transfer_rate[source=s]"]
    assert (rate.value, rate.state, rate.n) == (None, "undefined", 0)
    assert found["worst_case"].value == 0.0


def test_without_surrogates_every_column_is_there_and_says_why():
    w, _, x, y = pair(n=20)
    given = {"surrogates": ["a", "b"], "attack": "pgd", "eps": 0.1}
    found = {r.key: r for r in measure("robustness.transfer", "t", given, model_context(linear_model(w), x, y))}
    assert set(found) == {
        "t.worst_case", "t.clean_accuracy",
        *(f"t.{part}[source={s}]" for part in ("accuracy", "transfer_rate", "source_accuracy") for s in "ab"),
    }  # fmt: skip
    assert {(r.state, r.reason) for r in found.values()} == {
        ("not_applicable", "the competition has no surrogate models")
    }


def test_wrong_settings_are_the_organisers():
    with pytest.raises(ScorerFault, match="no attack named"):
        order_of({"attack": "nothing", "eps": 0.3, "norm": "linf", **PLAIN})
    with pytest.raises(ScorerFault, match="colour"):
        order_of({"attack": "pgd", "eps": 0.3, "norm": "linf", "colour": 1, **PLAIN})
