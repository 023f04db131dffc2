"""One's own submissions: the list, names, finalists, and two side by side."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories.server import participation_make, run_make, submission_make
from tests.unit.web.conftest import score
from touchstone.competitions.models import Phase
from touchstone.core.clock import now
from touchstone.evaluations.models import RunStatus
from touchstone.submissions.models import Submission

LIST = "/c/open-one/submissions/"


def another(world, **fields) -> Submission:
    phase = Phase.objects.get(competition=world.public, slug="main")
    return submission_make(world.participation, phase, **fields)


@pytest.fixture
def two(world) -> Submission:
    """A second one of the participant, scored lower."""
    second = another(world, name="Second", message="smaller")
    score(run_make(second), 0.8)
    return second


def test_the_list_has_names_and_scores(world, two) -> None:
    html = world.client("participant").get(LIST).content.decode()
    assert ">Second</a>" in html
    assert "0.873" in html
    assert "[0.861, 0.884]" in html


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=second", 1), ("q=nothing", 0), ("state=scored", 2), ("state=refused", 0), ("phase=warm-up", 0),
        ("kind=model", 0), ("state=none&phase=none&sort=none", 2),
    ],
)  # fmt: skip
def test_filters(world, two, query: str, count: int) -> None:
    response = world.client("participant").get(f"{LIST}?{query}")
    assert len(response.context["rows"]) == count
    assert ("Nothing fits these filters" in response.content.decode()) == (count == 0)


def test_order(world, two) -> None:
    def first(query: str) -> str:
        return str(world.client("participant").get(f"{LIST}?{query}").context["rows"][0].submission.pk)

    assert first("") == str(two.pk)
    assert first("sort=oldest") == str(world.run.submission_id)


def test_the_list_asks_as_often_for_many_as_for_one(world, django_assert_max_num_queries) -> None:
    client = world.client("participant")
    client.get(LIST)
    with django_assert_max_num_queries(20) as few:
        client.get(LIST)
    for _ in range(4):
        run_make(another(world), RunStatus.SCORED)
    with django_assert_max_num_queries(len(few)):
        client.get(LIST)


def test_scores_that_are_not_told_are_not_in_the_list(world) -> None:
    Phase.objects.filter(competition=world.public, slug="main").update(feedback="none")
    assert "0.873" not in world.client("participant").get(LIST).content.decode()


def test_a_name_is_given_and_kept(world) -> None:
    path = f"/s/{world.run.submission_id}/"
    paul = world.client("participant")
    assert paul.post(f"{path}name/", {"name": "Best <one>", "message": "why"})["Location"] == path
    html = paul.get(path).content.decode()
    assert "Best &lt;one&gt;" in html
    assert world.client("stranger").post(f"{path}name/", {"name": "x"}).status_code == 404
    assert world.client("organiser").post(f"{path}name/", {"name": "x"}).status_code == 403
    assert paul.post(f"{path}name/", {"name": "y", "next": "https://evil.example/"})["Location"] == path


def test_finalists_are_chosen_in_the_list_and_on_the_page(world) -> None:
    spec = world.public.spec
    spec["phases"][2]["finalists"] = {"phase": "main", "choose": 1}
    world.public.save()
    paul = world.client("participant")
    path = f"/s/{world.run.submission_id}/"
    assert "Make finalist" in paul.get(LIST).content.decode()
    assert "Make it a finalist" in paul.get(path).content.decode()

    paul.post(f"{path}finalist/", {"chosen": "1", "next": LIST})
    assert "<strong>1</strong> of 1 chosen" in paul.get(LIST).content.decode()
    paul.post(f"{path}finalist/", {"chosen": "0"})
    assert Submission.objects.get(pk=world.run.submission_id).chosen_at is None
    Phase.objects.filter(competition=world.public, slug="later").update(opens=now() - timedelta(minutes=1))
    assert "The choice is over" in paul.get(LIST).content.decode()
    answer = paul.post(f"{path}finalist/", {"chosen": "1"}, follow=True).content.decode()
    assert "the choice is over" in answer


def test_two_side_by_side(world, two) -> None:
    query = f"s={two.pk}&s={world.run.submission_id}&s={two.pk}"
    response = world.client("participant").get(f"{LIST}compare/?{query}")
    html = response.content.decode()
    assert [str(each.pk) for each in response.context["chosen"]] == [str(world.run.submission_id), str(two.pk)]
    accuracy = next(row for row in response.context["rows"] if row.key == "performance.accuracy")
    assert (accuracy.cells[0].change, accuracy.cells[1].change, accuracy.cells[1].tone) == ("", "−0.073", "worse")
    loss = next(row for row in response.context["rows"] if row.key == "performance.log_loss")
    assert loss.cells[1].word == "the same"
    assert "a prediction file cannot be queried" in html


def test_nobody_compares_what_is_not_theirs(world, two) -> None:
    theirs = submission_make(participation_make(world.public), Phase.objects.get(competition=world.public, slug="main"))
    run_make(theirs, RunStatus.SCORED)
    response = world.client("participant").get(f"{LIST}compare/?s={theirs.pk}&s={two.pk}&s=nonsense")
    assert [each.pk for each in response.context["chosen"]] == [two.pk]
    assert "Choose two to four" in response.content.decode()
    assert world.client("stranger").get(f"{LIST}compare/?s={two.pk}").context["chosen"] == []
