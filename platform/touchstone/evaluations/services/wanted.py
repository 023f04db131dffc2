"""What is asked of a run: its metrics, and the models that examples are made against."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from runners.spec.catalogue_file import catalogue
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


def metric_versions(*, metrics: Iterable[MetricUse]) -> dict[str, str]:
    """For each metric, by its name in the results, a few digits that change when it is computed in another way: with
    other parameters, or as the catalogue describes it now.
    """
    return {use.prefix: _digest(use.model_dump_json(), use.use) for use in metrics}


@functools.lru_cache(maxsize=512)
def _digest(use: str, name: str) -> str:
    known = orjson.dumps(catalogue()["metrics"].get(name), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(use.encode() + b"\0" + known).hexdigest()[:8]
