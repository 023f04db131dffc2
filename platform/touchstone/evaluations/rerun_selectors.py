"""Reading reruns: how far one is, what is being evaluated again, and what a submission was scored before."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, F, QuerySet
from django.utils.translation import gettext as _

from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer
from touchstone.core.errors import NotFound
from touchstone.evaluations.models import Rerun, Result, Run, RunStatus
from touchstone.evaluations.selectors import run_results
from touchstone.evaluations.services.runs import spec_of
from touchstone.evaluations.services.wanted import metric_versions
from touchstone.evaluations.state import FINAL, OPEN
from touchstone.submissions.models import Submission


@dataclass(frozen=True)
class Progress:
    """Of `total` submissions: skipped, waiting to begin, and the runs by what became of them."""

    total: int
    skipped: int
    waiting: int
    open: int
    scored: int
    failed: int

    @property
    def done(self) -> int:
        return self.skipped + self.scored + self.failed

    @property
    def over(self) -> bool:
        return self.done >= self.total


def reruns_of(*, competition: Competition) -> QuerySet[Rerun]:
    """The reruns of a competition, the newest first. For its organisers."""
    return Rerun.objects.filter(competition=competition).select_related("asked_by")


def rerun_get(*, competition: Competition, id: uuid.UUID) -> Rerun:  # noqa: A002 - the name of the thing
    """Raises `NotFound`."""
    found = reruns_of(competition=competition).filter(pk=id).first()
    if found is None:
        raise NotFound(_("There is no such rerun in this competition."), _("The list of reruns shows those there are."))
    return found


def rerun_progress(*, reruns: Collection[Rerun]) -> dict[uuid.UUID, Progress]:
    """How far each is. One query for all."""
    rows = Run.objects.filter(rerun__in=reruns).order_by().values_list("rerun", "status").annotate(n=Count("pk"))
    counts: dict[uuid.UUID, dict[str, int]] = {}
    for key, status, n in rows:
        counts.setdefault(key, {})[status] = n
    found = {}
    for rerun in reruns:
        by = counts.get(rerun.pk, {})
        scored = by.get(RunStatus.SCORED, 0)
        ended = sum(n for status, n in by.items() if status in FINAL)
        still = sum(by.values()) - ended
        found[rerun.pk] = Progress(rerun.total, rerun.skipped, len(rerun.waiting), still, scored, ended - scored)
    return found


def again_of(*, submissions: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the submissions that are scored and being evaluated again. One query for all."""
    found = Run.objects.filter(submission__in=submissions, rerun__isnull=False, status__in=OPEN)
    return set(found.exclude(submission__run=F("pk")).values_list("submission_id", flat=True))


def again_run(*, submission: Submission) -> Run | None:
    """The latest run that was to take the place of the current one and has not, or not yet."""
    later = submission.runs.filter(rerun__isnull=False).exclude(pk=submission.run_id).select_related("rerun")
    newest = later.order_by("-created_at").first()
    if newest is None or (submission.run is not None and newest.created_at < submission.run.created_at):
        return None
    return newest


@dataclass(frozen=True)
class Difference:
    """One result, before and now; `change` is None where either has no value."""

    key: str
    title: str
    before: Result | None
    now: Result | None

    @property
    def change(self) -> float | None:
        values = [result.value for result in (self.before, self.now) if result is not None]
        return values[1] - values[0] if len(values) == 2 and None not in values else None  # type: ignore[operator]


@dataclass(frozen=True)
class Earlier:
    """A run that counted before. `changed` names the metrics that were computed in another way than now."""

    run: Run
    differences: list[Difference]
    changed: list[str]


def earlier_runs(*, submission: Submission, user: Viewer) -> list[Earlier]:
    """The scored runs that counted before the current one, newest first, as far as `user` may see results."""
    current = submission.run
    runs = submission.runs.filter(status=RunStatus.SCORED).exclude(pk=submission.run_id).select_related("rerun")
    found = [run for run in runs.order_by("-finished_at") if current is None or run.created_at < current.created_at]
    if not found or current is None:
        return []
    current.submission = submission
    now = {result.key: result for result in run_results(run=current, user=user)}
    earlier = []
    for run in found:
        run.submission = submission
        before = {result.key: result for result in run_results(run=run, user=user)}
        keys = [*now, *(key for key in before if key not in now)]
        differences = [
            Difference(key, (now.get(key) or before[key]).title, before.get(key), now.get(key)) for key in keys
        ]
        earlier.append(Earlier(run, differences, _changed(run, current)))
    return earlier


def _changed(before: Run, now: Run) -> list[str]:
    """Nothing is known of runs that ended before versions were kept."""
    if not before.metric_versions:
        return []
    return sorted(key for key, value in now.metric_versions.items() if before.metric_versions.get(key, value) != value)


def scored_before(*, competition: Competition, version: int) -> QuerySet[Submission]:
    """The submissions whose result came from an older version of the competition, or one that was not noted."""
    found = _scored(competition)
    return found.exclude(run__competition_version__gte=version)


def scored_otherwise(*, competition: Competition, metric: str) -> QuerySet[Submission]:
    """The submissions that were scored before the metric was changed to what it is now."""

    present = metric_versions(metrics=spec_of(competition=competition).metrics).get(metric)
    if present is None:
        raise NotFound(
            _("%(competition)s has no metric %(metric)r.") % {"competition": competition.slug, "metric": metric},
            _("See competition.yml for its metrics."),
        )
    return _scored(competition).exclude(run__metric_versions__contains={metric: present})


def _scored(competition: Competition) -> QuerySet[Submission]:
    found = Submission.objects.filter(phase__competition=competition, run__status=RunStatus.SCORED, withdrawn_at=None)
    return found.select_related("phase__competition", "participation", "run")
