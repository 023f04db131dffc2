import numpy as np
import pytest

from runners import registry
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.robustness.corrupt import clouds, sample, streaked, zoomed
from runners.metrics.robustness.corruptions import KINDS, corrupt
from runners.spec.models import TaskSpec
from tests.factories.broken_models import digit_images, trained_cnn
from tests.factories.runner_models import linear_model, model_context

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))
UNIT = (0.0, 1.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def picture(n=4, channels=3, height=32, width=32):
    """Smooth pictures with an edge: what corruptions are made for."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    base = 0.3 + 0.2 * np.sin(6 * rows) * np.cos(5 * columns) + 0.3 * (np.hypot(rows - 0.5, columns - 0.5) < 0.3)
    tints = np.linspace(0.7, 1.0, channels)[:, None, None]
    shift = np.linspace(0, 0.1, n)[:, None, None, None]
    return np.clip(base[None, None] * tints[None] + shift, 0, 1).astype(np.float32)


def changed(kind, severity, x, seed=0):
    return corrupt(x, kind, severity, value_range=UNIT, rng=rng(seed))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 32, 32), (3, 7, 12), (1, 1, 5)])
def test_every_kind_at_every_severity_on_small_images(kind, channels, height, width):
    x = (picture(3, channels, height, width) * 4 - 1).astype(np.float32)
    for severity in range(1, 6):
        out = corrupt(x, kind, severity, value_range=(-1.0, 3.0), rng=rng())
        assert (out.shape, out.dtype) == (x.shape, np.float32)
        assert np.isfinite(out).all()
        assert out.min() >= -1
        assert out.max() <= 3
        assert np.array_equal(out, corrupt(x, kind, severity, value_range=(-1.0, 3.0), rng=rng()))
    assert corrupt(x[:0], kind, 1, value_range=(-1.0, 3.0), rng=rng()).shape == (0, channels, height, width)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_corruption_changes_the_picture_and_leaves_it_the_same_picture(kind):
    x = picture()
    for severity in (1, 3, 5):
        out = changed(kind, severity, x)
        assert np.abs(out - x).mean() > 1e-4
        # Corrupted, it is still nearer to itself than to its mirror image, once brightness and contrast are evened out.
        own, other = (np.corrcoef(out.ravel(), y.ravel())[0, 1] for y in (x, 1 - x))
        assert own > 0.2 > other


# The source's glass blur, pixelate and elastic transform do not grow with severity at every step.
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("glass_blur", "pixelate", "elastic_transform")])
def test_severity_five_is_worse_than_one(kind):
    x = picture()
    assert np.abs(changed(kind, 5, x) - x).mean() > 1.3 * np.abs(changed(kind, 1, x) - x).mean()


def test_noise_has_the_spread_of_the_source():
    x = np.full((50, 3, 16, 16), 0.5, dtype=np.float32)
    for severity, sigma in zip(range(1, 6), (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        assert changed("gaussian_noise", severity, x).std() == pytest.approx(sigma, rel=0.02)
    for severity, photons in zip(range(1, 6), (500, 250, 100, 75, 50), strict=True):
        out = changed("shot_noise", severity, x)
        assert out.mean() == pytest.approx(0.5, abs=0.002)
        assert out.std() == pytest.approx(np.sqrt(0.5 / photons), rel=0.03)
    for severity, share in zip(range(1, 6), (0.01, 0.02, 0.03, 0.05, 0.07), strict=True):
        out = changed("impulse_noise", severity, x)
        assert (out != 0.5).mean() == pytest.approx(share, rel=0.1)
        assert set(np.unique(out)) == {np.float32(0), np.float32(0.5), np.float32(1)}


def test_contrast_and_brightness_by_hand():
    x = np.array([0.2, 0.4, 0.6, 0.8], dtype=np.float32).reshape(1, 1, 2, 2)
    assert changed("contrast", 1, x).ravel() == pytest.approx([0.275, 0.425, 0.575, 0.725])
    assert changed("contrast", 5, x).ravel() == pytest.approx([0.455, 0.485, 0.515, 0.545])
    assert changed("brightness", 5, x).ravel() == pytest.approx([0.5, 0.7, 0.9, 1.0])
    colour = np.array([0.2, 0.4, 0.1], dtype=np.float32).reshape(1, 3, 1, 1)
    # In HSV only the value rises: 0.4 becomes 0.6, and the ratios between the channels stay.
    assert changed("brightness", 4, colour).ravel() == pytest.approx([0.3, 0.6, 0.15])
    assert changed("brightness", 4, colour * 0).ravel() == pytest.approx([0.2, 0.2, 0.2])


def test_blurs_keep_the_mean_of_a_picture_and_a_flat_one_as_it_is():
    flat = np.full((2, 3, 32, 32), 0.4, dtype=np.float32)
    for kind in ("defocus_blur", "motion_blur", "zoom_blur", "glass_blur", "pixelate", "elastic_transform", "contrast"):
        assert changed(kind, 5, flat) == pytest.approx(flat, abs=1e-5), kind
    dot = np.zeros((1, 1, 33, 33), dtype=np.float32)
    dot[..., 16, 16] = 1
    for kind in ("defocus_blur", "motion_blur"):
        out = changed(kind, 5, dot)
        assert out.sum() == pytest.approx(1, abs=0.01)
        assert out.max() < 0.5
    spread = [np.sqrt((changed("defocus_blur", s, dot)[0, 0] * ((np.mgrid[:33, :33] - 16) ** 2).sum(0)).sum())
              for s in range(1, 6)]  # fmt: skip
    assert spread == sorted(spread)


def test_glass_blur_moves_pixels_and_pixelate_averages_them():
    x = picture(2)
    assert changed("glass_blur", 1, x).mean() == pytest.approx(x.mean(), abs=0.003)
    rows = np.arange(16, dtype=np.float32).reshape(1, 1, 1, 16) / 16
    out = changed("pixelate", 5, np.repeat(rows, 16, axis=2))[0, 0]
    # 16 pixels become 10 blocks of 1.6 pixels each.
    assert len(np.unique(out[0].round(5))) == 10
    assert out[0, 0] == pytest.approx((0 + 0.6 * 1 / 16) / 1.6, abs=1e-6)
    assert out.mean() == pytest.approx(rows.mean(), abs=0.01)


def test_fog_keeps_the_brightest_and_frost_darkens_what_is_below():
    x = picture()
    for severity in (1, 5):
        assert changed("fog", severity, x).max() <= x.max() + 1e-6
    black = np.zeros((3, 3, 32, 32), dtype=np.float32)
    assert changed("fog", 5, black).max() == 0
    ice = changed("frost", 5, black)
    assert 0.05 < ice.min() < ice.max() <= 0.45 + 1e-6
    white = changed("frost", 5, np.ones_like(black))
    assert white.min() > 0.75
    assert changed("snow", 5, black).max() > 0.1


def test_items_do_not_share_their_weather():
    x = np.repeat(picture(1), 2, axis=0)
    for kind in ("gaussian_noise", "fog", "frost", "snow", "motion_blur", "elastic_transform", "glass_blur"):
        out = changed(kind, 3, x)
        assert np.abs(out[0] - out[1]).max() > 1e-3, kind


def test_sampling_zooming_streaks_and_clouds():
    x = rng().random((2, 3, 5, 6))
    rows, columns = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")
    places = [np.broadcast_to(axis, (2, 5, 6)) for axis in (rows, columns)]
    assert sample(x, *places) == pytest.approx(x)
    assert sample(x, places[0], places[1] + 0.5)[..., :-1] == pytest.approx((x[..., :-1] + x[..., 1:]) / 2)
    assert sample(x, places[0] - 100, places[1])[:, :, 3] == pytest.approx(x[:, :, 0])
    assert zoomed(x, 1.0) == pytest.approx(x)
    assert zoomed(x, 1e6) == pytest.approx(np.broadcast_to(zoomed(x, 1e6)[..., :1, :1], x.shape), abs=1e-4)
    line = streaked(np.eye(9)[None, None, :, :] * 0 + (np.arange(9) == 4), 3.0, 1e9, np.zeros(1))
    # An even smear of four taps, to the right.
    assert line[0, 0, 0] == pytest.approx([0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25, 0])
    field = clouds(2, 16, 20, 2.0, rng())
    assert (field.min(), field.max()) == (0.0, 1.0)
    rough = clouds(2, 16, 20, 1.1, rng())
    assert np.abs(np.diff(rough)).mean() > np.abs(np.diff(field)).mean()


def run(ctx, **parameters):
    return {r.key: r for r in measure("robustness.corruptions", "c", parameters, ctx)}


def test_mean_accuracy_over_kinds_and_severities():
    model, x, y = trained_cnn(0.0)
    ctx = model_context(model, x[:80], y[:80], task=DIGITS)
    found = run(ctx, items=60)
    assert list(found) == [f"c.{key}" if key else "c" for key in registry.get_metric("robustness.corruptions").results]
    main = found["c"]
    table = {row["kind"]: row["accuracy"] for row in main.details["accuracy"]}
    assert list(table) == list(KINDS)
    assert main.details["severities"] == [1, 2, 3, 4, 5]
    assert main.value == pytest.approx(np.mean(list(table.values())))
    assert main.low < main.value < main.high
    assert main.n == 60
    assert found["c.error"].value == pytest.approx(1 - main.value)
    assert (found["c.error"].low, found["c.error"].high) == pytest.approx((1 - main.high, 1 - main.low))
    for kind, row in table.items():
        assert found[f"c.{kind}"].value == pytest.approx(np.mean(row))
    clean = found["c.clean_accuracy"].value
    assert found["c.drop"].value == pytest.approx(clean - main.value)
    assert found["c.drop"].value > 0.03
    assert found["c.error"].direction == found["c.drop"].direction == "minimise"
    # Each kind draws by itself: alone it gives the same.
    alone = run(ctx, items=60, kinds=["fog", "snow"], severities=[5, 2])
    assert alone["c.fog"].details == {}
    assert [row["accuracy"] for row in alone["c"].details["accuracy"]] == [
        [table["fog"][1], table["fog"][4]], [table["snow"][1], table["snow"][4]],
    ]  # fmt: skip
    assert alone["c.gaussian_noise"].state == "not_applicable"


def test_questions_are_what_was_declared():
    model, x, y = digit_images()
    ctx = model_context(model, x[:30], y[:30], task=DIGITS)
    before = model.queries
    run(ctx, items=20, kinds=["contrast", "fog"], severities=[1, 3, 5])
    info = registry.get_metric("robustness.corruptions")
    given = registry.parse_parameters(info, {"items": 20, "kinds": ["contrast", "fog"], "severities": [1, 3, 5]})
    assert model.queries - before == info.queries(given, 30).typical == 20 * 7
    everything = info.queries(registry.parse_parameters(info, {}), 30)
    assert everything.least == everything.typical == 30 * 76


def test_a_model_that_looks_at_the_mean_is_not_harmed_by_contrast():
    w = np.ones(64) / 64
    x = np.concatenate([np.full((20, 1, 8, 8), 0.3), np.full((20, 1, 8, 8), 0.7)]) + rng().normal(
        0, 0.05, (40, 1, 8, 8)
    )
    x = np.clip(x, 0, 1).astype(np.float32)
    model = linear_model(w * 50, -25)
    found = run(model_context(model, x, np.repeat([0, 1], 20)), kinds=["contrast"])
    assert found["c"].value == 1.0
    assert (found["c"].low, found["c.drop"].value) == (None, 0.0)


def test_only_images_are_corrupted():
    model, x, y = digit_images()
    flat = model_context(model, x[:20].reshape(20, 64), y[:20], task=DIGITS)
    found = run(flat)
    assert {result.state for result in found.values()} == {"not_applicable"}
    assert "height" in found["c"].reason
    with pytest.raises(ScorerFault, match="kinds"):
        run(flat, kinds=["rain"])
    with pytest.raises(ScorerFault, match="severities"):
        run(flat, severities=[6])
