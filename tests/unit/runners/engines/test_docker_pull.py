"""Whose fault it is that an image cannot be pulled: the image's own, or nobody's that could be named."""

from __future__ import annotations

import pytest

from runners.contract import IMAGE_PULL, ImagePull
from runners.engines._docker_pull import _fault
from runners.errors import RetryableError, UserError

PULL = ImagePull(reference=f"127.0.0.1:5000/tiny/alice/model@sha256:{'a' * 64}")


@pytest.mark.parametrize(
    "text",
    [
        "failed to register layer: Error processing tar file(exit status 1): unexpected EOF",
        "failed to register layer: duplicates of file paths not supported",
        "failed to extract layer sha256:1: archive/tar: invalid tar header",
        "failed to register layer: symlink ../a /b: file name too long",
    ],
)
def test_layers_that_cannot_be_unpacked_are_the_images_fault(text: str) -> None:
    fault = _fault(text, PULL)

    assert isinstance(fault, UserError)
    assert fault.code == "image_refused"


@pytest.mark.parametrize(
    "text",
    [
        "failed to register layer: write /a: no space left on device",
        "failed to register layer: fork/exec: cannot allocate memory",
        "unexpected EOF",
        "dial tcp: connection refused",
        "denied: requested access to the resource is denied",
    ],
)
def test_anything_else_speaks_against_nobody(text: str) -> None:
    fault = _fault(text, PULL)

    assert isinstance(fault, RetryableError)
    assert fault.code == IMAGE_PULL
