"""JPEG compression as a defence."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Annotated

import numpy as np
from pydantic import Field

from runners.defences.images import Inputs, ValueRange, check_images, from_bytes, to_bytes
from runners.registry import defence


def compressed(x: Inputs, *, value_range: ValueRange, quality: int) -> Inputs:
    """Images (n, 1 or 3, height, width) written as JPEG and read again, float32, in the value range."""
    from PIL import Image  # imported here: most runs write no picture

    levels = to_bytes(x, value_range)
    out = np.empty_like(levels)
    for i, image in enumerate(levels):
        buffer = BytesIO()
        picture = Image.fromarray(image[0]) if image.shape[0] == 1 else Image.fromarray(image.transpose(1, 2, 0))
        picture.save(buffer, "JPEG", quality=quality)
        read = np.asarray(Image.open(buffer))
        out[i] = read[None] if read.ndim == 2 else read.transpose(2, 0, 1)
    return from_bytes(out, value_range)


@defence(
    "jpeg",
    title="JPEG compression",
    path="approximate",
    reference="Dziugaite, Ghahramani and Roy 2016; way back: BPDA, Athalye, Carlini and Wagner, ICML 2018",
    limits="It removes little that an attacker who knows of it has to use: read robust accuracy of the attack on "
    "the defended model, never that of examples made without it. The way back is a stand-in (BPDA), so a gradient "
    "attack on it may understate. It costs accuracy on clean images and time, image by image.",
)
def jpeg(
    x: Inputs, *, value_range: ValueRange, quality: Annotated[int, Field(ge=1, le=95)] = 50
) -> tuple[Inputs, Callable[[Inputs], Inputs]]:
    """Images are written as JPEG and read again before the model sees them.

    Rounding has a derivative of zero almost everywhere. What it rounds hardly moves, so the way back is that of
    doing nothing: the gradient passes as it is.

    Args:
        quality: of the JPEG file, 1 to 95; 50 is what the field's toolbox takes.

    Raises:
        ScorerFault: x are no images of one or three channels.
    """
    check_images(x, "jpeg", channels=(1, 3))
    return compressed(x, value_range=value_range, quality=quality), lambda gradient: gradient
