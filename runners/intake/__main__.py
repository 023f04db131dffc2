"""`python -m runners.intake KIND FILE --spec SPEC.json [--ids IDS.json] [--also IDS.json]`

KIND is predictions, model, container, code or endpoint. SPEC.json is a competition (the JSON form of
`CompetitionSpec`); IDS.json is a list of the ids of the split, the second one of those of its
validation split. The FILE of an endpoint says where it is (`runners.intake.endpoint`). A FILE called
pushed-image.json names an image in
the platform's registry (`runners.intake.pushed`); artifacts get other names. Prints one line of JSON:
{"ok", "defects": [{"code", "message", "where", "hint"}], "facts"}. Exit codes: 0 sound, 1 defects,
2 could not be checked (the reason is on stderr).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from runners.intake.arrow import without_pandas
from runners.intake.report import IntakeReport
from runners.spec.images import PUSHED
from runners.spec.models import CompetitionSpec, InputSpec, SubmissionKind, SubmissionSpec, TaskSpec


class Asked(Protocol):
    """What of a competition a submission must fit."""

    @property
    def task(self) -> TaskSpec: ...
    @property
    def input(self) -> InputSpec | None: ...
    @property
    def submission(self) -> SubmissionSpec: ...


def check(
    kind: SubmissionKind,
    path: Path,
    spec: Asked,
    *,
    ids: list[str] | None,
    also: Sequence[str] = (),
    architecture: str = "amd64",
) -> IntakeReport:
    """Judge a file of one kind."""
    size = path.stat().st_size
    if size > spec.submission.size:
        report = IntakeReport(facts={"bytes": size})
        text = f"the file has {size:,} bytes; the competition allows {spec.submission.size:,}"
        report.note("too_large", text, hint="Make it smaller.")
        return report
    if size == 0:
        report = IntakeReport(facts={"bytes": 0})
        report.note("empty", "the file is empty", hint="Send it again and compare sizes.")
        return report
    # Each kind loads its own libraries only: a zip needs neither onnx nor Arrow.
    if kind is SubmissionKind.PREDICTIONS:
        from runners.intake.predictions import check_prediction_file

        return check_prediction_file(path, task=spec.task, ids=ids, also=also)
    if kind is SubmissionKind.MODEL:
        from runners.intake.model import check_model

        return check_model(path, task=spec.task, input_spec=spec.input)
    if kind is SubmissionKind.ENDPOINT:
        from runners.intake.endpoint import check_endpoint

        return check_endpoint(path, task=spec.task, input_spec=spec.input, resources=spec.submission.resources)
    if kind is SubmissionKind.CODE:
        from runners.intake.code import check_code

        return check_code(path)
    resources, root_images = spec.submission.resources, spec.submission.root_images
    if path.name == PUSHED:
        from runners.intake.image_rules import Rules
        from runners.intake.pushed import check_pushed

        limit = spec.submission.size
        return check_pushed(path, rules=Rules(resources, root_images, architecture), limit=limit)
    from runners.intake.container import check_container

    return check_container(path, resources=resources, root_images=root_images, architecture=architecture)


def main(argv: list[str] | None = None) -> int:
    """Run intake; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runners.intake", description="Look at a submission.")
    parser.add_argument("kind", choices=[kind.value for kind in SubmissionKind])
    parser.add_argument("file", type=Path)
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--ids", type=Path)
    parser.add_argument("--also", type=Path)
    parser.add_argument("--architecture", default="amd64")
    arguments = parser.parse_args(argv)
    try:
        spec = CompetitionSpec.model_validate_json(arguments.spec.read_bytes())
        ids = json.loads(arguments.ids.read_bytes()) if arguments.ids else None
        also = json.loads(arguments.also.read_bytes()) if arguments.also else ()
        kind = SubmissionKind(arguments.kind)
        report = check(kind, arguments.file, spec, ids=ids, also=also, architecture=arguments.architecture)
    except (OSError, ValidationError, json.JSONDecodeError, MemoryError) as error:
        sys.stderr.write(f"could not check: {type(error).__name__}: {error}\n")
        return 2
    sys.stdout.write(report.json() + "\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    without_pandas()
    sys.exit(main())
