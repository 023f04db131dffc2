"""Who sees a competition and who may take part: opening, approval, e-mail domains, removal, invitations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress

from tests.factories.server import competition_make, phase_of, user_make
from touchstone.competitions.invitations import (
    invitation_accept,
    invitation_create,
    invitation_find,
    invitation_mail,
    invitation_revoke,
    invitations_open,
)
from touchstone.competitions.models import Competition, Invitation, Participation
from touchstone.competitions.selectors import (
    competition_get,
    competition_visible,
    downloads_allowed,
    is_organiser,
    participation_get,
    participation_need,
    participation_of,
    split_download_files,
    starting_kit,
)
from touchstone.competitions.services import participation_join
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> Any:
    return user_make("olga")


@pytest.fixture
def stan() -> Any:
    return user_make("stan")


def _confirmed(user: Any, email: str, *, verified: bool = True) -> Any:
    EmailAddress.objects.create(user=user, email=email, verified=verified)
    return type(user).objects.get(pk=user.pk)  # as the next request has them


def _join(competition: Competition, user: Any) -> Participation:
    return participation_join(competition=competition, user=user, accept_terms=True)


@pytest.mark.parametrize("visibility", ["public", "unlisted", "private"])
def test_before_it_opens_only_organisers_see_it(olga, stan, visibility: str) -> None:
    competition = competition_make(olga, slug="new", visibility=visibility)
    paul = user_make("paul")
    participation_join(competition=competition, user=olga, accept_terms=True)
    invitation_accept(secret=invitation_create(competition=competition, role="participant", by=olga)[1], user=paul)
    Competition.objects.update(opened_at=None)
    for user in (None, stan, paul):
        assert not competition_visible(user=user).exists()
        with pytest.raises(NotFound):
            competition_get(user=user, slug="new")
    for user in (olga, user_make("root", is_superuser=True)):
        assert competition_visible(user=user).exists()
        assert competition_get(user=user, slug="new") == competition


def test_where_organisers_approve_one_waits_first(olga, stan) -> None:
    competition = competition_make(olga, access={"approval": True})
    Competition.objects.update(starting_kit="0" * 64)
    competition.refresh_from_db()
    joined = _join(competition, stan)
    assert joined.status == "pending"
    assert participation_get(user=stan, competition=competition) is None
    assert participation_of(user=stan, competition=competition) == joined
    with pytest.raises(NotAllowed, match="not approved") as caught:
        participation_need(user=stan, competition=competition)
    assert caught.value.code == "pending"
    assert starting_kit(user=stan, competition=competition) is None
    assert starting_kit(user=olga, competition=competition) == "0" * 64
    Participation.objects.update(status="active")
    assert participation_need(user=stan, competition=competition) == joined
    assert starting_kit(user=stan, competition=competition) == "0" * 64
    assert _join(competition, olga).status == "active"


def test_data_of_a_gated_competition_are_for_who_takes_part(olga, stan) -> None:
    data = {"test": {"path": "data/test", "visibility": "public"}}
    competition = competition_make(olga, access={"approval": True}, data=data)
    split = phase_of(competition).split
    assert split_download_files(user=None, split=split) == []
    assert split_download_files(user=stan, split=split) == []
    assert len(split_download_files(user=olga, split=split)) == 2
    _join(competition, stan)
    assert not downloads_allowed(user=stan, competition=competition)
    Participation.objects.update(status="active")
    assert len(split_download_files(user=stan, split=split)) == 2
    free = competition_make(olga, data=data)
    assert len(split_download_files(user=None, split=phase_of(free).split)) == 2


def test_the_removed_cannot_come_back_by_joining(olga, stan) -> None:
    competition = competition_make(olga)
    _join(competition, stan)
    Participation.objects.update(status="removed", status_reason="Two accounts.")
    for act in (
        lambda: _join(competition, stan),
        lambda: participation_need(user=stan, competition=competition),
        lambda: invitation_accept(
            secret=invitation_create(competition=competition, role="participant", by=olga)[1], user=stan
        ),
    ):
        with pytest.raises(NotAllowed, match="Two accounts"):
            act()


def test_a_submission_of_who_waits_or_was_removed_is_refused(olga, stan) -> None:
    import io

    from django.core.files.base import File

    from touchstone.submissions.services import submission_create

    competition = competition_make(olga, access={"approval": True})
    phase = phase_of(competition)
    file = File(io.BytesIO(b"id,prediction\na,no\nb,yes\n"), name="p.csv")
    for status, code in ((None, "not_joined"), ("pending", "pending"), ("removed", "removed")):
        if status == "pending":
            _join(competition, stan)
        if status:
            Participation.objects.update(status=status)
        with pytest.raises(NotAllowed) as caught:
            submission_create(user=stan, phase=phase, kind="predictions", file=file)
        assert caught.value.code == code


def test_a_confirmed_address_lets_see_and_join_a_private_competition(olga, stan) -> None:
    access = {"email_domains": ["uni.example"]}
    competition = competition_make(olga, slug="ours", visibility="private", access=access)
    with pytest.raises(NotFound):
        competition_get(user=_confirmed(stan, "stan@uni.example", verified=False), slug="ours")
    with pytest.raises(NotFound):
        competition_get(user=_confirmed(stan, "stan@evil-uni.example"), slug="ours")
    vera = _confirmed(user_make("vera"), "Vera@UNI.example")
    assert competition_get(user=vera, slug="ours") == competition
    assert list(competition_visible(user=vera)) == [competition]
    assert not competition_visible(user=stan).exists()
    assert _join(competition, vera).status == "active"


def test_others_are_told_which_domains_may_join(olga, stan) -> None:
    competition = competition_make(olga, access={"email_domains": ["uni.example", "lab.example"]})
    with pytest.raises(NotAllowed, match=r"uni\.example, lab\.example") as caught:
        _join(competition, stan)
    assert caught.value.code == "email_domain"
    assert not Participation.objects.exists()


def test_an_invited_person_needs_neither_domain_nor_approval(olga, stan) -> None:
    access = {"approval": True, "email_domains": ["uni.example"]}
    competition = competition_make(olga, visibility="private", access=access)
    made, secret = invitation_create(competition=competition, role="participant", by=olga)
    assert secret not in str(vars(made))
    joined = invitation_accept(secret=secret, user=stan, display_name="Stan the Man")
    assert (joined.status, joined.display_name) == ("active", "Stan the Man")
    assert competition_get(user=stan, slug=competition.slug) == competition
    with pytest.raises(NotFound):  # it worked once
        invitation_accept(secret=secret, user=user_make("other"))


def test_an_invitation_lets_in_who_waits(olga, stan) -> None:
    competition = competition_make(olga, access={"approval": True})
    _join(competition, stan)
    _made, secret = invitation_create(competition=competition, role="participant", by=olga)
    assert invitation_accept(secret=secret, user=stan).status == "active"
    with pytest.raises(Conflict, match="already"):
        invitation_accept(secret=invitation_create(competition=competition, role="participant", by=olga)[1], user=stan)
    assert invitations_open(competition=competition, by=olga).count() == 1  # the link was not used up


def test_terms_hold_for_the_invited_too(olga, stan) -> None:
    competition = competition_make(olga)
    Competition.objects.update(terms="Be fair.")
    _made, secret = invitation_create(competition=competition, role="participant", by=olga)
    with pytest.raises(UserError, match="terms"):
        invitation_accept(secret=secret, user=stan)
    assert invitation_accept(secret=secret, user=stan, accept_terms=True).status == "active"


def test_an_organiser_by_invitation(olga, stan) -> None:
    competition = competition_make(olga)
    _made, secret = invitation_create(competition=competition, role="organiser", by=olga)
    assert invitation_accept(secret=secret, user=stan) is None
    assert is_organiser(user=stan, competition=competition)


def test_old_revoked_and_invented_links_do_not_work(olga, stan) -> None:
    competition = competition_make(olga)
    old, old_secret = invitation_create(competition=competition, role="participant", by=olga)
    Invitation.objects.filter(pk=old.pk).update(expires_at=now() - timedelta(seconds=1))
    revoked, revoked_secret = invitation_create(competition=competition, role="participant", by=olga)
    with pytest.raises(NotFound):
        invitation_revoke(invitation=revoked, by=stan)
    invitation_revoke(invitation=revoked, by=olga)
    for secret in (old_secret, revoked_secret, "x", ""):
        with pytest.raises(NotFound, match="cannot be used"):
            invitation_find(secret=secret)
    assert not invitations_open(competition=competition, by=olga).exists()


def test_who_may_invite_whom(olga, stan) -> None:
    competition = competition_make(olga)
    joined = _join(competition, stan)
    for role in ("participant", "organiser"):
        with pytest.raises(NotAllowed):
            invitation_create(competition=competition, role=role, by=stan)
    with pytest.raises(NotAllowed):
        invitation_create(competition=competition, role="teammate", by=olga, participation=joined)
    with pytest.raises(UserError, match="no role"):
        invitation_create(competition=competition, role="king", by=olga)
    with pytest.raises(UserError, match="no e-mail"):
        invitation_create(competition=competition, role="participant", by=olga, email="somebody")
    made, _secret = invitation_create(competition=competition, role="teammate", by=stan, participation=joined)
    assert made.participation == joined
    assert not invitations_open(competition=competition, by=stan).exists()
    assert not invitations_open(competition=competition, by=olga).exists()  # a team's own are not theirs


def test_links_that_wait_have_a_limit(olga, monkeypatch) -> None:
    monkeypatch.setattr("touchstone.competitions.invitations._MOST", 1)
    competition = competition_make(olga)
    invitation_create(competition=competition, role="participant", by=olga)
    with pytest.raises(Conflict, match="most"):
        invitation_create(competition=competition, role="participant", by=olga)


def test_mail_goes_to_who_is_invited_where_there_is_mail(olga, settings, mailoutbox) -> None:
    competition = competition_make(olga)
    made, _secret = invitation_create(competition=competition, role="participant", by=olga, email="a@b.example")
    link = "http://testserver/invitations/x/"
    settings.TOUCHSTONE_EMAIL_URL = ""
    assert not invitation_mail(invitation=made, link=link)
    settings.TOUCHSTONE_EMAIL_URL = "smtp://mail.example"
    assert invitation_mail(invitation=made, link=link)
    assert mailoutbox[0].to == ["a@b.example"]
    assert link in mailoutbox[0].body


def test_every_act_is_on_the_record(olga, stan) -> None:
    from touchstone.audit.models import AuditEntry

    competition = competition_make(olga)
    _made, secret = invitation_create(competition=competition, role="participant", by=olga, email="a@b.example")
    invitation_accept(secret=secret, user=stan)
    other, _secret = invitation_create(competition=competition, role="organiser", by=olga)
    invitation_revoke(invitation=other, by=olga)
    acts = list(AuditEntry.objects.order_by("sequence").values_list("act", flat=True))
    assert acts == [
        "invitation.create", "participation.create", "invitation.accept", "invitation.create", "invitation.revoke",
    ]  # fmt: skip
    assert "a@b.example" not in str(list(AuditEntry.objects.values_list("data", flat=True)))


def test_who_waits_pushes_no_image(olga, stan, settings) -> None:
    from touchstone.registry.selectors import push_place

    settings.TOUCHSTONE_REGISTRY_HOST = "127.0.0.1:5000"
    more = {"submission": {"kinds": ["container"]}, "input": {"kind": "tabular", "shape": [1], "features": ["a"]}}
    competition = competition_make(olga, access={"approval": True}, **more)
    joined = _join(competition, stan)
    assert "not approved" in push_place(participation=joined).why_not
    joined.status = Participation.Status.ACTIVE
    assert push_place(participation=joined).why_not == ""


def test_what_was_accepted_is_not_revoked(olga, stan) -> None:
    competition = competition_make(olga)
    made, secret = invitation_create(competition=competition, role="participant", by=olga)
    invitation_accept(secret=secret, user=stan)
    with pytest.raises(Conflict, match="accepted already"):
        invitation_revoke(invitation=made, by=olga)


def test_a_team_mate_by_link_must_be_of_a_domain_that_may_take_part(olga, stan) -> None:
    competition = competition_make(olga, access={"email_domains": ["uni.example"]}, teams={"members": 3})
    vera = _confirmed(user_make("vera"), "vera@uni.example")
    team = _join(competition, vera)
    _made, secret = invitation_create(competition=competition, role="teammate", by=vera, participation=team)
    with pytest.raises(NotAllowed, match=r"uni\.example"):
        invitation_accept(secret=secret, user=stan)
    carl = _confirmed(user_make("carl"), "carl@uni.example")
    assert invitation_accept(secret=secret, user=carl) == team
    assert participation_get(user=carl, competition=competition) == team
