"""Review and publish, the publish check, export and reports, as pages."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.db import transaction
from pypdf import PdfReader

from tests.factories.in_process import run_everything
from tests.factories.server import (
    bundle_folder,
    competition_make,
    metric,
    participation_make,
    run_make,
    submission_make,
    user_make,
)
from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.services import competition_import
from touchstone.drafts.reading import draft_from_folder
from touchstone.drafts.rehearsing import rehearsal_prepare
from touchstone.drafts.services import draft_create
from touchstone.evaluations.models import Result, RunStatus
from touchstone.evaluations.state import run_make_current
from touchstone.leaderboards.services import entries_update
from touchstone.web.report.words import listed

pytestmark = pytest.mark.django_db


def imported(tmp_path, **changes) -> Competition:
    opened = changes.pop("opened", True)
    return competition_import(user=user_make(), archive=bundle_folder(tmp_path, **changes), opened=opened).competition


def text_of(answer) -> str:
    html = re.sub(r"<(svg|script|style).*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'").replace("&quot;", '"')


def test_a_draft_is_looked_over_and_published(tmp_path, client) -> None:
    competition = imported(tmp_path, rows=8)
    owner = competition.owner
    client.force_login(owner)
    draft = draft_create(user=owner, title="", competition=competition)
    page = f"/drafts/{draft.pk}/review/"

    unchanged = text_of(client.get(page))
    section = draft.sections.get(name="about")
    section.body |= {"summary": "A new summary.", "title": ""}
    section.save()
    broken = client.post(page)
    section.body |= {"title": "Better"}
    section.save()
    diff = text_of(client.get(page))
    done = client.post(page, follow=True)

    assert "No step differs" in unchanged
    assert broken.status_code == 422
    assert f'href="/drafts/{draft.pk}/about/#' in broken.content.decode()
    assert Competition.objects.get().version == 2  # the one good post
    assert "What differs from version 1" in diff
    assert "A new summary." in diff
    assert "Better has a new version: 2." in text_of(done)


def test_the_review_says_values_as_people_read_them(tmp_path, client) -> None:
    changes = {
        "metrics": [{"use": "performance.accuracy"}, {"use": "fairness.accuracy_difference", "attribute": "sex"}],
        "attributes": {"sex": {"privileged": "men", "unprivileged": ["women"]}},
        "leaderboards": [{"slug": "main", "title": "Main", "rank_by": "performance.accuracy",
                          "columns": ["fairness.accuracy_difference[sex]"],
                          "gates": ["abs(fairness.accuracy_difference[sex]) <= 0.1"]}],
        "submission": {"kinds": ["predictions"], "size": "512MiB", "resources": {"time": "90s", "memory": "2GiB"}},
        "phases": [
            {"slug": "open", "split": "test", "opens": "2026-01-01T00:00+01:00", "closes": "2026-06-01T12:00Z",
             "limits": {"per_day": 5, "total": 2000}, "feedback": "rounded"},
            {"slug": "last", "split": "test", "opens": "2026-06-02T00:00Z",
             "finalists": {"phase": "open", "choose": 2}},
        ],
    }  # fmt: skip
    owner = user_make()
    draft = draft_create(user=owner, title="x")
    folder = bundle_folder(tmp_path, rows=8)
    spec = json.loads((folder / "competition.yml").read_text()) | changes
    (folder / "competition.yml").write_text(json.dumps(spec))
    draft_from_folder(draft=draft, user=owner, folder=folder)
    client.force_login(owner)
    page = f"/drafts/{draft.pk}/review/"

    told = text_of(client.get(page))
    section = draft.sections.get(name="phases")
    section.body["phases"][0]["opens"] = "someday"
    section.save()
    unsound = text_of(client.get(page))

    for text in (
        "Accuracy; ", "(sex)", "ranked by Accuracy", "up to 512 MiB", "1 min 30 s", "2 GiB", "two classes",
        "2025-12-31 23:00 UTC to 2026-06-01 12:00 UTC", "5 a day", "2 000 in all", "scored on test",
        "takes finalists of open, 2 of each participant", "Rounded scores", "without its sign ≤ 0.1",
    ):  # fmt: skip
        assert text in told, text
    for raw in ("performance.accuracy", "512MiB", "90s", "T00:00", "feedback: rounded"):
        assert raw not in told, raw
    assert "not complete yet" in unsound
    assert "someday" in unsound


def test_a_new_one_goes_on_to_the_check(tmp_path, client) -> None:
    owner = user_make()
    draft = draft_create(user=owner, title="x")
    draft_from_folder(draft=draft, user=owner, folder=bundle_folder(tmp_path, rows=8))
    client.force_login(owner)

    done = client.post(f"/drafts/{draft.pk}/review/")

    assert done["Location"] == "/c/tiny/manage/check/"
    assert client.get("/c/tiny/").status_code == 200
    client.force_login(user_make())
    assert client.get("/c/tiny/").status_code == 404


def test_the_check_is_started_followed_and_the_competition_opened(tmp_path, client) -> None:
    competition = imported(tmp_path, opened=False)
    client.force_login(competition.owner)
    page = "/c/tiny/manage/check/"

    before = text_of(client.get(page))
    started = client.post(f"{page}start/")
    twice = client.post(f"{page}start/")
    preparing = text_of(client.get(page, headers={"HX-Request": "true"}))
    rehearsal_prepare(competition_id=competition.pk)
    running = client.get(page, headers={"HX-Request": "true"}).content.decode()
    run_everything(tmp_path / "runs")
    after = client.get(page).content.decode()
    opened = client.post("/c/tiny/manage/open/")

    assert "was not checked yet" in before
    assert (started.status_code, twice.status_code) == (302, 409)
    assert "Preparing the made-up submissions" in preparing
    assert "0 of 4 made-up submissions have ended." in running
    assert 'hx-trigger="every 3s"' in running
    assert "<html" not in running
    assert "every 3s" not in after
    assert "passed the check" in after
    assert "What participants would read" in after
    assert opened["Location"] == "/c/tiny/"
    competition.refresh_from_db()
    assert competition.opened_at is not None


def test_opening_without_a_check_asks_for_a_reason(tmp_path, client) -> None:
    competition = imported(tmp_path, opened=False)
    client.force_login(competition.owner)

    refused = client.post("/c/tiny/manage/open/", {"reason": "so so"})

    assert refused.status_code == 422
    assert 'value="so so"' in refused.content.decode()
    client.force_login(user_make())
    assert client.post("/c/tiny/manage/open/", {"reason": "I am somebody else"}).status_code == 404
    competition.refresh_from_db()
    assert competition.opened_at is None


def scored(competition: Competition, name: str, *values) -> None:
    """A run with these results: (key, value, low, high, fields)."""
    person = participation_make(competition, display_name=name)
    run = run_make(submission_make(person), status=RunStatus.SCORED)
    run_make_current(run=run)
    for position, (key, value, low, high, fields) in enumerate(values):
        found = metric(key, value, low=low, high=high, **fields)
        Result.objects.create(
            run=run, position=position, key=key, metric=found.metric, pillar=found.pillar, title=found.title,
            value=value, low=low, high=high, n=40, direction=found.direction, state=found.state, reason=found.reason,
        )  # fmt: skip
    with transaction.atomic():
        entries_update(run=run)


FAIRNESS = "fairness.accuracy_difference[sex]"


def reported() -> Competition:
    """Two that cannot be told apart and one that can, with a difference between groups and a missing value."""
    competition = competition_make(
        slug="tiny", attributes={"sex": {"privileged": "men", "unprivileged": ["women"]}},
        metrics=[{"use": "performance.accuracy"}, {"use": "performance.log_loss"},
                 {"use": "fairness.accuracy_difference", "attribute": "sex"}],
    )  # fmt: skip
    acc, loss = "performance.accuracy", "performance.log_loss"
    scored(competition, "Anna", (acc, 0.87, 0.85, 0.89, {}), (FAIRNESS, -0.04, -0.07, -0.01, {"direction": "zero"}))
    scored(competition, "Berta", (acc, 0.86, 0.84, 0.88, {}), (FAIRNESS, -0.01, -0.03, 0.02, {"direction": "zero"}))
    scored(competition, "<Carl>", (acc, 0.5, 0.4, 0.6, {}), (loss, None, None, None, {"reason": "no probabilities"}))
    return competition


def test_a_report_says_what_was_measured_in_words(client) -> None:
    competition = reported()

    answer = client.get("/c/tiny/report/main/")

    text = text_of(answer)
    assert "Anna has the best result: made the right decision for 87 of 100 (between 85 and 89)." in text
    assert "Whether Anna is better than Berta cannot be told from these data" in text
    assert "Anna is better than &lt;Carl&gt;: the difference is larger than chance explains" in text
    assert "“men” are judged rightly more often: by 4 points of 100 (between 1 and 7)" in text
    assert "whether “women” and “men” are treated differently cannot be told" in text
    assert "no probabilities" in text
    assert competition.bundle_digest in text
    assert "test: 2 items" in text
    assert "<svg" in answer.content.decode()
    assert "style=" not in answer.content.decode().partition("<article")[2]


def test_many_names_are_counted() -> None:
    assert listed(["Anna"]) == "Anna"
    assert listed(["Anna", "Berta", "Carl", "Dora"]) == "Anna, Berta, Carl and Dora"
    assert listed(["Anna", "Berta", "Carl", "Dora", "Emil"]) == "Anna, Berta, Carl and 2 others"


def test_the_pdf_can_be_read_back(client) -> None:
    reported()

    answer = client.get("/c/tiny/report/main.pdf")

    assert answer["Content-Type"] == "application/pdf"
    pdf = PdfReader(io.BytesIO(answer.content))
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Tiny tiny: report on main"
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert pdf.trailer["/Root"]["/Lang"] == "en"
    text = re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pdf.pages))
    assert "made the right decision for 87 of 100 (between 85 and 89)" in text
    assert "Whether Anna is better than Berta cannot be told from these data" in text


def test_a_report_hides_what_the_board_hides(client) -> None:
    competition = reported()
    Phase.objects.filter(competition=competition).update(feedback="none")

    hidden = [client.get(f"/c/tiny/report/main{end}").status_code for end in ("/", ".pdf")]
    client.force_login(competition.owner)

    assert hidden == [404, 404]
    assert client.get("/c/tiny/report/main/").status_code == 200


def test_hidden_labels_are_counted_for_organisers_alone(client) -> None:
    competition = reported()
    competition.splits.update(facts={"classes": {"no": 1234, "yes": 5678}})

    before = text_of(client.get("/c/tiny/report/main/"))
    client.force_login(competition.owner)
    own = text_of(client.get("/c/tiny/report/main/"))
    client.logout()
    competition.splits.update(visibility="public")
    public = text_of(client.get("/c/tiny/report/main/"))

    assert ["yes: 5 678" in text for text in (before, own, public)] == [False, True, True]


def test_a_server_without_the_library_says_so(client, monkeypatch) -> None:
    import builtins

    reported()
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("weasyprint"):
            raise OSError("cannot load library 'libpango-1.0-0'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)

    answer = client.get("/c/tiny/report/main.pdf")

    assert answer.status_code == 503
    assert "Print the page from your browser" in text_of(answer)


def test_an_export_comes_as_a_file(tmp_path, client) -> None:
    competition = imported(tmp_path, rows=8)
    client.force_login(competition.owner)

    assert "Download the bundle" in text_of(client.get("/c/tiny/manage/export/"))
    answer = client.get("/c/tiny/manage/export/bundle.zip")
    archive = b"".join(answer.streaming_content)

    assert answer["Content-Disposition"] == 'attachment; filename="tiny-v1.zip"'
    assert not competition_import(user=competition.owner, archive=io.BytesIO(archive)).changed
