"""Matrices of transferred examples: asked for by organisers, computed by ordinary runs of copies of submissions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from runners.spec.catalogue_file import catalogue
from runners.spec.defects import suggestion
from runners.spec.models import MetricUse, SubmissionKind
from runners.spec.parameters import parameter_problems
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Phase
from touchstone.competitions.selectors import is_organiser
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services.runs import run_cancel, run_enqueue, run_receive
from touchstone.evaluations.services.wanted import Surrogate, Wanted
from touchstone.evaluations.state import FINAL, run_transition
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.paging import BEST_FIRST
from touchstone.submissions.models import Submission
from touchstone.transfers.models import Matrix, MatrixEntry

METRIC = "robustness.transfer"
#: First part of the keys of the results.
PREFIX = "transfer"
DEFAULT_SIZE, MAX_SIZE = 8, 16
_ASKED = tuple(kind.value for kind in SubmissionKind if kind is not SubmissionKind.PREDICTIONS)


def matrix_create(
    *, user: User, phase: Phase, parameters: Mapping[str, Any], submissions: Sequence[uuid.UUID] = ()
) -> Matrix:
    """Ask for a matrix: one run for each submission, with the files of all that are models as surrogates.

    `parameters` are those of the metric, `attack` and `eps` at least. `submissions`: scored ones of the phase that can
    be asked; default: the best of each participant on the phase's first board, at most `DEFAULT_SIZE`. The runs are
    those of copies: they reach no board, no quota and no page of a participant, and take the turn of who asks. Raises
    `NotAllowed`, `UserError`, and `Conflict` while another matrix of the phase is computed.
    """
    if not is_organiser(user=user, competition=phase.competition):
        raise NotAllowed(_("Only the organisers can ask for a matrix."))
    checked = _parameters(parameters)
    with transaction.atomic():
        Phase.objects.select_for_update(no_key=True).get(pk=phase.pk)  # one matrix of a phase at a time
        if MatrixEntry.objects.filter(matrix__phase=phase).exclude(run__status__in=FINAL).exists():
            raise Conflict(
                _("Another matrix of the phase %(phase)s is being computed.") % {"phase": phase.slug},
                _("Wait for it, or cancel it."),
                "matrix_running",
            )
        chosen = _named(phase, submissions) if submissions else _best(phase)
        _check(chosen)
        matrix = Matrix.objects.create(phase=phase, asked_by=user, parameters=checked)
        for position, submission in enumerate(chosen):
            _entry(matrix, position, submission)
        for entry in matrix.entries.select_related("run"):  # once all are there: a run's surrogates are the others
            run_enqueue(run=entry.run, reason="The submission it copies was scored: its file is sound.")
        audit_append(  # after the turns of the queue: the lock of the audit is taken last
            actor=user, act="matrix.create", subject=f"matrix:{matrix.pk}",
            data={
                "phase": f"{phase.competition.slug}/{phase.slug}", "parameters": checked,
                "submissions": [str(submission.pk) for submission in chosen],
            },
        )  # fmt: skip
    return matrix


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the metric without its surrogates. Raises `UserError` with every problem."""
    known = catalogue()
    schema, name = known["metrics"][METRIC]["parameters"], given.get("attack")
    attack = known["attacks"].get(name) if isinstance(name, str) else None
    if attack is None:
        hint = suggestion(str(name)[:80], known["attacks"], what="Attacks")
        raise UserError(_("There is no attack named %(value)r.") % {"value": str(name)[:80]}, hint, "parameters")
    problems = parameter_problems(schema, {**given, "surrogates": ["s0"]}, also=attack["parameters"])
    texts = [": ".join(map(str, (*problem.loc, problem.message))) for problem in problems]
    if "surrogates" in given:
        texts.append(_("the surrogates of a matrix are its submissions"))
    norm = given.get("norm", "linf")
    if norm not in attack["norms"]:
        texts.append(_("the attack %(name)s does not know the norm %(norm)s") % {"name": name, "norm": norm})
    if texts:
        raise UserError("; ".join(texts) + ".", _("The catalogue lists the parameters."), "parameters")
    return dict(given)


def _sound(phase: Phase) -> Any:
    found = Submission.objects.filter(phase=phase, run__status=RunStatus.SCORED, kind__in=_ASKED, withdrawn_at=None)
    return found.select_related("participation", "phase__competition")


def _best(phase: Phase) -> list[Submission]:
    """The entries of the phase's first board that can be asked, best first."""
    board = phase.leaderboards.order_by("pk").first()
    entries = LeaderboardEntry.objects.filter(leaderboard=board, hidden=False, run__submission__kind__in=_ASKED)
    ranked = entries.order_by(*BEST_FIRST).values_list("run__submission_id", flat=True)
    return _named(phase, list(ranked[:DEFAULT_SIZE]))


def _named(phase: Phase, keys: Sequence[uuid.UUID]) -> list[Submission]:
    if len(set(keys)) != len(keys):
        raise UserError(_("A submission stands twice."), _("Name each once."), "submissions")
    found = _sound(phase).in_bulk(keys)
    missing = [str(key) for key in keys if key not in found]
    if missing:
        raise UserError(
            _("Not a scored submission of this phase that can be asked: %(names)s.")
            % {"names": ", ".join(missing[:MAX_SIZE])},
            _("Name models, code and containers that were scored; a file of predictions cannot be asked."),
            "submissions",
        )
    return [found[key] for key in keys]


def _check(chosen: Sequence[Submission]) -> None:
    if len(chosen) > MAX_SIZE:
        raise UserError(
            _("A matrix has at most %(max_size)s submissions, not %(n)s.") % {"max_size": MAX_SIZE, "n": len(chosen)},
            code="submissions",
        )
    if len(chosen) < 2 or not any(submission.kind == SubmissionKind.MODEL for submission in chosen):
        raise UserError(
            _("A matrix takes two submissions or more that can be asked, and a `model` among them to "
"make examples with."),
            _("Wait for more, or name them."), "submissions",
        )  # fmt: skip


def _entry(matrix: Matrix, position: int, submission: Submission) -> None:
    """A copy of the submission with a run that waits to be queued."""
    copy = Submission.everything.create(
        participation=submission.participation, phase=submission.phase, kind=submission.kind, files=submission.files,
        image=submission.image, source=submission.source, original=submission,
    )  # fmt: skip
    run = run_receive(submission=copy, share=matrix.asked_by_id)
    run_transition(run=run, to=RunStatus.CHECKING, reason="A copy for a matrix.", counts_quota=False)
    MatrixEntry.objects.create(
        matrix=matrix, position=position, submission=submission, run=run,
        name=submission.participation.display_name, is_source=submission.kind == SubmissionKind.MODEL,
    )  # fmt: skip


def matrix_cancel(*, user: User, matrix: Matrix) -> None:
    """Cancel what has not ended. Safe to repeat. Raises `NotAllowed`."""
    if not is_organiser(user=user, competition=matrix.phase.competition):
        raise NotAllowed(_("Only the organisers can cancel a matrix."))
    for entry in matrix.entries.select_related("run__submission__phase__competition").exclude(run__status__in=FINAL):
        run_cancel(run=entry.run, user=user)


def matrix_wanted(*, run: Run) -> Wanted:
    """What a run of a matrix is asked: the one metric, with every model of the matrix as a surrogate.

    Its own too: what was made against it with its gradients is its white-box accuracy. None of them is required, for
    a submission that fails must not fail the others.
    """
    entry = MatrixEntry.objects.select_related("matrix").get(run=run)
    sources = [other for other in entry.matrix.entries.select_related("submission") if other.is_source]
    names = [other.source for other in sources]
    use = MetricUse.model_validate(
        {**entry.matrix.parameters, "use": METRIC, "as": PREFIX, "surrogates": names}  # as in competition.yml
    )
    files = [(other.source, other.submission.files[0]) for other in sources]
    return Wanted((use,), tuple(Surrogate(name, f["sha256"], f["size"], required=False) for name, f in files))
