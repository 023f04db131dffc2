"""Plain data as YAML that people like to read: keys in the order of the documentation, short things on one line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import LiteralScalarString

from runners.spec import models as spec
from runners.spec.yamlfile import parse_yaml

_WIDTH = 110
_SHORT = 88
#: The model of what stands below a key: of the mapping itself, of a list's items, or of a mapping's values.
_BELOW: dict[str, type[BaseModel]] = {
    "task": spec.TaskSpec, "input": spec.InputSpec, "sizes": spec.SizesSpec, "concepts": spec.ConceptSpec,
    "pages": spec.PageSpec, "data": spec.DataSpec, "attributes": spec.AttributeSpec, "aggregate": spec.AggregateSpec,
    "submission": spec.SubmissionSpec, "resources": spec.ResourceSpec, "access": spec.AccessSpec,
    "teams": spec.TeamSpec, "phases": spec.PhaseSpec, "limits": spec.LimitSpec, "finalists": spec.FinalistsSpec,
    "metrics": spec.MetricUse, "leaderboards": spec.LeaderboardSpec, "utility": spec.UtilitySpec,
}  # fmt: skip
#: Of these, the keys are names that somebody gave.
_NAMED = frozenset({"data", "attributes", "utility"})


def yaml_text(data: Mapping[str, Any], *, file: str) -> str:
    """The data as YAML that our reader reads back the same; as JSON, which is YAML too, where it would not."""
    writer = YAML()
    writer.default_flow_style = False
    writer.width = _WIDTH
    writer.allow_unicode = True
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.representer.ignore_aliases = lambda *_: True
    out = io.StringIO()
    writer.dump(_shaped(_ordered(data, spec.CompetitionSpec), top=True), out)
    written = out.getvalue()
    for text in (re.sub(r" +$", "", written, flags=re.MULTILINE), written):  # lines are folded after a space
        found = parse_yaml(text, file=file)
        if not found.defects and found.data == data:
            return text
    return json.dumps(data, indent=2) + "\n"


def _ordered(value: Any, model: type[BaseModel] | None, *, named: bool = False) -> Any:
    if isinstance(value, list):
        return [_ordered(item, model) for item in value]
    if not isinstance(value, Mapping):
        return value
    if named:
        return {key: _ordered(item, model) for key, item in value.items()}
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    keys = [key for key in known if key in value] + [key for key in value if key not in known]
    return {key: _ordered(value[key], _BELOW.get(key), named=key in _NAMED) for key in keys}


def _shaped(value: Any, *, top: bool = False) -> Any:
    """Short lists and mappings of plain values on one line, texts of several lines as blocks."""
    if isinstance(value, Mapping):
        made = CommentedMap({key: _shaped(item) for key, item in value.items()})
        if not top and value and _is_short(value.values(), value):
            made.fa.set_flow_style()
        return made
    if isinstance(value, (list, tuple)):
        rows = CommentedSeq(_shaped(item) for item in value)
        if _is_short(value, value):
            rows.fa.set_flow_style()
        return rows
    if isinstance(value, str) and "\n" in value.strip("\n") and not value.startswith((" ", "\n")):
        return LiteralScalarString(value)
    return value


def _is_short(values: Any, whole: Any) -> bool:
    plain = all(not isinstance(item, (Mapping, list, tuple)) for item in values)
    return plain and len(json.dumps(whole)) <= _SHORT
