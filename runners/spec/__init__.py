"""competition.yml: typed models, validator and published schema. Light: no torch, no Django."""

from runners.spec.catalogue_file import catalogue
from runners.spec.defects import Defect, SpecError
from runners.spec.folder import CheckReport, check_folder, load_competition
from runners.spec.gates import Gate, parse_gate
from runners.spec.schema import json_schema

__all__ = [
    "CheckReport",
    "Defect",
    "Gate",
    "SpecError",
    "catalogue",
    "check_folder",
    "json_schema",
    "load_competition",
    "parse_gate",
]
