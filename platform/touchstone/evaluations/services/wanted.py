"""What is asked of a run: its metrics, and the models that examples are made against."""

from __future__ import annotations

from dataclasses import dataclass

from runners.spec.models import CompetitionSpec, MetricUse, SubmissionKind
from touchstone.evaluations.models import Run


@dataclass(frozen=True)
class Surrogate:
    """An ONNX file by content. `required`: a run without its examples is the organiser's fault."""

    name: str
    sha256: str
    size: int
    required: bool = True


@dataclass(frozen=True)
class Wanted:
    """The metrics of a run, and the surrogates that they name."""

    metrics: tuple[MetricUse, ...]
    surrogates: tuple[Surrogate, ...] = ()


def wanted_of(*, run: Run, spec: CompetitionSpec) -> Wanted:
    """The metrics of the competition; for the run of a copy, what the copy was made for."""
    if run.submission.original_id is not None:
        # Later than at import: the app of the matrices builds on this one.
        from touchstone.transfers.services import matrix_wanted

        return matrix_wanted(run=run)
    if run.kind == SubmissionKind.PREDICTIONS:  # a file of answers is shown nothing
        return Wanted(spec.metrics)
    given = (use.parameters.get("surrogates") for use in spec.metrics)
    named = {name for names in given if isinstance(names, list) for name in names}
    found = [item for item in run.submission.phase.competition.surrogates if item["name"] in named]
    return Wanted(spec.metrics, tuple(Surrogate(**item) for item in found))
