"""Withdrawing and evaluating again, by a program."""

from __future__ import annotations

from rest_framework.test import APIClient

from runners.contract import RunResult, Verdict
from tests.unit.api.api_helpers import accuracy, client_for, submit
from touchstone.competitions.freezing import phase_freeze
from touchstone.competitions.models import Competition, Phase
from touchstone.evaluations.models import Node, RunStatus
from touchstone.evaluations.services import result_accept, run_claim

RERUNS = "/api/v1/competitions/small/reruns"


def test_withdrawing(participant: APIClient, stranger: APIClient, organiser: APIClient, score) -> None:
    made = submit(participant).json()["id"]
    score(made)
    address = f"/api/v1/submissions/{made}/withdraw"
    assert stranger.post(address).status_code == 404
    assert organiser.post(address, {}, format="json").json()["code"] == "reason"

    body = organiser.post(address, {"reason": "A copy."}, format="json").json()

    assert (body["withdrawn_reason"], body["status"]) == ("A copy.", "scored")
    assert participant.post(address, {}, format="json").json()["withdrawn_reason"] == "A copy."
    board = participant.get("/api/v1/competitions/small/leaderboards/now/main").json()
    assert board["total"] == 0


def test_evaluating_again(participant: APIClient, organiser: APIClient, node: Node, score) -> None:
    made = submit(participant).json()["id"]
    score(made)
    again = {"reason": "A metric was mended.", "submissions": [made]}
    assert participant.post(RERUNS, again, format="json").status_code == 403
    assert organiser.post(RERUNS, {"reason": "x"}, format="json").status_code == 400
    assert organiser.post(RERUNS, {**again, "phase": "now"}, format="json").status_code == 400

    answer = organiser.post(RERUNS, again, format="json")

    assert answer.status_code == 201
    assert (answer.json()["total"], answer.json()["open"]) == (1, 1)
    assert participant.get(f"/api/v1/submissions/{made}").json()["status"] == RunStatus.SCORED
    spec = run_claim(node=node, queue="cpu", kinds=["predictions"])
    report = RunResult(run=spec.run, attempt=spec.attempt, verdict=Verdict.OK, results=(accuracy(0.5),))
    result_accept(node=node, result=report)
    body = organiser.get(answer["Location"]).json()
    assert (body["scored"], body["over"]) == (1, True)
    (found,) = participant.get(f"/api/v1/submissions/{made}/results").json()["items"]
    assert found["value"] == 0.5
    none = organiser.post(RERUNS, {"reason": "x", "before_version": 1}, format="json")
    assert none.status_code == 409
    assert organiser.post(RERUNS, {"reason": "x", "metric": "none.such"}, format="json").status_code == 404


def test_a_frozen_phase_says_so(participant: APIClient, small: Competition) -> None:
    phase = Phase.objects.get(competition=small, slug="now")
    phase_freeze(phase=phase, by=small.owner, reason="Labels are checked.")
    body = next(p for p in participant.get("/api/v1/competitions/small").json()["phases"] if p["slug"] == "now")
    assert body["frozen_at"]
    assert body["frozen_reason"] == "Labels are checked."
    answer = submit(client_for(participant_user(small)))
    assert (answer.status_code, answer.json()["code"]) == (400, "phase_frozen")
    assert "Labels are checked." in answer.json()["detail"]


def participant_user(competition: Competition):
    return competition.participations.get().user
