"""Inputs that are arrays in an npz, or a folder of pictures. Shapes are read before memory is taken."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from runners.data.columns import examples, plural
from runners.data.inspection.found import SHOWN, FoundInputs, hash_of, short
from runners.data.inspection.pictures import picture_of, save_picture

_MAX_BYTES = 2**36
_MAX_IDS = 2**29
_MAX_PIXELS = 2**26
_CHUNK = 2**23
_IMAGE_ERRORS = (
    UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombWarning,
    Image.DecompressionBombError,
)  # fmt: skip


class _Unusable(ValueError):
    """An archive that is not looked at further: (code, message, hint)."""


def look_at_arrays(path: Path, name: str, out: Path) -> FoundInputs:
    """Facts of `inputs.npz`: an array `id` of text and an array `x`, items along its first axis."""
    found = FoundInputs(kind="array")
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(entry.removesuffix(".npy") for entry in archive.namelist())
            if names != ["id", "x"]:
                text = f"expected the arrays id and x, found {examples(names) or 'none'}"
                raise _Unusable("arrays", text, "Write np.savez_compressed(path, id=ids, x=x).")
            with archive.open("id.npy") as stream:
                found.ids = _read_ids(stream)
            with archive.open("x.npy") as stream:
                _read_items(stream, found, name, out)
    except _Unusable as error:
        code, message, hint = error.args
        found.note(code, message, name, hint)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, MemoryError, NotImplementedError) as error:
        text = f"the file is not a whole npz archive: {short(error)}"
        found.note("npz", text, name, "Write it again with numpy.savez_compressed.")
    return found


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = reader(stream)
    if dtype.hasobject:
        hint = "Write plain arrays: text as np.array(ids, dtype=str), numbers as float32 or uint8."
        raise _Unusable("arrays", "an array holds Python objects, which are never unpacked", hint)
    return shape, by_column, dtype


def _read_ids(stream: IO[bytes]) -> list[str]:
    shape, _, dtype = _header(stream)
    if len(shape) != 1 or dtype.kind != "U":
        text = f"id must be one-dimensional text (dtype U), found {dtype} of shape {list(shape)}"
        raise _Unusable("arrays", text, "Write ids with np.array(ids, dtype=str).")
    if shape[0] * dtype.itemsize > _MAX_IDS:
        raise _Unusable("too_large", "the ids take more than 512 MiB", "Use shorter ids.")
    raw = _exactly(stream, shape[0] * dtype.itemsize)
    return [str(value) for value in np.frombuffer(raw, dtype=dtype)]


def _read_items(stream: IO[bytes], found: FoundInputs, name: str, out: Path) -> None:
    shape, by_column, dtype = _header(stream)
    if not shape or dtype.kind not in "fiub":
        raise _Unusable("dtype", f"x must be an array of numbers, found {dtype} of shape {list(shape)}", "Convert it.")
    found.shape, found.dtype = tuple(shape[1:]), str(dtype)
    width = int(np.prod(shape[1:], dtype=np.float64)) * dtype.itemsize
    if shape[0] * width > _MAX_BYTES:
        raise _Unusable("too_large", "x takes more than 64 GiB", "Use a smaller split.")
    if by_column and shape[0] * width > 2**28:
        raise _Unusable("order", "x lies in column order", "Write np.ascontiguousarray(x), which is read in parts.")
    if len(found.ids) != shape[0]:
        text = f"id has {len(found.ids)} entries, x has {shape[0]}"
        raise _Unusable("arrays", text, "Write one id for each item.")
    if dtype not in (np.dtype("<f4"), np.dtype("u1")):
        found.note("dtype", f"x holds {dtype}", name, "Write float32, or uint8 that is scaled into the range.")
    found.kind = "image" if len(found.shape) == 3 and found.shape[0] in (1, 3) and min(found.shape[1:]) > 1 else "array"
    found.hashes = np.empty(shape[0], dtype=np.uint64)
    step = shape[0] if by_column else max(1, _CHUNK // max(1, width))
    for start in range(0, shape[0], max(1, step)):
        count = min(step, shape[0] - start)
        flat = np.frombuffer(_exactly(stream, count * width), dtype=dtype)
        x = flat.reshape((count, *shape[1:]), order="F" if by_column else "C")
        _take(x, start, found, out)
    if stream.read(1):
        raise ValueError("bytes follow the array x")
    if found.missing:
        text = f"{plural(found.missing, 'item')} with missing, NaN or infinite values"
        found.note("not_finite", text, name, "Fill them in or leave the items out.")


def _take(x: npt.NDArray[Any], start: int, found: FoundInputs, out: Path) -> None:
    """Facts of the items of one part."""
    for row in range(len(x)):
        found.hashes[start + row] = hash_of(np.ascontiguousarray(x[row]).tobytes())
    values = x.reshape(len(x), -1)
    if not values.size:
        return
    finite = np.isfinite(values)
    whole = finite.all(axis=1)
    found.missing += int((~whole).sum())
    if finite.any():
        inside = values if whole.all() else values[finite]
        found.widen(float(inside.min()), float(inside.max()))
    for row in range(min(len(x), max(0, SHOWN - start))):
        _show(x[row], start + row, found, out)


def _show(item: npt.NDArray[Any], index: int, found: FoundInputs, out: Path) -> None:
    picture = picture_of(item)
    if picture is None:
        if item.size <= 16:
            found.rows.append([short(found.ids[index]), *(f"{float(value):g}" for value in item.ravel())])
        return
    found.pictures.append({"id": short(found.ids[index]), "file": save_picture(picture, out)})


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("an array ends too early")
    return data


def look_at_images(files: Mapping[str, Path], out: Path) -> FoundInputs:
    """Facts of `inputs/<id>.png|jpg`. `files`: name in the split → path."""
    found = FoundInputs(kind="image", dtype="uint8")
    shapes: Counter[tuple[int, ...]] = Counter()
    odd: dict[tuple[int, ...], list[str]] = {}
    broken: list[str] = []
    hashes: list[int] = []
    for name, path in sorted(files.items()):
        item = Path(name).stem
        found.ids.append(item)
        try:
            pixels = _pixels(path)
        except _IMAGE_ERRORS:
            broken.append(Path(name).name)
            hashes.append(hash_of(path.read_bytes()[: 2**24]))
            continue
        shapes[pixels.shape] += 1
        odd.setdefault(pixels.shape, []).append(Path(name).name)
        hashes.append(hash_of(repr(pixels.shape).encode(), pixels.tobytes()))
        found.widen(float(pixels.min()), float(pixels.max()))
        if len(found.pictures) < SHOWN:
            found.pictures.append({"id": short(item), "file": save_picture(Image.fromarray(pixels), out)})
    found.hashes = np.array(hashes, dtype=np.uint64)
    if shapes:
        usual = shapes.most_common(1)[0][0]
        found.shape = (1 if len(usual) == 2 else usual[2], usual[0], usual[1])
        others = [name for shape, names in odd.items() if shape != usual for name in names]
        if others:
            text = f"{plural(len(others), 'image')} of another size or colour mode than most: {examples(others)}"
            found.note("shape", text, "inputs", "All items have one shape: resize or convert them.")
    if broken:
        text = f"{plural(len(broken), 'file')} that do not decode as PNG or JPEG: {examples(broken)}"
        found.note("image", text, "inputs", "Replace them.")
    return found


def _pixels(path: Path) -> npt.NDArray[np.uint8]:
    """(height, width) or (height, width, 3), uint8. Raises one of `_IMAGE_ERRORS`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.mode.startswith(("I", "F")) or image.size[0] * image.size[1] > _MAX_PIXELS:
                raise ValueError(image.mode)
            grey = image.mode in ("1", "L", "LA")
            return np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
