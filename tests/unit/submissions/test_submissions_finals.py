"""The final ranking: what was chosen, on data that nobody has seen, and hidden until it is published."""

from __future__ import annotations

import io

import pytest

from tests.factories.reruns import evaluate
from tests.factories.server import competition_make, participation_make, run_make, submission_make, user_make
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Competition, Phase
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import runs_sweep
from touchstone.evaluations.visibility import results_hidden
from touchstone.leaderboards.selectors import board_hidden
from touchstone.submissions import finals as service
from touchstone.submissions.finals import finalists_of, finals_publish, finals_start
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import quota
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db


@pytest.fixture
def competition() -> Competition:
    return competition_make(
        input={"kind": "tabular", "shape": [1], "features": ["a"]},
        submission={"kinds": ["predictions", "code"]},
        data={name: {"path": f"data/{name}", "visibility": "hidden"} for name in ("test", "private")},
        phases=[
            {"slug": "open", "split": "test", "opens": "2020-01-01T00:00Z"},
            {
                "slug": "final", "split": "private", "opens": "2020-01-01T00:00Z",
                "finalists": {"phase": "open", "choose": 2},
            },
        ],
    )  # fmt: skip


def phases(competition: Competition) -> tuple[Phase, Phase]:
    found = {phase.slug: phase for phase in Phase.objects.filter(competition=competition).select_related("competition")}
    return found["open"], found["final"]


def sent(competition: Competition, value: float, participation=None, kind: str = "code") -> Submission:
    participation = participation or participation_make(competition)
    made = submission_make(participation, phases(competition)[0], kind=kind, sent_by=participation.user)
    run_make(made)
    evaluate(value)
    return Submission.objects.get(pk=made.pk)


def choose(*submissions: Submission) -> None:
    for each in submissions:
        Submission.objects.filter(pk=each.pk).update(chosen_at=each.created_at)


def test_the_chosen_or_else_the_best_are_evaluated_once_more(competition: Competition) -> None:
    source, final = phases(competition)
    ann, bob = participation_make(competition), participation_make(competition)
    chosen, better = sent(competition, 0.6, ann), sent(competition, 0.8, ann)
    best, _worse = sent(competition, 0.7, bob), sent(competition, 0.5, bob)
    file = sent(competition, 0.9, kind="predictions")
    choose(chosen)

    rows = {row.submission.pk: row for row in finalists_of(phase=final)}

    assert set(rows) == {chosen.pk, best.pk, file.pk}
    assert [rows[s.pk].chosen for s in (chosen, best)] == [True, False]
    assert not rows[file.pk].can_run
    assert finals_start(phase=final, by=competition.owner) == 0
    started = {s.participation_id: s for s in Submission.objects.filter(phase=final)}
    assert set(started) == {ann.pk, bob.pk}
    assert (started[ann.pk].files, started[ann.pk].kind, started[ann.pk].run.status) == (chosen.files, "code", "queued")
    assert quota(participation=ann, phase=final).used_total == 0
    # It stays the sender's: not an organiser's, whose account's export has all that they sent.
    assert started[ann.pk].sent_by == chosen.sent_by != competition.owner
    with pytest.raises(Conflict):
        finals_start(phase=final, by=competition.owner)  # again: there is nothing left
    assert Submission.objects.filter(phase=final).count() == 2
    assert better.pk not in rows
    assert source.pk != final.pk


def test_nobody_sees_the_ranking_before_it_is_published(competition: Competition) -> None:
    submission = sent(competition, 0.6)
    _source, final = phases(competition)
    visitor, owner = user_make(), competition.owner
    finals_start(phase=final, by=owner)
    with pytest.raises(Conflict, match="not through"):
        finals_publish(phase=final, by=owner)
    run = evaluate(0.4)

    assert "finals" in board_hidden(phase=final, user=visitor)
    assert board_hidden(phase=final, user=owner) == ""
    assert "finals" in results_hidden(run=run, phase=final)
    with pytest.raises(NotAllowed):
        finals_publish(phase=final, by=submission.participation.user)

    at_once = phases(competition)[1]
    finals_publish(phase=final, by=owner)
    finals_publish(phase=at_once, by=owner)  # the same click twice
    assert AuditEntry.objects.filter(act="finals.publish").count() == 1

    final = phases(competition)[1]
    assert board_hidden(phase=final, user=visitor) == ""
    assert results_hidden(run=run, phase=final) == ""
    assert final.leaderboards.get().entries.get().sort_key == 0.4
    with pytest.raises(Conflict):
        finals_start(phase=final, by=owner)


def test_it_takes_no_submission_by_hand(competition: Competition) -> None:
    source, final = phases(competition)
    user = participation_make(competition).user
    with pytest.raises(UserError, match="takes no submissions") as refused:
        submission_create(user=user, phase=final, kind="predictions", file=io.BytesIO(b"id\n"))
    assert refused.value.code == "phase_finalists"
    with pytest.raises(NotFound):
        finalists_of(phase=source)
    with pytest.raises(NotAllowed):
        finals_start(phase=final, by=user)


def test_many_are_started_in_parts(competition: Competition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_BATCH", 2)
    for value in (0.1, 0.2, 0.3):
        sent(competition, value)
    _source, final = phases(competition)
    assert finals_start(phase=final, by=competition.owner) == 1
    assert finals_start(phase=final, by=competition.owner) == 0
    assert Run.objects.filter(submission__phase=final, status=RunStatus.QUEUED).count() == 3
    assert runs_sweep().failed == 0


def test_a_withdrawn_or_removed_one_takes_no_part(competition: Competition) -> None:
    gone, out = sent(competition, 0.6), sent(competition, 0.7)
    Submission.objects.filter(pk=gone.pk).update(withdrawn_at=gone.created_at)
    type(out.participation).objects.filter(pk=out.participation_id).update(status="removed")
    assert finalists_of(phase=phases(competition)[1]) == []
