"""Tags of the wizard: the defects of a place beside its field."""

from __future__ import annotations

import re
from typing import Any

from django import template

from runners.spec import Defect

register = template.Library()


@register.inclusion_tag("web/organise/wizard/_defects.html", takes_context=True)
def defects_at(context: dict[str, Any], where: str, deep: bool = False) -> dict[str, Any]:
    """The defects of one place of the file (`phases[0].closes`); `deep`: those below it too."""
    found = [item for item in context.get("defects", []) if at_place(item, where, deep=deep)]
    return {"found": found, "id": field_id(where)}


def at_place(defect: Defect, where: str, *, deep: bool = False) -> bool:
    """Whether a defect lies at a place, or with `deep` below it."""
    return defect.where == where or (deep and defect.where.startswith((f"{where}.", f"{where}[")))


@register.filter
def field_id(where: str) -> str:
    """The id of the field of a place: `phases[0].closes` → `f-phases-0-closes`."""
    return "f-" + re.sub(r"[^A-Za-z0-9]+", "-", where).strip("-")
