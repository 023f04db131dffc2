"""What organisers run a competition with, as they meet it."""

from __future__ import annotations

import base64
import re
from smtplib import SMTPRecipientsRefused

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories.reruns import evaluate
from tests.factories.server import competition_make, participation_make, run_make, submission_make, user_make
from tests.factories.world import score
from touchstone.competitions.models import Announcement, Participation, Phase
from touchstone.core.clock import now
from touchstone.evaluations.models import Node, Rerun, RunStatus
from touchstone.submissions.models import Submission

MANAGE = "/c/open-one/manage/"


@pytest.fixture
def client(world):
    return world.client("organiser")


def html(response, status: int = 200) -> str:
    assert response.status_code == status, response.content.decode()[:2000]
    return response.content.decode()


def another(world, **fields) -> Submission:
    """One more submission, by somebody new."""
    participation = participation_make(world.public, user_make())
    phase = Phase.objects.get(competition=world.public, slug="main")
    return submission_make(participation, phase, **fields)


def failed(world, code: str = "too_slow") -> Submission:
    submission = another(world)
    run_make(submission, RunStatus.FAILED, verdict="timeout", code=code, message="41 s", finished_at=now())
    return submission


def test_the_dashboard_says_how_it_goes(world, client) -> None:
    failed(world)
    run_make(another(world))
    Participation.objects.filter(user=world.participant, competition=world.public).update(status="pending")

    Node.objects.update(disabled_at=now())
    text = html(client.get(MANAGE))

    assert "waits for your approval" in text
    assert "too_slow" in text
    assert "41 s" in text
    assert "give more time in the rules" in text
    assert re.search(r"Waiting now</dt><dd>1<", text)
    assert "Submissions a day" in text
    assert "3 submissions in the last 60 days" in text
    assert "What is sent waits." in text, "no node takes a container"


def test_the_dashboard_takes_as_many_queries_for_many_as_for_few(world, client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            html(client.get(MANAGE))
        return len(seen)

    few = queries()
    for _ in range(4):
        failed(world, code=f"code_{_}")
        run_make(another(world))
    assert queries() == few
    assert few <= 22, few


def test_submissions_are_filtered_sorted_and_paged_by_the_address(world, client, monkeypatch) -> None:
    monkeypatch.setattr("touchstone.web.views.manage.submissions._PAGE", 2)
    slow = failed(world)
    others = [another(world, message=f"try {n}") for n in range(3)]
    for each in others:
        run_make(each)
    page = f"{MANAGE}submissions/"

    text = html(client.get(page, {"status": "failed", "sort": "participant"}))
    assert str(slow.pk) in text
    assert str(world.run.submission_id) not in text
    assert "1 submission<" in text
    assert str(others[1].pk) in html(client.get(page, {"q": "try 1"}))
    assert "Nothing matches this filter" in html(client.get(page, {"q": "nobody wrote this"}))
    assert str(slow.pk) in html(client.get(page, {"q": str(slow.pk)}))
    assert "Nothing matches" in html(client.get(page, {"until": "2001-01-01"}))
    found, address = [], "?sort=submitted"
    while address:
        text = html(client.get(page + address))
        found += re.findall(r'name="s" value="([^"]+)"', text)
        more = re.search(r'href="(\?[^"]+)">Next page', text)
        address = more.group(1).replace("&amp;", "&") if more else ""
    assert found == [str(pk) for pk in Submission.objects.order_by("created_at").values_list("pk", flat=True)]
    assert client.get(page, {"after": "rubbish"}).status_code == 400


def test_the_file_of_submissions_is_what_the_filter_finds(world, client) -> None:
    slow = failed(world)
    Submission.objects.filter(pk=slow.pk).update(message="=1+1")
    text = b"".join(client.get(f"{MANAGE}submissions.csv", {"status": "failed"}).streaming_content).decode()
    lines = text.splitlines()
    assert lines[0].startswith("id,submitted_at,participant")
    assert len(lines) == 2
    assert str(slow.pk) in lines[1]
    assert "'=1+1" in lines[1]


def test_chosen_ones_are_evaluated_again_after_a_question(world, client) -> None:
    page = f"{MANAGE}submissions/rerun/?s={world.run.submission_id}"
    text = html(client.get(page))
    assert "Evaluate 1 submission again" in text
    assert "Roughly this much work" in text
    assert "Say why" in html(client.post(page, {"reason": ""}), 422)
    assert not Rerun.objects.exists()

    response = client.post(page, {"reason": "The log loss was wrong."})

    rerun = Rerun.objects.get()
    assert response["Location"] == f"{MANAGE}reruns/{rerun.pk}/"
    text = html(client.get(response["Location"]))
    assert "0 of 1 done" in text
    assert 'hx-trigger="every 3s"' in text
    assert "being evaluated again" in html(client.get(f"{MANAGE}submissions/"))
    own = world.client("participant")
    assert "The organisers say why: The log loss was wrong." in html(own.get(f"/s/{world.run.submission_id}/"))
    score(rerun.runs.get(), value=0.9)
    assert "1 of 1 done" in html(client.get(response["Location"]))
    text = html(own.get(f"/s/{world.run.submission_id}/"))
    assert "Earlier results" in text
    assert "+0.027" in text


def test_all_that_were_scored_before_are_counted_first(world, client) -> None:
    failed(world)
    assert "Evaluate 1 submission again" in html(client.get(f"{MANAGE}submissions/rerun/?before=2"))
    assert "Evaluate 2 submissions again" in html(client.get(f"{MANAGE}submissions/rerun/?all=1"))
    assert "Evaluate 1 submission again" in html(client.get(f"{MANAGE}submissions/rerun/?all=1&status=failed"))
    text = html(client.get(f"{MANAGE}submissions/rerun/?metric=performance.log_loss"))
    assert "There is nothing to do this with" in text
    assert client.get(f"{MANAGE}submissions/rerun/?metric=none.such").status_code == 404
    foreign = submission_make(Participation.objects.get(competition=world.private, user=world.participant))
    assert "nothing to do this with" in html(client.get(f"{MANAGE}submissions/rerun/?s={foreign.pk}"))


def test_withdrawing_and_cancelling_ask_first(world, client) -> None:
    waiting = another(world)
    run = run_make(waiting)
    assert "cannot be undone" in html(client.get(f"{MANAGE}submissions/withdraw/?s={world.run.submission_id}"))
    assert client.post(f"{MANAGE}submissions/cancel/?s={waiting.pk}").status_code == 302
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    page = f"{MANAGE}submissions/withdraw/?s={world.run.submission_id}"
    assert client.post(page, {"reason": "A copy."}).status_code == 302
    text = html(world.client("participant").get(f"/s/{world.run.submission_id}/"))
    assert "by the organisers: A copy." in text


def test_a_participant_withdraws_their_own(world) -> None:
    page = f"/s/{world.run.submission_id}/withdraw/"
    client = world.client("participant")
    assert "It may be empty" in html(client.get(page))
    assert client.post(page, {"reason": ""}).status_code == 302
    assert Submission.objects.get(pk=world.run.submission_id).withdrawn_by == world.participant
    assert client.get(page).status_code == 302, "once is enough"
    assert world.client("stranger").post(page).status_code == 404


def test_participants_are_found_removed_and_put_back(world, client) -> None:
    row = Participation.objects.get(competition=world.public, user=world.participant)
    text = html(client.get(f"{MANAGE}participants/", {"q": "paul"}))
    assert "Team &lt;b&gt;Paul&lt;/b&gt;" in text
    assert "Nobody matches" in html(client.get(f"{MANAGE}participants/", {"status": "removed"}))
    page = f"{MANAGE}participants/{row.pk}/remove/"
    assert "What they sent stays" in html(client.get(page))
    assert "Say why" in html(client.post(page, {"reason": ""}), 422)
    assert client.post(page, {"reason": "Two accounts."}).status_code == 302
    row.refresh_from_db()
    assert (row.status, row.status_reason) == ("removed", "Two accounts.")
    assert "removed now" in html(client.post(page, {"reason": "Again."}), 422)
    assert client.post(f"{MANAGE}participants/{row.pk}/restore/").status_code == 302
    row.refresh_from_db()
    assert (row.status, row.status_reason) == ("active", "")
    Participation.objects.filter(pk=row.pk).update(status="pending")
    assert client.post(f"{MANAGE}participants/{row.pk}/approve/").status_code == 302
    row.refresh_from_db()
    assert row.status == "active"
    assert client.get(f"{MANAGE}participants/{row.pk}/eat/").status_code == 404


def test_the_file_of_participants_has_no_addresses(world, client) -> None:
    text = b"".join(client.get(f"{MANAGE}participants.csv").streaming_content).decode()
    assert "paul" in text
    assert "@" not in text


def test_announcements_reach_whom_they_are_for(world, client) -> None:
    page = f"{MANAGE}announcements/"
    form = {"title": "New data", "markdown": "**Look**", "audience": "participants"}
    assert "<strong>Look</strong>" in html(client.post(page, {**form, "preview": "1"}))
    assert not Announcement.objects.exists()
    assert "This field is required" in html(client.post(page, {**form, "title": ""}), 422)
    assert client.post(page, form).status_code == 302
    own = Participation.objects.get(competition=world.public, user=world.participant)
    assert client.post(f"{page}?to={own.pk}", {"title": "You alone", "markdown": "Hello"}).status_code == 302

    there = "/c/open-one/announcements/"
    assert "New data" not in html(world.client("stranger").get(there))
    participant = world.client("participant")
    assert "2 new" in html(participant.get("/c/open-one/"))
    text = html(participant.get(there))
    assert "New data" in text
    assert "You alone" in text
    assert "2 new" not in html(participant.get("/c/open-one/"))
    other = another(world).participation.user
    stranger = world.client("anonymous")
    stranger.force_login(other)
    text = html(stranger.get(there))
    assert "New data" in text
    assert "You alone" not in text
    Participation.objects.filter(user=other).update(status="pending")
    assert "New data" not in html(stranger.get(there))  # whoever asks to take part reads nothing by that
    first = Announcement.objects.get(title="New data")
    assert client.post(f"{page}{first.pk}/withdraw/").status_code == 302
    assert "New data" not in html(participant.get(there))


def test_mail_goes_to_each_alone(world, client, settings, django_capture_on_commit_callbacks) -> None:
    from touchstone.competitions.announcing import announcement_mail

    settings.TOUCHSTONE_EMAIL_URL = "smtp://localhost"
    other = another(world).participation.user
    form = {"title": "Closing soon", "markdown": "Hurry", "audience": "everybody", "mail": "on"}
    assert client.post(f"{MANAGE}announcements/", form).status_code == 302
    row = Announcement.objects.get()
    announcement_mail(announcement_id=row.pk)
    announcement_mail(announcement_id=row.pk)  # a doubled task
    sent = {tuple(message.to) for message in mail.outbox}
    assert {(world.participant.email,), (other.email,)} <= sent
    assert len(mail.outbox) == len(sent)
    assert all(len(message.recipients()) == 1 for message in mail.outbox)
    row.refresh_from_db()
    assert row.mailed_at is not None


def test_one_refused_address_keeps_no_other_mail_waiting(world, client, settings, monkeypatch) -> None:
    from touchstone.competitions.announcing import announcement_mail

    settings.TOUCHSTONE_EMAIL_URL = "smtp://localhost"
    other = another(world).participation.user
    first, second = sorted((world.participant, other), key=lambda user: user.pk)
    whole = mail.EmailMessage.send

    def refusing(message, *args, **options) -> int:
        if message.to == [first.email]:
            raise SMTPRecipientsRefused({first.email: (550, b"no such user")})
        return whole(message, *args, **options)

    monkeypatch.setattr(mail.EmailMessage, "send", refusing)
    form = {"title": "Closing soon", "markdown": "Hurry", "audience": "everybody", "mail": "on"}
    assert client.post(f"{MANAGE}announcements/", form).status_code == 302
    row = Announcement.objects.get()
    announcement_mail(announcement_id=row.pk)

    to = [message.to for message in mail.outbox]
    assert [second.email] in to
    assert [first.email] not in to
    row.refresh_from_db()
    assert row.mailed_at is not None


def test_a_frozen_phase_says_so_everywhere(world, client) -> None:
    page = f"{MANAGE}phases/main/freeze/"
    assert client.post(page, {"reason": ""}).status_code == 422
    assert client.post(page, {"reason": "A label is wrong."}).status_code == 302
    for address in ("/c/open-one/", "/c/open-one/data/", "/c/open-one/leaderboard/main/main/"):
        text = html(world.client("stranger").get(address))
        assert "Main phase is frozen" in text
        assert "A label is wrong." in text
    assert "takes submissions again" in html(client.get(page))
    assert client.post(page).status_code == 302
    assert "is frozen" not in html(client.get("/c/open-one/"))


def test_the_final_ranking_from_the_page(world, client) -> None:
    opens = "2020-01-01T00:00Z"
    made = competition_make(
        world.organiser,
        slug="with-finals",
        input={"kind": "tabular", "shape": [1], "features": ["a"]},
        submission={"kinds": ["predictions", "code"]},
        phases=[
            {"slug": "first", "split": "test", "opens": opens},
            {"slug": "last", "split": "test", "opens": opens, "finalists": {"phase": "first"}},
        ],
    )
    page = "/c/with-finals/manage/phases/last/finals/"
    assert "No finalists yet" in html(client.get(page))
    for kind in ("code", "predictions"):
        submission = submission_make(participation_make(made), made.phases.get(slug="first"), kind=kind)
        run_make(submission)
        evaluate(0.5)
    text = html(client.get(page))
    assert "1 finalist is a file of predictions" in text
    assert "Publish the ranking" not in text
    assert client.post(page, {"act": "start"}).status_code == 302
    assert "hx-select" in html(client.get(page)), "it follows the runs"
    assert client.post(page, {"act": "publish"}).status_code == 409
    evaluate(0.4)
    text = html(client.get(page))
    assert "Publish the ranking…" in text
    assert "cannot be hidden again" in html(client.get(page, {"publish": "1"}))
    board = "/c/with-finals/leaderboard/last/main/"
    assert "0.400" not in html(world.client("anonymous").get(board))
    assert client.post(page, {"act": "publish"}).status_code == 302
    assert "0.400" in html(world.client("anonymous").get(board))


def test_the_walk_of_the_menu(world, client) -> None:
    text = html(client.get(MANAGE))
    menu = text[text.index("manage-menu") : text.index("manage-main")]
    for address in re.findall(r'<a href="([^"]+)"', menu):
        assert client.get(address).status_code == 200, address


@pytest.mark.parametrize("cursor", ['["x","y"]', '[1,"y"]', '[1e400,"1"]', '["9999-99-99","1"]'])
def test_a_place_in_a_list_that_is_none_is_refused(client, cursor: str) -> None:
    after = base64.urlsafe_b64encode(cursor.encode()).decode()
    for sort in ("submitted", "participant", "phase"):
        assert client.get(f"{MANAGE}submissions/", {"sort": sort, "after": after}).status_code == 400


def test_the_last_day_that_there_is(client) -> None:
    assert "first try" in html(client.get(f"{MANAGE}submissions/", {"until": "9999-12-31"}))
    for before in ("²", "9" * 5000):  # nor is every digit a number
        html(client.get(f"{MANAGE}submissions/rerun/", {"before": before}))


def test_what_is_not_opened_does_not_call_itself_open(world) -> None:
    client = world.client("organiser")
    said = "Not open yet: only organisers see it"
    for page in ("/c/sealed-one/", "/"):
        assert said in html(client.get(page))
    assert said not in html(client.get("/c/open-one/"))
