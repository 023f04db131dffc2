"""Who sees what, and who takes part."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from tests.factories.server import at, competition_make, participation_make, user_make
from touchstone.competitions.models import Participation
from touchstone.competitions.selectors import (
    competition_get,
    competition_visible,
    is_organiser,
    page_get,
    phase_current,
    phase_get,
    split_download_files,
    split_file,
    split_get,
)
from touchstone.competitions.services import organiser_add, participation_invite, participation_join
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("visibility", "who", "listed", "opened"),
    [
        ("public", "stranger", True, True),
        ("public", "anonymous", True, True),
        ("unlisted", "stranger", False, True),
        ("unlisted", "anonymous", False, True),
        ("unlisted", "participant", True, True),
        ("private", "stranger", False, False),
        ("private", "anonymous", False, False),
        ("private", "participant", True, True),
        ("private", "owner", True, True),
        ("private", "organiser", True, True),
        ("private", "superuser", True, True),
    ],
)
def test_visibility(visibility, who, listed, opened) -> None:
    competition = competition_make(visibility=visibility)
    organiser = user_make()
    competition.organisers.add(organiser)
    user = {
        "stranger": user_make(), "anonymous": AnonymousUser(), "participant": participation_make(competition).user,
        "owner": competition.owner, "organiser": organiser, "superuser": user_make(is_superuser=True),
    }[who]  # fmt: skip

    assert list(competition_visible(user=user)) == ([competition] if listed else [])
    if opened:
        assert competition_get(user=user, slug=competition.slug) == competition
    else:
        with pytest.raises(NotFound):
            competition_get(user=user, slug=competition.slug)
    assert is_organiser(user=user, competition=competition) == (who in ("owner", "organiser", "superuser"))


@pytest.mark.parametrize(
    ("visibility", "seen"), [("public", ["inputs.csv", "labels.csv"]), ("inputs", ["inputs.csv"]), ("hidden", [])]
)
def test_split_files(visibility, seen) -> None:
    competition = competition_make(data={"test": {"path": "data/test", "visibility": visibility}})
    split = split_get(competition=competition, name="test")
    participant = participation_make(competition).user

    for user in (participant, None):
        assert [f["name"] for f in split_download_files(user=user, split=split)] == seen
    assert len(split_download_files(user=competition.owner, split=split)) == 2
    if "labels.csv" not in seen:
        with pytest.raises(NotFound):
            split_file(user=participant, split=split, name="labels.csv")
    with pytest.raises(NotFound):
        split_file(user=competition.owner, split=split, name="../../etc/passwd")


def test_current_phase_and_unknown_names() -> None:
    competition = competition_make(phases=[
        {"slug": "dev", "split": "test", "opens": "2026-01-01T00:00Z", "closes": "2026-02-01T00:00Z"},
        {"slug": "final", "split": "test", "opens": "2026-03-01T00:00Z"},
    ])  # fmt: skip

    def current(moment: str) -> str | None:
        phase = phase_current(competition=competition, at=at(moment))
        return phase.slug if phase else None

    assert current("2025-12-31T23:59") is None
    assert current("2026-01-01T00:00") == "dev"
    assert current("2026-02-01T00:00") is None
    assert current("2026-03-01T00:00") == "final"
    with pytest.raises(NotFound, match="no phase"):
        phase_get(competition=competition, slug="x")
    with pytest.raises(NotFound):
        page_get(competition=competition, slug="x")


def test_joining() -> None:
    competition = competition_make()
    competition.terms = "Play fair."
    competition.save()
    user = user_make("ada")

    with pytest.raises(UserError) as caught:
        participation_join(competition=competition, user=user, accept_terms=False)
    assert caught.value.fields == {"accept_terms": ["Accept the terms."]}
    made = participation_join(competition=competition, user=user, accept_terms=True)
    again = participation_join(competition=competition, user=user, accept_terms=False, display_name="Other")

    assert made == again
    assert made.display_name == "ada"


def test_names_on_the_board_are_unique() -> None:
    competition = competition_make()
    participation_join(competition=competition, user=user_make(), accept_terms=True, display_name="Team A")

    with pytest.raises(Conflict):
        participation_join(competition=competition, user=user_make(), accept_terms=True, display_name=" team a ")
    with pytest.raises(UserError):
        participation_join(competition=competition, user=user_make(), accept_terms=True, display_name="x" * 101)
    assert Participation.objects.count() == 1


def test_private_competitions_are_joined_by_invitation() -> None:
    competition = competition_make(visibility="private")
    user = user_make()

    with pytest.raises(NotFound):
        participation_join(competition=competition, user=user, accept_terms=True)
    with pytest.raises(NotAllowed):
        participation_invite(competition=competition, user=user, by=user_make())
    participation_invite(competition=competition, user=user, by=competition.owner)

    assert competition_get(user=user, slug=competition.slug) == competition


def test_organisers_appoint_organisers() -> None:
    competition = competition_make()
    user = user_make()

    with pytest.raises(NotAllowed):
        organiser_add(competition=competition, user=user, by=user)
    organiser_add(competition=competition, user=user, by=competition.owner)

    assert is_organiser(user=user, competition=competition)


def test_who_was_removed_from_a_private_competition_has_its_data_no_more() -> None:
    competition = competition_make(visibility="private")
    participation = participation_make(competition)
    public = split_get(competition=competition, name="test")
    public.visibility = "public"
    assert split_download_files(user=participation.user, split=public)
    Participation.objects.filter(pk=participation.pk).update(status="removed")
    assert not split_download_files(user=participation.user, split=public)
