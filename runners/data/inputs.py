"""Inputs of a split: a table of features, an npz of arrays, or a folder of images.

All come back as float32 of shape (n, *shape), within `input.range`. Bytes (uint8 arrays, images)
are scaled from 0..255 into the range. Nothing is unpickled; shapes are read before memory is taken. Arrays and images
are read in parts, and large ones come back in a file (`runners.data.room`); tables, which have a limit, are read whole.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from runners.data.columns import Names, examples, objects, plural
from runners.data.room import Inputs, make_room, parts, release, sealed
from runners.data.tables import Table, TableError
from runners.spec.defects import suggestion
from runners.spec.files import part_of
from runners.spec.models import InputSpec

Bools = npt.NDArray[np.bool_]
MAX_BYTES = 2**36
MAX_PIXELS = 2**26
_MODES = {1: "L", 3: "RGB"}
_FORMS = {
    "image": "a folder inputs/ or inputs.npz", "array": "inputs.npz", "tabular": "inputs.parquet or inputs.csv",
}  # fmt: skip

Problem = tuple[str, str, str]
"""(code, message, hint)"""

_TOO_LARGE: Problem = (
    "too_large", f"the inputs would take more than {MAX_BYTES // 2**30} GiB", "Use a smaller split.",
)  # fmt: skip
_IMAGE_ERRORS = (
    UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError,
)  # fmt: skip


class InputError(ValueError):
    """Inputs that cannot be used: `problems` lists (code, message, hint)."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(message for _, message, _ in problems))
        self.problems = problems


def _fail(code: str, message: str, hint: str) -> InputError:
    return InputError([(code, message, hint)])


def read_inputs(path: Path, spec: InputSpec, scratch: Path | None = None) -> tuple[Names, Inputs]:
    """ids and x of `inputs.parquet|csv`, `inputs.npz` or the folder `inputs`; large ones lie in a file in `scratch`.

    Raises:
        InputError: wrong columns, shapes, types or values; names the first few items.
    """
    form = "image" if path.is_dir() else "array" if path.suffix == ".npz" else "tabular"
    if spec.kind != form and (spec.kind, form) != ("image", "array"):
        text = f"input.kind is {spec.kind}, which is read from {_FORMS[spec.kind]}"
        raise _fail("input_kind", text, "Write that file, or change input.kind.")
    reader = {"image": _images, "array": _arrays, "tabular": _features}[form]
    ids, x = reader(path, spec, scratch)
    _check_values(ids, x, spec)
    return ids, x


def _check_values(ids: Names, x: Inputs, spec: InputSpec) -> None:
    low, high = np.float32(spec.range[0]), np.float32(spec.range[1])
    problems: list[Problem] = []
    missing, outside = _flaws(x, low, high)
    if missing.any():
        names = examples(list(ids[missing]))
        text = f"{plural(int(missing.sum()), 'item')} with missing, NaN or infinite values: {names}"
        problems.append(("not_finite", text, "Fill them in or leave the items out."))
    if outside.any():
        index = int(np.flatnonzero(outside)[0])
        value = next(float(v) for v in x[index].ravel() if v < low or v > high)
        many = plural(int(outside.sum()), "item")
        text = f"{many} with values outside input.range [{low:g}, {high:g}]: item {ids[index]} holds {value:g}"
        problems.append(("out_of_range", text, "Scale the data or widen input.range."))
    if problems:
        raise InputError(problems)


def _flaws(x: Inputs, low: np.float32, high: np.float32) -> tuple[Bools, Bools]:
    """Items with numbers that are not finite, and others with numbers beyond an end: (n,) each."""
    missing, outside = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
    for part in parts(x):
        flat = x[part].reshape(part.stop - part.start, -1)
        with np.errstate(invalid="ignore"):
            least, most = flat.min(axis=1), flat.max(axis=1)  # NaN if any is
            missing[part] = ~(np.isfinite(least) & np.isfinite(most))
            outside[part] = ((least < low) | (most > high)) & ~missing[part]
        release(x)
    return missing, outside


def _features(path: Path, spec: InputSpec, _scratch: Path | None) -> tuple[Names, Inputs]:
    try:
        table = Table(path)
        wanted = ["id", *spec.features]
        problems: list[Problem] = []
        for name in wanted:
            if name not in table.columns:
                text = f"the column `{name}` is missing"
                problems.append(("columns", text, suggestion(name, table.columns, what="Columns found")))
        for name in table.columns:
            if name not in wanted:
                text = f"the column `{name}` is not among input.features"
                problems.append(("columns", text, "Remove it, or add it to input.features."))
        if problems:
            raise InputError(problems)
        columns = table.read(text=["id"], numbers=spec.features)
    except TableError as error:
        raise _fail(error.code, error.message, error.hint) from error
    parts = [np.asarray(columns[name].to_numpy(zero_copy_only=False), dtype=np.float32) for name in spec.features]
    return objects(columns["id"]), np.stack(parts, axis=1)


def _npy_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], Any]:
    with archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(stream)
    return shape, dtype


def _arrays(path: Path, spec: InputSpec, scratch: Path | None) -> tuple[Names, Inputs]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name.removesuffix(".npy") for name in archive.namelist())
            if names != ["id", "x"]:
                text = f"expected the arrays id and x, found {', '.join(names[:10]) or 'none'}"
                raise _fail("arrays", text, "Write np.savez(path, id=ids, x=x).")
            _check_headers(_npy_header(archive, "id"), _npy_header(archive, "x"), spec)
            with archive.open("id.npy") as stream:
                raw_ids = np.lib.format.read_array(stream, allow_pickle=False)
            with archive.open("x.npy") as stream:
                x = _read_x(stream, spec, scratch)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        hint = "Write it again with numpy.savez_compressed."
        raise _fail("npz", f"the file is not a whole npz archive: {error}", hint) from error
    ids: Names = np.empty(len(raw_ids), dtype=object)
    ids[:] = [str(value) for value in raw_ids]
    return ids, x


def _read_x(stream: IO[bytes], spec: InputSpec, scratch: Path | None) -> Inputs:
    """The array of an npz's member, scaled, read in parts to its very end: only there its checksum is compared."""
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = reader(stream)
    out = make_room(shape, scratch)
    if by_column:  # numbers of one item lie apart: such an array can only be read whole
        whole = np.frombuffer(stream.read(), dtype=dtype).reshape(shape, order="F")
    for part in parts(out):
        rows = (part.stop - part.start, *shape[1:])
        x = whole[part] if by_column else np.frombuffer(_exactly(stream, rows, dtype), dtype=dtype).reshape(rows)
        out[part] = _scaled(x, spec) if dtype == np.uint8 else x
        release(out)
    if stream.read(1):
        raise ValueError("bytes follow the array x")
    return sealed(out)


def _exactly(stream: IO[bytes], rows: tuple[int, ...], dtype: npt.DTypeLike) -> bytes:
    size = int(np.prod(rows, dtype=np.int64)) * np.dtype(dtype).itemsize
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the array x ends too early")
    return data


def _check_headers(ids: tuple[tuple[int, ...], Any], x: tuple[tuple[int, ...], Any], spec: InputSpec) -> None:
    problems: list[Problem] = []
    if len(ids[0]) != 1 or ids[1].kind != "U":
        text = f"id must be one-dimensional text (dtype U), found {ids[1]} of shape {list(ids[0])}"
        problems.append(("arrays", text, "Write ids with np.array(ids, dtype=str)."))
    if x[1] not in (np.dtype("<f4"), np.dtype("u1")):
        text = f"x must be float32 (or uint8, scaled into input.range), found {x[1]}"
        problems.append(("dtype", text, "Convert it."))
    if x[0][1:] != spec.shape or not x[0]:
        text = f"an item of x has the shape {list(x[0][1:])}; input.shape is {list(spec.shape)}"
        problems.append(("shape", text, "Correct the data or input.shape."))
    elif ids[0] and ids[0][0] != x[0][0]:
        problems.append(("arrays", f"id has {ids[0][0]} entries, x has {x[0][0]}", "Write one id for each item."))
    if not problems and int(np.prod(x[0], dtype=np.float64)) * 4 > MAX_BYTES:
        problems.append(_TOO_LARGE)
    if problems:
        raise InputError(problems)


def _scaled(x: npt.NDArray[np.uint8], spec: InputSpec) -> Inputs:
    low, high = np.float32(spec.range[0]), np.float32(spec.range[1])
    # Clipped because 255/255 * (high - low) + low may round past `high`.
    scaled: Inputs = x.astype(np.float32) / np.float32(255) * (high - low) + low
    return np.clip(scaled, low, high, out=scaled)


def image_names(folder: Path) -> dict[str, Path]:
    """Item id (file name without ending) → image file, in order of id. Raises `InputError` on doubles."""
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    # Links and strays are told by the reader of the split; here they are only not followed.
    images = (path for path in folder.iterdir() if part_of(f"inputs/{path.name}") and not path.is_symlink())
    for path in sorted(images):
        if path.stem in found:
            text = f"the item {path.stem} has two images: {found[path.stem].name} and {path.name}"
            problems.append(("duplicate_id", text, "Keep one."))
        found[path.stem] = path
    if problems:
        raise InputError(problems[:20])
    return found


def _images(folder: Path, spec: InputSpec, scratch: Path | None) -> tuple[Names, Inputs]:
    files = image_names(folder)
    ids: Names = np.empty(len(files), dtype=object)
    ids[:] = list(files)
    if len(files) * int(np.prod(spec.shape)) * 4 > MAX_BYTES:
        raise InputError([_TOO_LARGE])
    out, paths = make_room((len(files), *spec.shape), scratch), list(files.values())
    problems: list[Problem] = []
    for part in parts(out):
        for index in range(part.start, part.stop):
            try:
                out[index] = _scaled(read_image(paths[index], spec.shape), spec)
            except ValueError as error:
                problems.append(("image", f"{paths[index].name}: {error}", "Replace the image."))
        release(out)
    if problems:
        more = [("image", f"and {len(problems) - 20} more images like these", "")] if len(problems) > 20 else []
        raise InputError(problems[:20] + more)
    return ids, sealed(out)


def read_image(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """One PNG or JPEG as uint8 (channels, height, width).

    Raises `ValueError` in words where it does not decode or has another size or more than 8 bits.
    """
    channels, height, width = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                if image.size != (width, height):
                    found = f"{image.size[0]} x {image.size[1]}"
                    raise ValueError(f"the image is {found} pixels, expected {width} x {height}")
                if image.mode.startswith(("I", "F")) or width * height > MAX_PIXELS:
                    raise ValueError(f"images of mode {image.mode} or this size are not read; use 8 bits a channel")
                array = np.asarray(image.convert(_MODES[channels]), dtype=np.uint8)
    except _IMAGE_ERRORS as error:
        raise ValueError(f"does not decode as PNG or JPEG ({type(error).__name__})") from error
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
