"""What the web can do, by the interface: people, teams, phases, drafts, boards."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, problem, submit
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Participation

pytestmark = pytest.mark.django_db
C = "/api/v1/competitions/small"


def post(client: APIClient, address: str, status: int = 200, **body: object) -> dict[str, object]:
    answer = client.post(address, body, format="json")
    assert answer.status_code == status, answer.content
    return dict(answer.json()) if answer.content else {}


def test_an_organiser_decides_who_takes_part(organiser: APIClient, participant: APIClient, paula: User) -> None:
    name = organiser.get(f"{C}/participants").json()["items"][0]["name"]
    address = f"{C}/participants/decision"
    problem(organiser.post(address, {"participant": name, "decision": "remove"}, format="json"), 400, "reason")
    told = post(organiser, address, participant=name, decision="remove", reason="A second account.")
    assert (told["status"], told["reason"]) == ("removed", "A second account.")
    problem(submit(participant), 403, "removed")
    assert organiser.get(f"{C}/participants", {"status": "active"}).json()["items"] == []
    post(organiser, address, participant=name.upper(), decision="restore")
    assert submit(participant).status_code == 201
    problem(participant.get(f"{C}/participants"), 404, "not_found")


def test_news_are_counted_until_they_are_read(organiser: APIClient, participant: APIClient) -> None:
    made = post(organiser, f"{C}/announcements", 201, title="Hello", markdown="There.", audience="participants")
    assert participant.get("/api/v1/me/news").json() == {"items": [{"competition": "small", "unread": 1}]}
    post(participant, f"{C}/announcements/read", 204)
    assert participant.get("/api/v1/me/news").json() == {"items": []}
    assert post(organiser, f"{C}/announcements/{made['id']}/withdraw")["withdrawn_at"]
    assert participant.get(f"{C}/announcements").json()["items"] == []


def test_a_frozen_phase_takes_nothing(organiser: APIClient, participant: APIClient) -> None:
    frozen = organiser.put(f"{C}/phases/now/freeze", {"reason": "A wrong label."}, format="json").json()
    assert frozen["frozen_reason"] == "A wrong label."
    problem(submit(participant), 400, "phase_frozen")
    assert organiser.delete(f"{C}/phases/now/freeze").json()["frozen_at"] is None
    assert submit(participant).status_code == 201


def test_an_invitation_leads_in(organiser: APIClient, stranger: APIClient, anna: User, small: Competition) -> None:
    made = post(organiser, f"{C}/invitations", 201, role="participant")
    secret = str(made["link"]).rstrip("/").rpartition("/")[2]
    assert [one["id"] for one in organiser.get(f"{C}/invitations").json()["items"]] == [made["id"]]
    body = {"secret": secret, "accept_terms": True}
    assert post(stranger, "/api/v1/invitations/accept", **body)["role"] == "participant"
    assert Participation.objects.filter(competition=small, user=anna).exists()
    problem(stranger.post("/api/v1/invitations/accept", body, format="json"), 404, "not_found")
    problem(organiser.delete(f"{C}/invitations/{made['id']}"), 404, "not_found")


def test_one_renames_oneself_and_leaves_no_team_of_one(participant: APIClient) -> None:
    assert participant.patch(f"{C}/team", {"name": "Loom"}, format="json").json()["name"] == "Loom"
    team = participant.get(f"{C}/team").json()
    assert [(one["username"], one["speaks"]) for one in team["members"]] == [("paula", True)]
    problem(participant.post(f"{C}/team/members", {"act": "leave"}, format="json"), 409, "only_member")


def test_a_draft_is_written_by_two_and_nothing_is_lost(organiser: APIClient, paula: User, small: Competition) -> None:
    draft = post(organiser, "/api/v1/drafts", 201, competition="small")
    place = f"/api/v1/drafts/{draft['id']}"
    mate = client_for(paula)
    problem(mate.get(place), 404, "not_found")
    assert organiser.put(f"{place}/editors", {"username": "paula"}, format="json").json()["editors"] == ["paula"]
    about = mate.get(f"{place}/sections/about").json()
    mine, theirs = ({"body": {**about["body"], "summary": text}, "version": about["version"]} for text in ("a", "b"))
    assert mate.put(f"{place}/sections/about", mine, format="json").json()["version"] == about["version"] + 1
    problem(organiser.put(f"{place}/sections/about", theirs, format="json"), 409, "section_conflict")
    undone = {"version": about["version"] + 1}
    assert post(organiser, f"{place}/sections/about/undo", **undone)["body"] == about["body"]
    assert {step["state"] for step in organiser.get(place).json()["steps"]} <= {"complete", "empty"}
    problem(mate.delete(place), 403, "not_allowed")
    assert organiser.delete(place).status_code == 204


def test_a_view_of_a_board_is_kept(participant: APIClient, anyone: APIClient, score: object) -> None:
    made = submit(participant).json()["id"]
    score(made)  # type: ignore[operator]
    board = f"{C}/leaderboards/now/main"
    kept = participant.post(f"{board}/snapshots", {"sort": "rank"}, format="json")
    assert kept.status_code == 201
    shown = anyone.get(kept["Location"]).json()
    assert (shown["rows"][0]["entry"], shown["changed"]) == (made, False)
    assert anyone.get(f"{C}/entries/{made}").json()["places"][0]["rank_best"] == 1
    assert anyone.get(f"{board}/history").json()["items"][0]["value"] == 0.75
    parquet = anyone.get(f"{board}/parquet")
    assert b"".join(parquet.streaming_content)[:4] == b"PAR1"
    for name, value, found in (("kind", "model", []), ("who", "baselines", []), ("kind", "predictions", [made])):
        rows = anyone.get(board, {name: value}).json()["rows"]
        assert [row["entry"] for row in rows] == found
    mine = "/api/v1/submissions"
    assert participant.get(mine, {"status": "scored", "phase": "now"}).json()["items"][0]["id"] == made
    assert participant.get(mine, {"status": "failed"}).json()["items"] == []
