"""From models to the plain values that `outputs` describes. No queries beyond the related rows handed in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings

from touchstone.accounts.models import ApiToken
from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.selectors import Viewer, phase_current, phase_finalists, split_download_files
from touchstone.core.clock import now
from touchstone.evaluations.state import FINAL
from touchstone.submissions.models import Submission, Upload
from touchstone.submissions.parts import part_urls, parts_held
from touchstone.submissions.selectors import Quota


def page_url(path: str) -> str:
    """The address of a page of the site."""
    return f"{settings.TOUCHSTONE_BASE_URL}{path}"


def phase_dict(phase: Phase) -> dict[str, Any]:
    moment = now()
    state = "upcoming" if moment < phase.opens else "closed" if phase.closes and moment >= phase.closes else "open"
    return {
        "slug": phase.slug,
        "title": phase.title or phase.slug,
        "state": state,
        "split": phase.split.name,
        "opens": phase.opens,
        "closes": phase.closes,
        "per_day": phase.per_day,
        "total": phase.total,
        "feedback": phase.feedback,
        "frozen_at": phase.frozen_at,
        "frozen_reason": phase.frozen_reason,
        "finalists_of": (phase_finalists(phase=phase) or {}).get("phase"),
    }


def competition_summary(
    competition: Competition, *, joined: Collection[int], organised: Collection[int]
) -> dict[str, Any]:
    """`joined`, `organised`: keys of the competitions that the caller takes part in or organises."""
    current = phase_current(competition=competition)
    return {
        "slug": competition.slug,
        "title": competition.title,
        "summary": competition.summary,
        "visibility": competition.visibility,
        "current_phase": current.slug if current else None,
        "joined": competition.pk in joined,
        "organiser": competition.pk in organised,
        "phases": [phase_dict(phase) for phase in competition.phases.all()],
        "url": page_url(f"/c/{competition.slug}/"),
    }


def competition_detail(
    competition: Competition, *, user: Viewer, joined: Collection[int], organised: Collection[int]
) -> dict[str, Any]:
    spec = competition.spec
    return {
        **competition_summary(competition, joined=joined, organised=organised),
        "version": competition.version,
        "kinds": spec["submission"]["kinds"],
        "max_size": spec["submission"]["size"],
        "resources": spec["submission"]["resources"],
        "root_images": spec["submission"].get("root_images", True),
        "task": spec["task"],
        "input": spec.get("input"),
        "attributes": spec.get("attributes") or {},
        "aggregate": spec.get("aggregate"),
        "metrics": spec["metrics"],
        "concepts": spec.get("concepts") or [],
        "pages": competition.pages,
        "splits": [split_dict(split, user=user) for split in competition.splits.all()],
        "leaderboards": [
            {"phase": board.phase.slug, "slug": board.slug, "title": board.title or board.slug}
            for board in competition.leaderboards.all()
        ],
        "terms": competition.terms,
        "data_card": competition.data_card,
        "starting_kit": competition.starting_kit,
    }


def split_dict(split: Any, *, user: Viewer) -> dict[str, Any]:
    return {
        "name": split.name,
        "visibility": split.visibility,
        "digest": split.digest,
        "n_items": split.n_items,
        "files": split_download_files(user=user, split=split),
    }


def upload_dict(upload: Upload) -> dict[str, Any]:
    held = parts_held(upload=upload)
    return {
        "id": upload.pk,
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "part_size": upload.part_size,
        "expires_at": upload.expires_at,
        "completed_at": upload.completed_at,
        "parts": [{"number": number, **part} for number, part in held.items()],
        "direct": bool(upload.multipart),
        "urls": [{"number": each.number, "url": each.url} for each in part_urls(upload=upload, held=held)],
    }


def submission_dict(submission: Submission) -> dict[str, Any]:
    run = submission.run
    return {
        "id": submission.pk,
        "competition": submission.phase.competition.slug,
        "phase": submission.phase.slug,
        "kind": submission.kind,
        "participant": submission.participation.display_name,
        "status": run.status,
        "final": run.status in FINAL,
        "attempt": run.attempt,
        "name": submission.name,
        "message": submission.message,
        "chosen_at": submission.chosen_at,
        "withdrawn_at": submission.withdrawn_at,
        "withdrawn_reason": submission.withdrawn_reason,
        "image": submission.image,
        "endpoint": submission.endpoint or None,
        "source": submission.source,
        "provenance": submission.provenance or None,
        "files": submission.files,
        "created_at": submission.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "verdict": run.verdict,
        "code": run.code,
        "url": page_url(f"/s/{submission.pk}/"),
    }


def quota_dict(used: Quota, *, phase: Phase) -> dict[str, Any]:
    return {
        "competition": phase.competition.slug,
        "phase": phase.slug,
        "per_day": used.per_day,
        "used_today": used.used_today,
        "remaining_today": _left(used.per_day, used.used_today),
        "total": used.total,
        "used_total": used.used_total,
        "remaining_total": _left(used.total, used.used_total),
        "resets_at": used.resets_at,
        "failures_per_day": used.failures_per_day,
        "failed_today": used.failed_today,
    }


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


def token_dict(token: ApiToken) -> dict[str, Any]:
    return {
        "public": token.public,
        "name": token.name,
        "scopes": token.scopes,
        "origin": token.origin,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }
