"""What a new draft can begin with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from runners.spec.yamlfile import read_yaml
from touchstone.core.errors import NotFound
from touchstone.drafts.sections import section_default

_SPEC = "competition.yml"
_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


def slug_proposal(title: str) -> str:
    """A slug made of a title: `My Title!` → `my-title`."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:64].strip("-")


def empty_about(title: str) -> dict[str, Any]:
    """The first section of an empty draft: the title, and the slug that it gives."""
    return section_default("about") | {"title": title, "slug": slug_proposal(title)}


@dataclass(frozen=True)
class Template:
    """A ready-made competition that a draft may begin from."""

    name: str
    title: str
    summary: str


def templates() -> list[Template]:
    """The ready-made competitions of this installation."""
    found = []
    for place in sorted(_folder().iterdir()) if _folder().is_dir() else []:
        data = read_yaml(place / _SPEC).data if (place / _SPEC).is_file() else None
        if isinstance(data, dict):
            found.append(Template(place.name, str(data.get("title", place.name)), str(data.get("summary", "")).strip()))
    return found


def _folder() -> Path:
    return Path(settings.ROOT) / "competitions"


def template_folder(name: str) -> Path:
    """The folder of a ready-made competition. Raises `NotFound`."""
    place = _folder() / name
    if not _NAME.fullmatch(name) or not (place / _SPEC).is_file():
        raise NotFound(_("There is no ready-made competition %(name)r.") % {"name": name}, _("Choose one of the list."))
    return place
