"""The JSON Schema of competition.yml, for editors."""

from __future__ import annotations

import json
from typing import Any

from runners.spec.models import CompetitionSpec


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of competition.yml. Rules between keys are in `check_folder` only."""
    schema = CompetitionSpec.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "competition.yml"}


def schema_text() -> str:
    """The schema as committed in docs/competition.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
