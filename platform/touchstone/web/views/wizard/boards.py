"""The wizard's leaderboards: their list, the form of each, and a preview that follows what is typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _

from runners.spec.catalogue_file import Offer
from touchstone.core.errors import NotFound
from touchstone.drafts.board_forms import (
    BoardInput,
    Key,
    board_spec,
    keys_of,
    new_board,
    offer_from,
    rankable,
    read_board,
    shown_board,
)
from touchstone.drafts.board_previews import entrants_of, example_entrants, preview_of
from touchstone.drafts.inspections import split_found
from touchstone.drafts.metric_lists import entries, moved, put, removed
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import draft_bodies
from touchstone.leaderboards.ranking import TRUST
from touchstone.web.board_present import ShownPreview, board_form, shown_preview
from touchstone.web.views.support import is_htmx
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save

_PAGE, _FORM = "web/organise/wizard/boards.html", "web/organise/wizard/board_form.html"
_PREVIEW = "web/organise/wizard/_board_preview.html"
_BLANK = {"slug": "", "title": "", "phase": "", "rank_by": ""}
_LISTS = ("columns", "gate_key", "gate_op", "gate_bound", "gate_text")


@dataclass(frozen=True)
class _Ground:
    """What boards of the draft stand on."""

    body: dict[str, Any]
    boards: list[Any]
    offer: Offer
    groups: Mapping[str, Sequence[str]]
    phases: list[Any]


def _ground(draft: Draft) -> _Ground:
    bodies = draft_bodies(draft=draft)
    attributes = bodies["task"].get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    phases = bodies["phases"].get("phases")
    return _Ground(
        body=bodies["boards"], boards=entries({"metrics": bodies["boards"].get("leaderboards")}),
        offer=offer_from(entries(bodies["metrics"]), attributes), groups=_groups(draft, attributes),
        phases=phases if isinstance(phases, list) else [],
    )  # fmt: skip


def _groups(draft: Draft, attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    """The values of each attribute: those that the data have, else those that the task names."""
    splits = split_found(draft=draft)
    found: dict[str, list[str]] = {}
    for name, spec in attributes.items():
        facts = [split.get("attributes", {}).get(name, {}) for split in splits.values()]
        seen = [str(value) for fact in facts for value, _count in fact.get("values", ())]
        given = spec if isinstance(spec, dict) else {}
        named = [given.get("privileged"), *(given.get("unprivileged") or ())]
        found[name] = list(dict.fromkeys(seen or [str(value) for value in named if value]))
    return found


@step_view
def boards(request: HttpRequest, draft: Draft) -> HttpResponse:
    """All boards; posting moves or removes one."""
    ground = _ground(draft)
    if request.method == "POST":
        act, _dash, index = request.POST.get("act", "").partition("-")
        at = int(index) if index.isascii() and index.isdigit() and len(index) < 6 else -1
        after = removed(ground.boards, at) if act == "remove" else moved(ground.boards, at, -1 if act == "up" else 1)
        return _save(request, draft, ground, after)
    shown = [
        {"index": at, "where": f"leaderboards[{at}]", "body": {**_BLANK, **(body if isinstance(body, dict) else {})}}
        for at, body in enumerate(ground.boards)
    ]
    extra = {"boards": shown, "has_results": bool(ground.offer.exact)}
    return render(request, _PAGE, wizard_context(request, draft, "boards", **extra))


@step_view
def board_add(request: HttpRequest, draft: Draft) -> HttpResponse:
    """The form of another board."""
    ground = _ground(draft)
    slugs = [str(body.get("slug")) for body in ground.boards if isinstance(body, dict)]
    return _board(request, draft, ground, new_board(ground.offer, slugs), None)


@step_view
def board_edit(request: HttpRequest, draft: Draft, index: int) -> HttpResponse:
    """The form of one of the draft's boards."""
    ground = _ground(draft)
    if index >= len(ground.boards) or not isinstance(ground.boards[index], dict):
        raise NotFound(
            _("The draft has no such leaderboard."), _("It may have been moved or removed: look at the list.")
        )
    return _board(request, draft, ground, ground.boards[index], index)


def _board(
    request: HttpRequest, draft: Draft, ground: _Ground, before: dict[str, Any], index: int | None
) -> HttpResponse:
    """Save it, or show it as it was typed with its preview."""
    board, status = shown_board(before), 200
    if request.method == "POST":
        board = _typed(request.POST, before)
        if request.POST.get("act") != "preview":
            if not board.problems:
                boards = [*ground.boards, board.body] if index is None else put(ground.boards, index, board.body)
                return _save(request, draft, ground, boards)
            status = 422
    keys = keys_of(ground.offer, ground.groups, [*_strings(before.get("columns")), *board.weights])
    preview = _preview(request, draft, ground, keys, board, before)
    if is_htmx(request) and request.POST.get("act") == "preview":
        return render(request, _PREVIEW, {"preview": preview, "problems": board.problems})
    where = f"leaderboards[{len(ground.boards) if index is None else index}]"
    form = board_form(board, keys=keys, ranks=rankable(ground.offer), phases=ground.phases, where=where)
    extra = {"form": form, "index": index, "where": where, "preview": preview, "problems": board.problems}
    return render(request, _FORM, wizard_context(request, draft, "boards", **extra), status=status)


def _strings(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _typed(posted: QueryDict, before: Mapping[str, Any]) -> BoardInput:
    return read_board(posted, {name: posted.getlist(name) for name in _LISTS}, before)


def _save(request: HttpRequest, draft: Draft, ground: _Ground, boards: list[Any]) -> HttpResponse:
    return wizard_save(request, draft, "boards", {**ground.body, "leaderboards": boards})


def _preview(
    request: HttpRequest, draft: Draft, ground: _Ground, keys: list[Key], board: BoardInput, before: dict[str, Any]
) -> ShownPreview | None:
    """None where the board is not sound enough to be shown."""
    spec = board_spec(board.body)
    known = {key.key for key in keys} | {TRUST}
    if spec is None or board.problems or spec.rank_by not in known or (spec.rank_by == TRUST and not spec.utility):
        return None
    real = entrants_of(competition=draft.competition, user=request.user)
    found = preview_of(
        board=spec, before=board_spec(before), offer=ground.offer, entrants=real or example_entrants(keys),
        real=bool(real),
    )  # fmt: skip
    return shown_preview(found, keys)
