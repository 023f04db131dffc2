"""Import of bundles: all or nothing, and the same again changes nothing."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import pytest
from django.core.management import CommandError, call_command

from tests.factories.server import (
    bundle_folder,
    participation_make,
    phase_of,
    run_make,
    submission_make,
    user_make,
    zipped,
)
from tests.factories.threads import together
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Competition, DataSplit, Phase
from touchstone.competitions.services import BundleError, competition_import
from touchstone.core.errors import Conflict
from touchstone.core.storage import blob_open
from touchstone.evaluations.models import RunStatus
from touchstone.evaluations.services import run_check
from touchstone.leaderboards.models import Leaderboard

pytestmark = pytest.mark.django_db

PHASES = [
    {"slug": "dev", "split": "test", "opens": "2020-01-01T00:00Z", "closes": "2021-01-01T00:00Z"},
    {
        "slug": "final",
        "title": "Final",
        "split": "test",
        "opens": "2021-01-01T00:00Z",
        "limits": {"per_day": 2, "total": 9},
    },
]


def edit(folder, **changes) -> None:
    path = folder / "competition.yml"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=1))


def test_everything_is_there(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(
        tmp_path, phases=PHASES,
        leaderboards=[{"slug": "main", "rank_by": "performance.accuracy"},
                      {"slug": "loss", "rank_by": "performance.log_loss", "phase": "final"}],
    )  # fmt: skip

    outcome = competition_import(user=user, archive=folder)

    made = Competition.objects.get()
    assert (outcome.created, outcome.changed, outcome.competition) == (True, True, made)
    assert (made.owner, made.version, made.terms) == (user, 1, "Play fair.\n")
    assert made.source == (folder / "competition.yml").read_text()
    split = DataSplit.objects.get()
    assert (split.n_items, [f["name"] for f in split.files]) == (40, ["labels.csv"])
    assert split.facts["classes"] == {"no": 20, "yes": 20}
    with blob_open(sha256=split.ids) as ids:
        assert json.load(ids) == [f"item{i}" for i in range(40)]
    final = Phase.objects.get(slug="final")
    assert (final.position, final.title, final.per_day, final.total) == (1, "Final", 2, 9)
    assert set(Leaderboard.objects.values_list("phase__slug", "slug")) == {
        ("dev", "main"),
        ("final", "main"),
        ("final", "loss"),
    }
    with blob_open(sha256=made.starting_kit) as kit, zipfile.ZipFile(kit) as archive:
        assert archive.namelist() == ["README.md"]


def test_the_same_again_changes_nothing_whatever_its_packing(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(tmp_path)
    first = competition_import(user=user, archive=folder).competition
    entries = AuditEntry.objects.count()

    again = [competition_import(user=user, archive=folder), competition_import(user=user, archive=zipped(folder)),
             competition_import(user=user, archive=zipped(tmp_path))]  # fmt: skip

    assert {(o.created, o.changed) for o in again} == {(False, False)}
    first.refresh_from_db()
    assert first.version == 1
    assert AuditEntry.objects.count() == entries
    assert Phase.objects.count() == Leaderboard.objects.count() == 1


def test_new_content_is_a_new_version(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(tmp_path)
    competition_import(user=user, archive=folder)
    edit(folder, title="A better title", phases=[PHASES[1], PHASES[0] | {"slug": "main"}])

    outcome = competition_import(user=user, archive=folder)

    assert (outcome.created, outcome.changed) == (False, True)
    assert (outcome.competition.version, outcome.competition.title) == (2, "A better title")
    assert list(Phase.objects.values_list("slug", flat=True)) == ["final", "main"]
    assert Leaderboard.objects.count() == 2


def test_every_defect_at_once_and_nothing_created(tmp_path) -> None:
    folder = bundle_folder(
        tmp_path,
        colour="blue",
        phases=[{"slug": "main", "split": "absent", "opens": "2020-01-01T00:00Z"}],
        terms="none.md",
    )

    with pytest.raises(BundleError) as caught:
        competition_import(user=user_make(), archive=folder)

    text = caught.value.message
    assert len(caught.value.defects) >= 3
    assert all(word in text for word in ("colour", "absent", "none.md"))
    assert not Competition.objects.exists()
    assert not AuditEntry.objects.filter(act="competition.import").exists()


@pytest.mark.parametrize("content", [b"not a zip", b"", b"PK\x05\x06", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip(content: bytes) -> None:
    with pytest.raises(BundleError):
        competition_import(user=user_make(), archive=io.BytesIO(content))


def test_a_zip_that_climbs_out(tmp_path) -> None:
    buffer = zipped(bundle_folder(tmp_path))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("../evil.txt", "x")
    buffer.seek(0)

    with pytest.raises(BundleError):
        competition_import(user=user_make(), archive=buffer)

    assert not Competition.objects.exists()


def test_somebody_elses_slug(tmp_path) -> None:
    folder = bundle_folder(tmp_path)
    competition_import(user=user_make(), archive=folder)
    edit(folder, title="Mine now")

    with pytest.raises(Conflict):
        competition_import(user=user_make(), archive=folder)

    assert Competition.objects.get().title == "Tiny tiny"


@pytest.fixture
def used(tmp_path):
    """(owner, folder, participation) of a competition with a submission."""
    user = user_make()
    folder = bundle_folder(tmp_path)
    competition = competition_import(user=user, archive=folder).competition
    participation = participation_make(competition)
    run_make(submission_make(participation), RunStatus.QUEUED)
    return user, folder, participation


def test_data_with_submissions_are_never_replaced(used) -> None:
    user, folder, _ = used
    labels = folder / "data/test/labels.csv"
    labels.write_text(labels.read_text().replace("item0,no", "item0,yes"))

    for replace in (False, True):
        with pytest.raises(BundleError) as caught:
            competition_import(user=user, archive=folder, replace=replace)
        assert [(d.code, d.where) for d in caught.value.defects] == [("in_use", "data.test")]
    assert Competition.objects.get().version == 1


def test_phase_with_submissions_stays_on_its_split(used, tmp_path) -> None:
    user, folder, _ = used
    shutil.copytree(folder / "data/test", folder / "data/other")
    labels = folder / "data/other/labels.csv"
    labels.write_text(labels.read_text().replace("item", "other"))
    data = {
        "test": {"path": "data/test", "visibility": "hidden"},
        "other": {"path": "data/other", "visibility": "hidden"},
    }

    edit(folder, data=data, phases=[{"slug": "main", "split": "other", "opens": "2020-01-01T00:00Z"}])
    with pytest.raises(BundleError, match="moves from split test to other"):
        competition_import(user=user, archive=folder)
    edit(folder, phases=[{"slug": "new", "split": "other", "opens": "2020-01-01T00:00Z"}])
    with pytest.raises(BundleError, match="phase main is gone"):
        competition_import(user=user, archive=folder, replace=True)


def test_texts_and_limits_of_a_used_competition_may_change(used) -> None:
    user, folder, _ = used
    (folder / "terms.md").write_text("New terms.\n")
    edit(folder, phases=[{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "limits": {"total": 3}}])

    assert competition_import(user=user, archive=folder).changed
    assert Phase.objects.get().total == 3


def test_dropping_needs_replace(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(tmp_path, phases=PHASES)
    competition_import(user=user, archive=folder)
    edit(folder, phases=PHASES[1:])

    with pytest.raises(BundleError, match="dev is not in this bundle any more"):
        competition_import(user=user, archive=folder)
    assert competition_import(user=user, archive=folder, replace=True).changed
    assert list(Phase.objects.values_list("slug", flat=True)) == ["final"]


def test_imported_ids_serve_the_intake_check(tmp_path) -> None:
    competition = competition_import(user=user_make(), archive=bundle_folder(tmp_path, rows=4)).competition
    competition.splits.update(visibility="inputs")
    submission = submission_make(participation_make(competition), phase_of(competition))
    run = run_make(submission, RunStatus.RECEIVED)

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert run.status == RunStatus.REJECTED
    assert "item0" in run.message


@pytest.mark.django_db(transaction=True)
def test_the_same_bundle_at_once_makes_one(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(tmp_path)

    outcomes = together([lambda: competition_import(user=user, archive=folder) for _ in range(3)])

    assert Competition.objects.count() == 1
    assert all(not isinstance(o, Exception) or isinstance(o, Conflict) for o in outcomes)
    assert sum(getattr(o, "created", False) for o in outcomes) == 1


def test_command(tmp_path) -> None:
    user_make("ada")
    folder = bundle_folder(tmp_path)
    out = io.StringIO()

    for _ in range(2):
        call_command("competition_import", str(folder), "--owner", "ada", stdout=out)

    assert out.getvalue() == "tiny: created, version 1\ntiny: unchanged, version 1\n"
    with pytest.raises(CommandError, match="no user"):
        call_command("competition_import", str(folder), "--owner", "nobody")
    edit(folder, title="")
    with pytest.raises(CommandError, match="title"):
        call_command("competition_import", str(folder), "--owner", "ada")


def test_only_staff_gives_priority(tmp_path) -> None:
    """It goes before the runs of every competition, and anybody may import one."""
    user = user_make()
    first = [PHASES[0] | {"priority": 10}, PHASES[1] | {"priority": -2}]
    folder = bundle_folder(tmp_path, phases=first)
    with pytest.raises(BundleError) as caught:
        competition_import(user=user, archive=folder)
    assert [defect.where for defect in caught.value.defects] == ["phases[0].priority"]
    assert not Competition.objects.exists()

    competition_import(user=user_make(is_staff=True), archive=folder)
    assert list(Phase.objects.values_list("priority", flat=True)) == [10, -2]
    Competition.objects.update(owner=user)
    edit(folder, title="The organiser keeps what staff gave", phases=[first[0], first[1] | {"priority": 0}])
    assert competition_import(user=user, archive=folder).changed
    edit(folder, phases=[first[0], first[1] | {"priority": 1}])
    with pytest.raises(BundleError, match="priority 1"):
        competition_import(user=user, archive=folder)
