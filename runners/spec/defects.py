"""What is wrong with a file of an organiser or a participant: one defect, one line of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Defect:
    """`where` is a key path such as `phases[1].closes`; `file` is relative to the checked folder.

    `line` counts from 1 and is None where the file has no lines. `hint` is the next step.
    """

    code: str
    message: str
    where: str = ""
    file: str = ""
    line: int | None = None
    hint: str = ""

    def __post_init__(self) -> None:
        # Names and cells of strangers end up in these texts; databases and terminals must take them.
        for name in ("message", "where", "file", "hint"):
            object.__setattr__(self, name, clean_text(getattr(self, name)))

    def text(self) -> str:
        """`competition.yml:12 phases[1].closes: message — hint`."""
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        head = " ".join(part for part in (place, self.where) if part)
        tail = f" — {self.hint}" if self.hint else ""
        return f"{head}: {self.message}{tail}" if head else f"{self.message}{tail}"

    def as_dict(self) -> dict[str, str | int | None]:
        """The JSON form."""
        return {
            "code": self.code, "message": self.message, "where": self.where,
            "file": self.file, "line": self.line, "hint": self.hint,
        }  # fmt: skip

    def in_file(self, file: str) -> Defect:
        """The same defect, of another file."""
        return replace(self, file=file)


class SpecError(ValueError):
    """A competition folder has defects; `defects` lists all of them."""

    def __init__(self, defects: Sequence[Defect]) -> None:
        super().__init__("\n".join(defect.text() for defect in defects))
        self.defects = tuple(defects)


def clean_text(text: str) -> str:
    """Text without NUL and without halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def path_text(loc: Loc) -> str:
    """`("phases", 1, "closes")` → `phases[1].closes`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def suggestion(name: str, known: Iterable[str], *, what: str = "Known") -> str:
    """`Did you mean ...?` for close names, else the list of what there is."""
    names = list(known)
    close = get_close_matches(name, names, n=2, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"{what}: {shortened(names)}." if names else ""


def shortened(names: Iterable[object], *, limit: int = 12) -> str:
    """A list in words, cut after `limit` entries with the number left out."""
    items = [str(name)[:80] for name in names]
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")
