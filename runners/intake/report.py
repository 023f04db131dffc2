"""What intake says about a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from runners.spec.defects import Defect

MAX_DEFECTS = 50


@dataclass
class IntakeReport:
    """`facts` holds numbers and names worth showing; they are there even where there are defects."""

    defects: list[Defect] = field(default_factory=list)
    facts: dict[str, JsonValue] = field(default_factory=dict)

    def note(self, code: str, message: str, where: str = "", hint: str = "") -> None:
        """Add a defect."""
        self.defects.append(Defect(code, message, where, hint=hint))

    @property
    def ok(self) -> bool:
        return not self.defects

    def json(self) -> str:
        """One line of JSON: {ok, defects: [{code, message, where, hint}], facts}."""
        shown = self.defects[:MAX_DEFECTS]
        rows: list[Mapping[str, str]] = [
            {"code": d.code, "message": d.message, "where": d.where, "hint": d.hint} for d in shown
        ]
        facts = dict(self.facts)
        if len(self.defects) > len(shown):
            facts["defects_left_out"] = len(self.defects) - len(shown)
        return json.dumps({"ok": self.ok, "defects": rows, "facts": facts}, ensure_ascii=False)
