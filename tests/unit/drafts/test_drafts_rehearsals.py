"""Made-up submissions take the way of real ones, tell what they must, and are seen by nobody but organisers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories.in_process import run_everything
from tests.factories.server import bundle_folder, competition_make, participation_make, user_make
from touchstone.accounts.models import User
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Competition, DataSplit, Participation
from touchstone.competitions.services import competition_import
from touchstone.core import tasks
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.drafts import rehearsing
from touchstone.drafts.models import Preparation, Rehearsal
from touchstone.drafts.rehearsal_rules import best_of, chance_of, checks_of, verdict_of
from touchstone.drafts.rehearsals import check_report, competition_open
from touchstone.drafts.rehearsing import rehearsal_prepare, rehearse
from touchstone.evaluations.models import Result, Run, RunStatus
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import activity_of, submissions_all

METRICS = [
    {"use": "performance.accuracy"}, {"use": "performance.balanced_accuracy"}, {"use": "performance.roc_auc"},
    {"use": "performance.log_loss"}, {"use": "calibration.expected_calibration_error"},
    {"use": "efficiency.latency"},
]  # fmt: skip
FUTURE = [{"slug": "later", "split": "test", "opens": "2999-01-01T00:00Z"}]


def competition(tmp_path, **changes) -> Competition:
    folder = bundle_folder(tmp_path, metrics=METRICS, phases=FUTURE, **changes)
    rows = "".join(f"item{i},{'yes' if i % 4 == 0 else 'no'}\n" for i in range(40))
    (folder / "data/test/labels.csv").write_text(f"id,label\n{rows}")
    return competition_import(user=user_make(), archive=folder, opened=False).competition


@pytest.mark.django_db
def test_the_truth_wins_guesses_do_not_and_a_bad_file_is_refused(tmp_path) -> None:
    made = competition(tmp_path)
    person = participation_make(made)

    rehearse(competition=made, user=made.owner)
    preparing = check_report(competition=made)
    rehearsal_prepare(competition_id=made.pk)
    rehearsal_prepare(competition_id=made.pk)  # a doubled message
    waiting = check_report(competition=made)
    runs = run_everything(tmp_path / "runs")
    report = check_report(competition=made)

    assert (preparing.state, preparing.preparing, preparing.phases[0].items) == ("running", True, [])
    assert (waiting.state, waiting.preparing, len(waiting.phases[0].items)) == ("running", False, 4)
    (phase,) = report.phases
    items = {item.kind: item for item in phase.items}
    assert {kind: (item.status, item.verdict) for kind, item in items.items()} == {
        "null": ("scored", "passed"), "constant": ("scored", "passed"), "oracle": ("scored", "passed"),
        "malformed": ("rejected", "passed"),
    }  # fmt: skip
    assert report.state == "passed"
    assert "secret" in items["malformed"].message
    oracle = {check.key: check for check in items["oracle"].checks}
    assert oracle["performance.roc_auc"].value == 1.0
    judged = {check.key for check in items["constant"].checks if check.verdict == "passed"}
    assert judged == {
        "performance.accuracy",
        "performance.balanced_accuracy",
        "performance.roc_auc",
        "performance.log_loss",
    }
    assert any("Latency" in title for title in report.unchecked)
    assert not any(run.counts_quota for run in runs)
    nobody_sees_them(made, person)


def nobody_sees_them(made: Competition, person: Participation) -> None:
    """No list, board, count or participant shows what was made up."""
    assert Submission.everything.filter(is_check=True).count() == 4
    assert not Submission.objects.exists()
    assert not submissions_all(user=made.owner, competition=made).exists()
    assert not LeaderboardEntry.objects.exists()
    assert [p.pk for p in made.participations.all()] == [person.pk]
    assert Participation.everyone.filter(competition=made).count() == 2
    counted = activity_of(competitions=[made])[made.pk]
    assert (counted.participants, counted.submissions) == (1, 0)
    nobody = User.objects.get(username="publish check")
    assert not nobody.is_active
    assert not nobody.has_usable_password()


@pytest.mark.django_db
def test_it_is_opened_when_the_check_passed_or_with_a_reason() -> None:
    made = competition_make()
    Competition.objects.update(opened_at=None)
    owner = made.owner

    with pytest.raises(NotAllowed):
        competition_open(competition=made, user=user_make(), reason="because I would like to")
    for reason in ("", "short"):
        with pytest.raises(UserError, match="not checked"):
            competition_open(competition=made, user=owner, reason=reason)
    opened = competition_open(competition=made, user=owner, reason="it was measured elsewhere")

    assert opened.opened_at is not None
    data = AuditEntry.objects.get(act="competition.open").data
    assert (data["check"], data["reason"]) == ("none", "it was measured elsewhere")
    assert competition_open(competition=made, user=owner).opened_at == opened.opened_at


@pytest.mark.django_db
def test_an_earlier_version_that_was_checked_is_told() -> None:
    made = competition_make()
    Competition.objects.update(version=3)
    made.refresh_from_db()
    Rehearsal.objects.create(competition=made, version=2, phase=made.phases.get(), kind="null", expected="nothing")

    report = check_report(competition=made)

    assert (report.state, report.earlier) == ("none", 2)


@pytest.mark.django_db
def test_it_is_checked_again_and_anew_for_a_new_version(tmp_path) -> None:
    made = competition(tmp_path)
    rehearse(competition=made, user=made.owner)
    with pytest.raises(Conflict):  # it is being prepared
        rehearse(competition=made, user=made.owner)
    rehearsal_prepare(competition_id=made.pk)
    with pytest.raises(Conflict):  # its submissions are in the queue
        rehearse(competition=made, user=made.owner)
    Run.objects.update(status=RunStatus.CANCELLED)
    assert check_report(competition=made).state == "failed"

    rehearse(competition=made, user=made.owner)
    assert check_report(competition=made).phases[0].items == []
    rehearsal_prepare(competition_id=made.pk)
    sent = Rehearsal.objects.count()
    folder = tmp_path / "tiny"
    text = (folder / "competition.yml").read_text().replace('"later"', '"sooner"')
    (folder / "competition.yml").write_text(text)
    after = competition_import(user=made.owner, archive=folder, replace=True).competition
    report = check_report(competition=after)

    assert (sent, Rehearsal.objects.count()) == (4, 0)  # with the phase that nobody submitted to
    assert [phase.slug for phase in after.phases.all()] == ["sooner"]
    assert not Submission.everything.exists()
    assert report.state == "none"
    with pytest.raises(NotAllowed):
        rehearse(competition=made, user=user_make())


@pytest.mark.django_db
def test_labels_that_cannot_be_read_are_told_and_the_check_may_be_run_again(tmp_path) -> None:
    made = competition(tmp_path)
    DataSplit.objects.filter(competition=made, name="test").update(files=[])
    rehearse(competition=made, user=made.owner)

    rehearsal_prepare(competition_id=made.pk)
    report = check_report(competition=made)

    assert report.state == "failed"
    assert "No submission could be made up for the phase later" in report.message
    assert report.hint == "Check that its split has labels for every item."
    assert not Submission.everything.exists()
    assert rehearse(competition=made, user=made.owner).attempts == 0


@pytest.mark.django_db
def test_nothing_is_sent_for_a_version_that_was_replaced_meanwhile(tmp_path, monkeypatch) -> None:
    made = competition(tmp_path)
    rehearse(competition=made, user=made.owner)
    make = rehearsing._made

    def slowly(found: Competition):
        Competition.objects.update(version=2)
        return make(found)

    monkeypatch.setattr(rehearsing, "_made", slowly)
    rehearsal_prepare(competition_id=made.pk)

    assert Preparation.objects.get().message == "The competition was changed while its check was prepared."
    assert not Submission.everything.exists()
    made.refresh_from_db()
    assert check_report(competition=made).state == "none"
    assert rehearse(competition=made, user=made.owner).version == 2


@pytest.mark.django_db
def test_a_lost_message_is_sent_again_and_a_job_that_dies_is_given_up(
    tmp_path, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(tasks, "_send", lambda name, args, **_options: sent.append((name, *args)))
    made = competition(tmp_path)
    rehearse(competition=made, user=made.owner)
    assert rehearsing.rehearsals_sweep() == 0  # it was asked for just now
    Preparation.objects.update(wanted_at=now() - timedelta(minutes=5))
    with django_capture_on_commit_callbacks(execute=True):
        assert rehearsing.rehearsals_sweep() == 1
    assert sent == [("touchstone.check_prepare", str(made.pk))]
    past = now() - timedelta(seconds=1)
    Preparation.objects.update(state="running", lease_until=past, attempts=3)

    rehearsal_prepare(competition_id=made.pk)  # not a fourth time
    assert rehearsing.rehearsals_sweep() == 0
    report = check_report(competition=made)
    assert (report.state, "ended three times" in report.message) == ("failed", True)


def result(metric: str = "performance.accuracy", value: float | None = 1.0, **fields: object) -> Result:
    defaults = {
        "key": metric,
        "title": metric,
        "pillar": metric.partition(".")[0],
        "direction": "maximise",
        "state": "ok",
    }
    return Result(metric=metric, value=value, **defaults | fields)


CLASSES = {"no": 30, "yes": 10}


@pytest.mark.parametrize(
    ("kind", "made", "verdict"),
    [
        ("oracle", result(value=1.0), "passed"),
        ("oracle", result(value=0.9), "failed"),
        ("oracle", result("performance.log_loss", 1e-7, direction="minimise"), "passed"),
        ("oracle", result("performance.log_loss", 0.3, direction="minimise"), "failed"),
        ("oracle", result("fairness.statistical_parity_difference", 0.2, direction="zero"), "told"),
        ("oracle", result("fairness.equal_opportunity_difference", 0.2, key="x[sex]", direction="zero"), "failed"),
        ("oracle", result(value=None, state="failed", reason="boom"), "failed"),
        ("oracle", result(value=None, state="not_applicable", reason="no model"), "told"),
        ("null", result(value=0.75), "passed"),
        ("null", result(value=0.8), "failed"),
        ("null", result(value=0.8, low=0.7, high=0.9), "passed"),
        ("null", result("performance.roc_auc", 0.5), "passed"),
        ("constant", result("performance.roc_auc", 0.7, low=0.6, high=0.8), "failed"),
        ("constant", result("performance.f1", 1.0), "failed"),
        ("constant", result("performance.f1", 0.4), "passed"),
        ("constant", result("performance.recall", 1.0), "told"),
        ("null", result("calibration.expected_calibration_error", 0.0, direction="minimise"), "told"),
        ("null", result("performance.log_loss", 0.56, direction="minimise"), "failed"),
        ("null", result("performance.log_loss", 0.5624, direction="minimise"), "passed"),
    ],
)
def test_what_is_judged(kind: str, made: Result, verdict: str) -> None:
    (found,) = checks_of(kind=kind, results=[made], classes=CLASSES)

    assert found.verdict == verdict
    assert found.reason or verdict == "passed"


def test_verdicts_of_a_whole_submission() -> None:
    good = checks_of(kind="oracle", results=[result()], classes=CLASSES)
    bad = checks_of(kind="oracle", results=[result(value=0.5)], classes=CLASSES)

    assert verdict_of(kind="oracle", status="scored", checks=good) == "passed"
    assert verdict_of(kind="oracle", status="scored", checks=bad) == "failed"
    assert verdict_of(kind="oracle", status="failed", checks=[]) == "failed"
    assert verdict_of(kind="oracle", status="queued", checks=[]) == ""
    assert verdict_of(kind="malformed", status="scored", checks=good) == "failed"
    assert verdict_of(kind="malformed", status="rejected", checks=[]) == "passed"


def test_chance_and_best_are_known_or_none() -> None:
    assert chance_of(result("performance.balanced_accuracy"), CLASSES) == 0.5
    assert chance_of(result("performance.accuracy"), {}) is None
    assert chance_of(result("performance.f1"), CLASSES) is None
    assert best_of(result("performance.positive_rate")) is None
    assert best_of(result("somebody.elses", pillar="performance")) is None
