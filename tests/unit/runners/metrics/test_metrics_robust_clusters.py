"""The two by two of frames and of the videos that they belong to."""

import numpy as np
import pytest

from runners import registry
from runners.aggregation import aggregate
from runners.measure import measure
from runners.metrics.performance.balanced_accuracy import balanced_accuracy
from runners.metrics.robustness.condition import answered, changes, clustered_details, decided, figures, measured
from runners.spec.models import AggregateSpec
from tests.factories.runner_models import binary_task, context, linear_model, model_context

MEAN = AggregateSpec(by="video", rule="mean")
FRAMES = 5


def videos(n=60, seed=3):
    """A linear detector, frames (n, 2) of which five are a video, their labels and videos; positive is class 1."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    w = np.array([1.0, -1.0])
    centre = np.outer(2 * label - 1, w) + rng.normal(0, 0.7, (n, 2))
    x = (np.repeat(centre, FRAMES, axis=0) + rng.normal(0, 0.8, (n * FRAMES, 2))).astype(np.float32)
    names = np.repeat(np.array([f"v{i}" for i in range(n)], dtype=object), FRAMES)
    return linear_model(w), x, np.repeat(label, FRAMES), names


def run(ctx, **parameters):
    given = {"attack": "pgd", "norm": "linf", "eps": 0.6, "repeats": 5, "check_items": 0}
    return {r.key.removeprefix("r."): r for r in measure("robustness.conditions", "r", {**given, **parameters}, ctx)}


def world(rule="mean", **more):
    model, x, y, names = videos()
    spec = AggregateSpec(by="video", rule=rule) if rule else None
    return model_context(model, x, y, task=binary_task(), value_range=(-50.0, 50.0), clusters=names, aggregate=spec,
                         **more)  # fmt: skip


@pytest.mark.parametrize("rule", ["mean", "median", "max"])
def test_videos_are_judged_by_the_declared_rule(rule):
    ctx = world(rule)
    found = run(ctx)
    decisions = aggregate(ctx, AggregateSpec(by="video", rule=rule))
    assert found["cluster_clean_balanced_accuracy"].value == balanced_accuracy(decisions).value
    assert found["cluster_clean_balanced_accuracy"].n == 60
    assert found["clean_balanced_accuracy"].value == balanced_accuracy(ctx).value
    assert found["clean_balanced_accuracy"].n == 300
    details = found["cluster_attacked_balanced_accuracy"].details
    assert (details["by"], details["rule"], details["items"]) == ("video", rule, 300)
    assert details["items_per_cluster"] == {"least": 5, "median": 5.0, "most": 5}
    assert found["cluster_attacked_auc"].title == "ROC AUC (under attack), by video"


def test_frames_are_attacked_one_by_one_and_then_combined():
    """Every frame of a linear detector loses eps times the dual norm of the weights: so videos have closed forms."""
    ctx = world()
    found = run(ctx, eps=0.5)
    scores = ctx.inputs.astype(float) @ np.array([1.0, -1.0])
    moved = scores - (2 * ctx.labels - 1) * 0.5 * 2
    chance = 1 / (1 + np.exp(-moved.reshape(-1, FRAMES)))
    label = ctx.labels[::FRAMES]
    said = chance.mean(axis=1)
    recalls = [((said > 0.5) == (label == 1))[label == k].mean() for k in (0, 1)]
    # Frames on the boundary stop there and are pushed on: the closed form is met up to single frames.
    assert found["cluster_attacked_balanced_accuracy"].value == pytest.approx(np.mean(recalls), abs=0.05)
    wins = (said[label == 1][:, None] > said[label == 0][None]).mean()
    assert found["cluster_attacked_auc"].value == pytest.approx(wins, abs=0.02)
    change = found["cluster_attack_delta_balanced_accuracy"]
    before, after = (found[f"cluster_{name}_balanced_accuracy"].value for name in ("clean", "attacked"))
    assert change.value == pytest.approx(after - before)
    assert change.low < change.value < change.high
    assert change.n == 60


def test_intervals_of_videos_are_those_of_so_many_videos():
    """300 frames of 60 videos are worth 60: Wilson of the share of videos, not of frames."""
    found = run(world())
    rate = found["cluster_clean_positive_rate"]
    from runners.statistics.intervals import wilson

    assert (rate.low, rate.high) == pytest.approx(wilson(round(rate.value * 60), 60))


def test_a_detector_that_calls_no_video_fake_is_flagged_though_some_frames_are():
    """As published of defended detectors: of frames a little above one half, of videos one half exactly, AUC high."""
    label = np.repeat([0, 1], 20)
    names = np.repeat([f"v{i}" for i in range(8)], FRAMES).astype(object)
    score = np.where(label == 1, 0.30, 0.10) + np.linspace(0, 0.05, 40)
    score[[20, 26, 33]] = 0.6  # single frames of three fake videos
    ctx = context(label, probabilities=np.column_stack([1 - score, score]), clusters=names, aggregate=MEAN)
    frames = answered(ctx, np.arange(40), ctx.probabilities)
    video = decided(frames)
    values = measured(video, "x")
    assert measured(frames, "x")["balanced_accuracy"].value == pytest.approx(0.5 * (1 + 3 / 20))
    assert values["balanced_accuracy"].value == 0.5
    assert values["positive_rate"].value == 0.0
    assert values["auc"].value == 1.0
    numbers = figures(values)
    assert numbers.one_class
    assert numbers.misleading


def test_an_attack_that_turns_the_ranking_of_videos_round_is_not_clamped():
    label = np.repeat([0, 1], 20)
    names = np.repeat([f"v{i}" for i in range(8)], FRAMES).astype(object)
    score = np.where(label == 1, 0.2, 0.7)
    ctx = context(label, probabilities=np.column_stack([1 - score, score]), clusters=names, aggregate=MEAN)
    assert measured(decided(answered(ctx, np.arange(40), ctx.probabilities)), "x")["auc"].value == 0.0


def test_latency_is_that_of_an_item_and_of_no_video():
    keys = registry.get_metric("robustness.conditions").results
    assert not [key for key in keys if key.startswith("cluster_") and key.endswith("_latency")]
    assert len([key for key in keys if key.startswith("cluster_")]) == 24


def test_without_a_rule_there_are_no_videos():
    found = run(world(None))
    assert not any(key.startswith("cluster_") for key in found)


def test_a_defence_that_is_not_named_is_not_applicable_to_videos_either():
    found = run(world())
    absent = {key for key, result in found.items() if key.startswith("cluster_") and result.state == "not_applicable"}
    assert absent == {
        f"cluster_{part}_{figure}" for part in
        ("defended", "attacked_defended", "defence_delta", "left_delta", "gain_delta")
        for figure in ("balanced_accuracy", "auc", "positive_rate")
    }  # fmt: skip


def test_a_sample_of_frames_says_how_many_each_video_has():
    found = run(world(seed=5), items=100)
    details = found["cluster_clean_balanced_accuracy"].details
    assert details["items"] == 100
    assert details["items_per_cluster"]["least"] < details["items_per_cluster"]["most"] <= FRAMES


def test_only_what_has_a_rule_and_clusters_has_decisions():
    ctx = context([0, 1], [0, 1])
    assert decided(ctx) is None
    with pytest.raises(RuntimeError, match="rule and clusters"):
        clustered_details(ctx)


def test_changes_of_nothing_claim_nothing():
    ctx = context([0, 1, 1, 0], [0, 1, 0, 0], probabilities=np.array([[0.8, 0.2], [0.1, 0.9], [0.6, 0.4], [0.7, 0.3]]))
    parts = {"clean": ctx, "attacked": ctx}
    numbers = {name: figures(measured(part, name)) for name, part in parts.items()}
    found = changes(parts, numbers)["attack_delta_balanced_accuracy"]
    assert (found.value, found.low, found.high) == (0.0, None, None)
