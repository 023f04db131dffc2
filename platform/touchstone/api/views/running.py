"""What a program needs of running a competition: withdrawing a submission, and having some evaluated again."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import job_refuse
from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.idempotency import KEY, idempotent
from touchstone.api.outputs import SubmissionDetailOut
from touchstone.api.schema import operation
from touchstone.api.views.submissions import detail
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import competition_get, is_organiser
from touchstone.core.errors import NotAllowed
from touchstone.evaluations.models import Rerun
from touchstone.evaluations.rerun_selectors import (
    Progress,
    rerun_get,
    rerun_progress,
    reruns_of,
    scored_before,
    scored_otherwise,
)
from touchstone.evaluations.services import submission_rerun
from touchstone.submissions.models import Submission
from touchstone.submissions.searching import SubmissionFilter, submissions_search
from touchstone.submissions.selectors import submission_get
from touchstone.submissions.withdrawing import submission_withdraw


class RerunOut(serializers.Serializer[Any]):
    """Submissions that are evaluated again, and how far that is."""

    id = serializers.UUIDField()
    competition = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    total = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="Not begun yet.")
    open = serializers.IntegerField(help_text="In the queue, or running.")
    scored = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Ended without a score: the old result stays.")
    skipped = serializers.IntegerField(help_text="Withdrawn, or a run was under way.")
    over = serializers.BooleanField()


class RerunPageOut(serializers.Serializer[Any]):
    items = RerunOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


def _answer(rerun: Rerun) -> Any:
    return RerunOut(_rerun_dict(rerun, rerun_progress(reruns=[rerun])[rerun.pk])).data


def _rerun_dict(rerun: Rerun, progress: Progress) -> dict[str, Any]:
    names = ("total", "waiting", "open", "scored", "failed", "skipped", "over")
    return {
        "id": rerun.pk,
        "competition": rerun.competition.slug,
        "reason": rerun.reason,
        "created_at": rerun.created_at,
        **{name: getattr(progress, name) for name in names},
    }


class SubmissionWithdraw(ApiView):
    """Taking a submission back."""

    tag = "submissions"
    scopes = {"POST": "submit"}

    class Input(Strict):
        """Why; organisers must say."""

        reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)

    @operation(
        operation_id="submissions_withdraw",
        summary="Withdraw",
        description="It leaves the ranking and the next best of its participant takes its place; a tombstone stays, "
        "and so does the artifact. It cannot be undone. Withdrawing again changes nothing.",
        request=Input,
        responses=SubmissionDetailOut,
    )
    def post(self, request: Request, submission: uuid.UUID) -> Response:
        job_refuse(request, "withdrawing is final, and for a person")
        found = submission_get(user=request.user, id=submission)
        reason = self.body(request, self.Input)["reason"]
        submission_withdraw(submission=found, by=request.user, reason=reason)
        return Response(detail(submission_get(user=request.user, id=submission), request))


class Reruns(ApiView):
    """Having submissions evaluated again."""

    tag = "competitions"
    scopes = {"GET": "organise", "POST": "organise"}
    costly = {"POST"}

    class Input(Strict):
        """Exactly one of `submissions`, `phase`, `before_version` and `metric` says which."""

        reason = serializers.CharField(max_length=500, help_text="Participants read it.")
        submissions = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)
        phase = serializers.SlugField(required=False, help_text="All of a phase.")
        before_version = serializers.IntegerField(
            required=False,
            min_value=1,
            max_value=2**31 - 1,
            help_text="All that were scored by an older version of the competition.",
        )
        metric = serializers.CharField(
            required=False, max_length=200, help_text="All that were scored before this metric was changed."
        )

        def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
            given = {"submissions", "phase", "before_version", "metric"} & set(attrs)
            if len(given) != 1:
                raise serializers.ValidationError("Say which: one of submissions, phase, before_version, metric.")
            return attrs

    @operation(
        operation_id="competitions_reruns",
        summary="What was evaluated again, and how far that is",
        description="Newest first. For organisers.",
        parameters=[PageQuery],
        responses=RerunPageOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        found = reruns_of(competition=_organised(request, slug))
        rows, following = page_of(found, key="pk", **self.query(request, PageQuery))
        progress = rerun_progress(reruns=rows)
        items = [_rerun_dict(row, progress[row.pk]) for row in rows]
        return Response(RerunPageOut({"items": items, "next": following}).data)

    @operation(
        operation_id="competitions_rerun",
        summary="Evaluate submissions again",
        description="With the seed that they had, at nobody's quota, behind what participants sent. A scored "
        "submission keeps its result until the new run is scored, and for good where that fails.",
        parameters=[KEY],
        request=Input,
        responses={201: RerunOut},
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        competition = _organised(request, slug)
        given = self.body(request, self.Input)
        chosen = _chosen(request, competition, given)
        made = submission_rerun(
            submissions=chosen.filter(withdrawn_at=None), by=request.user, reason=given["reason"], what="by the API"
        )
        headers = {"Location": request.build_absolute_uri(f"{request.path}/{made.pk}")}
        return Response(_answer(made), status=201, headers=headers)


class RerunDetail(ApiView):
    """How far a rerun is."""

    tag = "competitions"
    scopes = {"GET": "organise"}

    @operation(operation_id="competitions_rerun_get", summary="How far a rerun is", responses=RerunOut)
    def get(self, request: Request, slug: str, rerun: uuid.UUID) -> Response:
        return Response(_answer(rerun_get(competition=_organised(request, slug), id=rerun)))


def _organised(request: Request, slug: str) -> Competition:
    found = competition_get(user=request.user, slug=slug)
    if not is_organiser(user=request.user, competition=found):
        raise NotAllowed("Only organisers have submissions evaluated again.", "Ask one of them.")
    return found


def _chosen(request: Request, competition: Competition, given: dict[str, Any]) -> QuerySet[Submission]:
    if "before_version" in given:
        return scored_before(competition=competition, version=given["before_version"])
    if "metric" in given:
        return scored_otherwise(competition=competition, metric=given["metric"])
    wanted = SubmissionFilter(phase=given.get("phase", ""))
    found = submissions_search(user=request.user, competition=competition, wanted=wanted)
    return found.filter(pk__in=given["submissions"]) if "submissions" in given else found
