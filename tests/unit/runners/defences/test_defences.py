import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import median_filter

from runners import registry
from runners.attacks.pgd import pgd
from runners.defences.defended import DefendedModel, defended
from runners.defences.jpeg import compressed, jpeg
from runners.defences.median_smoothing import median_smoothing
from runners.errors import ScorerFault, UserError
from runners.models.base import can_pull
from tests.factories.broken_models import digit_images, trained_cnn
from tests.factories.runner_models import linear_model

UNIT = (0.0, 1.0)


def images(n=3, channels=1, height=8, width=9, low=0.0, high=1.0):
    draw = np.random.default_rng(3).uniform(low, high, (n, channels, height, width))
    return draw.astype(np.float32)


@pytest.mark.parametrize("name", list(registry.defences()))
def test_every_defence_keeps_shape_type_and_range_and_names_its_source(name):
    info = registry.get_defence(name)
    assert info.reference
    assert (info.function.__doc__ or "").strip()
    for channels in (1, 3):
        x = images(channels=channels, low=-2.0, high=3.0)
        out, back = info.function(x, value_range=(-2.0, 3.0))
        assert (out.shape, out.dtype) == (x.shape, np.float32)
        assert out.min() >= -2 - 1e-6
        assert out.max() <= 3 + 1e-6
        assert not np.array_equal(out, x)
        assert back(np.ones_like(x)).shape == x.shape


def test_jpeg_is_what_pillow_writes_and_reads():
    x = images(1, 3, 16, 16)
    levels = np.rint(x[0].transpose(1, 2, 0).astype(np.float64) * 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=30)
    read = np.asarray(Image.open(buffer)) / 255
    out, back = jpeg(x, value_range=UNIT, quality=30)
    assert out[0] == pytest.approx(read.transpose(2, 0, 1), abs=1e-6)
    gradient = images(1, 3, 16, 16, -1, 1)
    assert back(gradient) is gradient


@pytest.mark.parametrize("quality", [10, 75, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows_for_grey_and_colour_in_any_range(channels, quality):
    levels = np.random.default_rng(1).integers(0, 256, (2, channels, 17, 10)).astype(np.uint8)
    out, _ = jpeg((levels / 255 * 2 - 1).astype(np.float32), value_range=(-1.0, 1.0), quality=quality)
    for image, read in zip(levels, out, strict=True):
        buffer = BytesIO()
        picture = Image.fromarray(image[0]) if channels == 1 else Image.fromarray(image.transpose(1, 2, 0))
        picture.save(buffer, "JPEG", quality=quality)
        expected = np.asarray(Image.open(buffer))
        expected = expected[None] if channels == 1 else expected.transpose(2, 0, 1)
        assert np.rint((read + 1) / 2 * 255) == pytest.approx(expected)


def test_jpeg_keeps_less_of_the_colours_than_of_the_light():
    """Colour is stored at half the resolution: a red and green chequerboard turns to its mean, a black and white one
    stays."""
    board = (np.indices((16, 16)).sum(axis=0) % 2).astype(np.float32)
    light = np.stack([board, board, board])[None]
    colour = np.stack([board, 1 - board, 0 * board])[None]
    lost = [np.abs(compressed(x, value_range=UNIT, quality=95) - x).mean() for x in (light, colour)]
    assert lost[0] < 0.02
    assert lost[1] > 10 * lost[0]


def test_jpeg_loses_more_at_lower_quality_and_nothing_of_a_flat_image():
    x = images(2, 1, 16, 16)
    lost = [np.abs(compressed(x, value_range=UNIT, quality=q) - x).mean() for q in (95, 50, 5)]
    assert lost == sorted(lost)
    assert lost[0] < 0.02 < lost[2]
    flat = np.full((1, 1, 8, 8), 128 / 255, dtype=np.float32)
    assert compressed(flat, value_range=UNIT, quality=50) == pytest.approx(flat, abs=1e-6)


def art_defences():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.defences.preprocessor import JpegCompression, SpatialSmoothing
    return JpegCompression, SpatialSmoothing


def test_defences_agree_with_art():
    art_jpeg, art_smoothing = art_defences()
    # Art cuts off where we round: on whole grey levels there is nothing to round.
    levels = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16))
    x = ((levels + 1e-3) / 255).clip(0, 1).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, _ = art_jpeg(clip_values=UNIT, quality=50, channels_first=True)(x)
        smooth, _ = art_smoothing(window_size=3, channels_first=True)(x)
    assert jpeg(x, value_range=UNIT)[0] == pytest.approx(theirs, abs=1e-6)
    assert median_smoothing(x, value_range=UNIT)[0] == pytest.approx(smooth, abs=1e-6)


@pytest.mark.parametrize("window", [3, 5])
def test_median_smoothing_is_scipys_median_filter(window):
    x = images(2, 3, 7, 6)
    out, _ = median_smoothing(x, value_range=UNIT, window=window)
    assert np.array_equal(out, median_filter(x, size=(1, 1, window, window), mode="reflect"))


def test_the_way_back_of_the_median_is_its_derivative():
    torch = pytest.importorskip("torch")
    x = images(2, 1, 6, 5)
    weights = images(2, 1, 6, 5, -1, 1)
    asked = torch.from_numpy(x).double().requires_grad_()
    rows, columns = (np.pad(np.arange(size), 1, mode="symmetric") for size in (6, 5))
    padded = asked[:, :, rows][:, :, :, columns]
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).reshape(2, 1, 6, 5, 9)
    (windows.median(dim=-1).values * torch.from_numpy(weights)).sum().backward()
    _, back = median_smoothing(x, value_range=UNIT)
    assert back(weights) == pytest.approx(asked.grad.numpy(), abs=1e-6)


def test_a_window_needs_a_middle():
    model, x, _ = digit_images()
    with pytest.raises(ScorerFault, match="odd"):
        defended(model, "median_smoothing", value_range=UNIT, parameters={"window": 4})
    with pytest.raises(ScorerFault, match="image"):
        median_smoothing(x.reshape(len(x), -1), value_range=UNIT)
    with pytest.raises(ScorerFault, match="1 or 3"):
        jpeg(images(channels=2), value_range=UNIT)


def test_an_unknown_defence_is_named_with_what_is_near():
    model, _, _ = digit_images()
    with pytest.raises(ScorerFault, match="jpg") as raised:
        defended(model, "jpg", value_range=UNIT)
    assert "jpeg" in raised.value.hint
    with pytest.raises(UserError):
        registry.get_defence("nothing")
    with pytest.raises(ScorerFault, match="quality"):
        defended(model, "jpeg", value_range=UNIT, parameters={"quality": 0})


def test_a_defended_model_is_a_model_and_its_gradient_is_that_of_the_pipeline():
    model = linear_model(np.random.default_rng(1).normal(size=30), 0.2)
    guarded = defended(model, "median_smoothing", value_range=UNIT)
    assert isinstance(guarded, DefendedModel)
    assert guarded.access == model.access
    rng = np.random.default_rng(2)
    # Grey levels a thirtieth apart: no small step changes which pixel is the median.
    x = np.stack([rng.permutation(30) / 30 for _ in range(4)]).reshape(4, 1, 6, 5).astype(np.float32)
    y = np.array([0, 1, 0, 1])
    smoothed, _ = median_smoothing(x, value_range=UNIT)
    assert guarded.predict(x) == pytest.approx(model.predict(smoothed))
    before = model.queries, model.calls
    answer = guarded.gradient(x, y, loss="margin")
    assert (guarded.queries, guarded.calls) == (model.queries, model.calls) == (before[0] + 4, before[1] + 1)
    step = 1e-3
    for _ in range(5):
        direction = rng.normal(size=x.shape).astype(np.float32)
        moved = guarded.gradient((x + step * direction).astype(np.float32), y, loss="margin").loss
        expected = (answer.gradient * direction).reshape(4, -1).sum(axis=1)
        assert (moved - answer.loss) / step == pytest.approx(expected, rel=0.01, abs=0.01)


def test_a_defended_model_pulls_where_the_one_inside_does():
    model = linear_model(np.random.default_rng(1).normal(size=30), 0.2)
    assert not can_pull(defended(model, "median_smoothing", value_range=UNIT))

    class Pulling:
        """Weights of minus one for the label alone: the gradient of nothing but that logit."""

        access, pulls = model.access, True

        def pull(self, x, weights):
            return model.gradient(x, weights.argmin(axis=1), loss="margin")

    guarded = defended(Pulling(), "median_smoothing", value_range=UNIT)
    x = np.random.default_rng(2).random((4, 1, 6, 5), dtype=np.float32)
    y = np.array([0, 1, 0, 1])
    wanted = defended(model, "median_smoothing", value_range=UNIT).gradient(x, y, loss="margin")
    found = guarded.pull(x, -np.eye(2)[y])
    assert can_pull(guarded)
    assert found.gradient == pytest.approx(wanted.gradient)
    assert np.abs(found.gradient - model.gradient(x, y, loss="margin").gradient).max() > 0.1


def test_a_gradient_that_passes_the_smoothing_finds_more_than_one_that_ignores_it():
    """With an identity in the place of the derivative a defended model looks much more robust than it is."""
    model, x, y = trained_cnn(0.15)
    x, y = x[:120], y[:120]

    class Ignored(DefendedModel):
        def gradient(self, x, y, *, loss="cross_entropy"):
            changed, _ = self.info.function(x, value_range=UNIT, **self.parameters)
            return self._model.gradient(changed, y, loss=loss)

    def left(kind):
        guarded = kind(model, registry.get_defence("median_smoothing"), value_range=UNIT, parameters={"window": 3})
        found = pgd(guarded, x, y, norm="linf", eps=0.1, value_range=UNIT, rng=np.random.default_rng(0), bisections=0)
        return (guarded.predict(found).argmax(axis=1) == y).mean()

    assert left(DefendedModel) < left(Ignored) - 0.05
