"""Pictures that organisers upload: what they are is told by their bytes, never by their name."""

from __future__ import annotations

import io
import warnings
from typing import IO, Any

from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from runners.spec.folder_checks import picture_kind
from touchstone.core.errors import UserError

MOST_BYTES, MOST_PIXELS, LEAST_SIDE = 2 * 2**20, 4096 * 4096, 64
_ENDINGS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
_QUALITY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 90}, "WEBP": {"quality": 90}}


def image_ending(file: IO[bytes] | Any) -> str:
    """`png`, `jpg` or `webp`, for an upload that may be shown. Raises `UserError`. Leaves the file at its start."""
    size = file.seek(0, 2)
    file.seek(0)
    if size > MOST_BYTES:
        raise _refused(_("The image has more than 2 MiB."), _("Make it smaller, or save it as JPEG or WebP."))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow only warns of a picture that unpacks to very much
            with Image.open(file, formats=list(_ENDINGS)) as picture:
                width, height, kind = picture.width, picture.height, str(picture.format)
                if width * height <= MOST_PIXELS:
                    picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        hint = _("Choose a PNG, JPEG or WebP file.")
        raise _refused(_("This file is no whole image that can be shown."), hint) from error
    finally:
        file.seek(0)
    if width * height > MOST_PIXELS or min(width, height) < LEAST_SIDE:
        text = _("The image has %(width)d × %(height)d pixels.") % {"width": width, "height": height}
        raise _refused(text, _("Each side has at least 64, and both together at most 4096 × 4096."))
    return _ENDINGS[kind]


def image_clean(file: IO[bytes] | Any, *, ending: str) -> IO[bytes]:
    """The picture alone, for one that `image_ending` let through: turned as its camera says, and without what a camera
    writes beside it (where it was taken, when, and with what). A moving one keeps its first picture.

    Raises `UserError`.
    """
    file.seek(0)
    cleaned = io.BytesIO()
    kind = next(name for name, told in _ENDINGS.items() if told == ending)
    try:
        with Image.open(file, formats=[kind]) as picture:
            profile = picture.info.get("icc_profile")  # colours would change without it
            turned = ImageOps.exif_transpose(picture)
            turned.info = {}
            turned.save(cleaned, kind, icc_profile=profile, **_QUALITY.get(kind, {}))
    except (OSError, SyntaxError, ValueError) as error:
        hint = _("Choose a PNG, JPEG or WebP file.")
        raise _refused(_("This file is no whole image that can be shown."), hint) from error
    if cleaned.tell() > MOST_BYTES:
        raise _refused(_("The image has more than 2 MiB."), _("Make it smaller, or save it as JPEG or WebP."))
    cleaned.seek(0)
    return cleaned


def image_mime(head: bytes) -> str:
    """The media type of a stored image by its first bytes; of anything else that it is bytes."""
    return picture_kind(head) or "application/octet-stream"


def _refused(message: str, hint: str) -> UserError:
    return UserError(message, hint, "bad_image", fields={"image": [f"{message} {hint}"]})
