"""Names and finalists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.factories.server import competition_make, participation_make, run_make, submission_make, user_make
from touchstone.competitions.models import Participation, Phase
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed
from touchstone.evaluations.models import RunStatus
from touchstone.submissions.models import Submission
from touchstone.submissions.own import finalist_choose, finals_of, submission_name

pytestmark = pytest.mark.django_db


def arena(*, begins: timedelta = timedelta(days=1), choose: int = 2, **changes: Any) -> Participation:
    """A phase that is over, and one that takes its finalists."""
    moment = now()
    over = (moment - timedelta(days=1)).isoformat()
    phases = [
        {"slug": "dev", "split": "test", "opens": "2020-01-01T00:00Z", "closes": over},
        {
            "slug": "finals", "split": "test", "opens": (moment + begins).isoformat(),
            "finalists": {"phase": "dev", "choose": choose},
        },
    ]  # fmt: skip
    kinds = {"kinds": ["predictions", "model"]}
    return participation_make(competition_make(phases=phases, submission=kinds, **changes))


def scored(who: Participation, status: RunStatus = RunStatus.SCORED, **fields: Any) -> Submission:
    submission = submission_make(
        who, Phase.objects.get(competition=who.competition, slug="dev"), kind="model", **fields
    )
    run_make(submission, status)
    return Submission.objects.select_related("phase__competition", "participation", "run").get(pk=submission.pk)


def test_finalists_are_chosen_and_undone_up_to_the_number() -> None:
    who = arena()
    one, two, three = (scored(who) for _ in range(3))

    for each in (one, one, two):
        finalist_choose(submission=each, user=who.user, chosen=True)
    with pytest.raises(Conflict) as caught:
        finalist_choose(submission=three, user=who.user, chosen=True)
    assert caught.value.code == "enough_chosen"
    finalist_choose(submission=one, user=who.user, chosen=False)
    finalist_choose(submission=three, user=who.user, chosen=True)

    assert set(Submission.objects.exclude(chosen_at=None)) == {two, three}
    (final,) = finals_of(competition=who.competition)
    assert (final.of, final.choose, final.is_open) == ("dev", 2, True)


def test_the_choice_ends_when_the_finals_begin() -> None:
    who = arena(begins=timedelta(hours=-1))
    with pytest.raises(Conflict) as caught:
        finalist_choose(submission=scored(who), user=who.user, chosen=True)
    assert caught.value.code == "choice_over"


@pytest.mark.parametrize("fields", [{"status": RunStatus.FAILED}, {"withdrawn_at": now()}])
def test_only_what_counts_can_be_chosen(fields: dict[str, Any]) -> None:
    who = arena()
    with pytest.raises(Conflict):
        finalist_choose(submission=scored(who, **fields), user=who.user, chosen=True)


def test_others_neither_choose_nor_name() -> None:
    who = arena()
    mine = scored(who)
    for user in (user_make(), who.competition.owner, participation_make(who.competition).user):
        with pytest.raises(NotAllowed):
            finalist_choose(submission=mine, user=user, chosen=True)
        with pytest.raises(NotAllowed):
            submission_name(submission=mine, user=user, name="theirs")


def test_the_api_names_and_chooses() -> None:
    who = arena()
    mine = scored(who)
    client = APIClient()
    client.force_authenticate(who.user)
    path = f"/api/v1/submissions/{mine.pk}"

    named = client.patch(path, {"name": "resnet 18", "message": "longer"}, format="json").json()
    chosen = client.put(f"{path}/finalist").json()
    undone = client.delete(f"{path}/finalist").json()
    client.force_authenticate(user_make())

    assert (named["name"], named["message"]) == ("resnet 18", "longer")
    assert chosen["chosen_at"]
    assert undone["chosen_at"] is None
    assert (
        client.put(f"{path}/finalist").status_code
        == client.patch(path, {"name": "x"}, format="json").status_code
        == 404
    )
