"""Files of surrogate models: they exist, and lie where nobody is given them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runners.spec.defects import Defect
from runners.spec.draft import Draft
from runners.spec.folder_checks import path_problem


def surrogate_defects(draft: Draft, folder: Path) -> Iterator[Defect]:
    """Defects of the files that `surrogates` names. What they hold is checked when the competition is imported."""
    named = draft.raw.get("surrogates")
    for name, file in named.items() if isinstance(named, dict) else ():
        if not isinstance(file, str):
            continue  # told by its type
        loc, problem = ("surrogates", name), path_problem(folder, file)
        path = folder / file
        if problem:
            yield draft.defect("path", loc, problem, "Name a file inside the competition's folder.")
        elif not path.is_file() or path.stat().st_size == 0:
            what = "is empty" if path.is_file() else "is not there"
            yield draft.defect("missing_file", loc, f"the file {file} {what}", "Export the model to ONNX.")
        else:
            yield from _served(draft, name, file)


def _served(draft: Draft, name: str, file: str) -> Iterator[Defect]:
    """Who has a surrogate makes its examples, and learns to withstand just those."""
    places = {f"the data split {key}": entry.path for key, entry in draft.data.items()}
    if draft.text("starting_kit"):
        places["the starting kit"] = draft.text("starting_kit")
    for what, place in places.items():
        if PurePosixPath(place) in PurePosixPath(file).parents:
            text = f"the file {file} lies in the folder of {what}"
            yield draft.defect("leak", ("surrogates", name), text, "Give surrogates a folder of their own.")
