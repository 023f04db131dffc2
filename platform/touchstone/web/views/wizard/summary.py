"""What a draft says, in a few lines for each step, for those who look it over before it is published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic import BaseModel, ValidationError

from runners.spec.catalogue_file import Offer
from runners.spec.gates import parse_gate
from runners.spec.models import PhaseSpec, SubmissionSpec
from touchstone.core.names import named
from touchstone.drafts.board_forms import offer_from
from touchstone.drafts.metric_parameters import KNOWN
from touchstone.drafts.models import DraftFile
from touchstone.leaderboards.columns import title_of
from touchstone.leaderboards.ranking import TRUST
from touchstone.web import present
from touchstone.web.forms import KINDS
from touchstone.web.task_form import INPUT_KINDS, TASK_KINDS
from touchstone.web.views.competition import resources_of
from touchstone.web.views.frame import feedback_text

Lines = list[tuple[str, str]]
_Spec = TypeVar("_Spec", bound=BaseModel)


def summaries(bodies: Mapping[str, Mapping[str, Any]], files: list[DraftFile]) -> dict[str, Lines]:
    """Label and text, by step. Whatever is in a section, sound or not, something is said of it."""
    uses = _rows(bodies["metrics"].get("metrics"))
    offer = offer_from(uses, _table(bodies["task"].get("attributes")))
    return {
        "about": _about(bodies["about"]),
        "concepts": [(_("Terms"), _names(bodies["concepts"].get("concepts"), "term"))],
        "data": _data(bodies["data"], files),
        "task": _task(bodies["task"]),
        "metrics": [(_("Measured"), "; ".join(map(_metric, uses)) or _("none"))],
        "boards": [_board(board, offer) for board in _rows(bodies["boards"].get("leaderboards"))],
        "phases": [(_text(p.get("title") or p.get("slug")), _phase(p)) for p in _rows(bodies["phases"].get("phases"))],
        "rules": _rules(bodies["rules"]),
        "people": _people(bodies["people"].get("access")),
    }


def _about(body: Mapping[str, Any]) -> Lines:
    pages = _names(body.get("pages"), "title", "slug")
    return [
        (_("Title"), _text(body.get("title"))), (_("Address"), f"/c/{_text(body.get('slug'))}/"),
        (_("Summary"), _text(body.get("summary"))), (_("Pages"), pages),
        (_("Terms"), _("yes") if body.get("terms") else _("none: nobody has to accept anything")),
        (_("Picture"), _("yes") if body.get("image") else _("none")),
        (_("Licence"), _text(body.get("licence"))),
    ]  # fmt: skip


def _data(body: Mapping[str, Any], files: list[DraftFile]) -> Lines:
    lines = []
    for split in _rows(body.get("splits")):
        own = [file for file in files if file.path.startswith(f"data/{split.get('name')}/")]
        told = ngettext("%d file", "%d files", len(own)) % len(own)
        text = f"{told}, {present.size(sum(file.size for file in own))}"
        lines.append((_text(split.get("name")), text))
    card = _table(body.get("data_card"))
    written = [key for key, value in card.items() if key != "before" and _text(value) != "–"]
    lines.append((_("Data card"), _("%d of 7 sections written") % len(written)))
    return lines


def _task(body: Mapping[str, Any]) -> Lines:
    task, given = _table(body.get("task")), _table(body.get("input"))
    kind = str(task.get("kind"))
    lines = [
        (_("Kind"), str(TASK_KINDS.get(kind, kind))),
        (_("Classes"), ", ".join(map(str, task.get("classes") or [])) or "–"),
    ]
    if task.get("positive"):
        lines.append((_("Positive class"), _text(task["positive"])))
    if task.get("favourable"):
        lines.append((_("Favourable outcome"), _text(task["favourable"])))
    if given:
        shape = " × ".join(map(str, given.get("shape") or []))
        kind = str(given.get("kind"))
        lines.append((_("What a model gets"), f"{INPUT_KINDS.get(kind, kind)}, {shape}" if shape else kind))
    for name, attribute in _table(body.get("attributes")).items():
        lines.append((str(name), _("privileged: %s") % _text(_table(attribute).get("privileged"))))
    if body.get("aggregate"):
        lines.append((_("Decisions"), _("one for each %s") % _text(_table(body["aggregate"]).get("by"))))
    return lines


def _typed(kind: type[_Spec], value: Mapping[str, Any]) -> _Spec | None:
    """A part of competition.yml as its model; None where it is not sound."""
    try:
        return kind.model_validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return None


def _metric(use: Mapping[str, Any]) -> str:
    """Its title, with the attack and the attribute that it is about."""
    name = str(use.get("use"))
    title = named(KNOWN["metrics"].get(name, {}).get("title", "")) or name
    attack = KNOWN["attacks"].get(str(use.get("attack")), {}).get("title", "")
    told = [str(use[key]) for key in ("attribute", "as") if use.get(key)]
    given = f" ({', '.join(told)})" if told else ""
    return f"{title}{': ' if attack else ''}{attack}{given}"


def _phase(phase: Mapping[str, Any]) -> str:
    sound = _typed(PhaseSpec, phase)
    if sound is None:
        return _("not complete yet: %s") % ", ".join(f"{key} {value}" for key, value in phase.items() if value)
    limits = sound.limits
    quota = [
        text % {"n": present.count(n)}
        for n, text in ((limits.per_day, _("%(n)s a day")), (limits.total, _("%(n)s in all"))) if n is not None
    ]  # fmt: skip
    words = [
        _("%(opens)s to %(closes)s")
        % {"opens": _moment(sound.opens), "closes": _moment(sound.closes) if sound.closes else _("no end")},
        _("scored on %s") % sound.split,
    ]
    if sound.finalists:
        told = {"phase": sound.finalists.phase, "n": sound.finalists.choose}
        words.append(_("takes finalists of %(phase)s, %(n)d of each participant") % told)
        return " · ".join([*words, _("told when the organisers publish the ranking")])
    words.append(", ".join(quota) or _("as many submissions as anybody likes"))
    return " · ".join([*words, feedback_text(sound.feedback)])


def _moment(moment: datetime) -> str:
    return present.absolute(moment.astimezone(UTC))


def _board(board: Mapping[str, Any], offer: Offer) -> tuple[str, str]:
    """Its title; what it ranks by, what it shows, and what a run must meet."""
    gates, columns = board.get("gates"), board.get("columns")
    words = [_("ranked by %s") % _key(str(board.get("rank_by")), offer)]
    if isinstance(columns, list) and columns:
        words.append(_("shows %s") % ", ".join(_key(str(key), offer) for key in columns))
    if isinstance(gates, list) and gates:
        words.append(_("only where %s") % _(" and ").join(_gate(str(gate), offer) for gate in gates))
    if board.get("phase"):
        words.append(_("in the phase %s") % board["phase"])
    return _text(board.get("title") or board.get("slug")), "; ".join(words)


def _gate(text: str, offer: Offer) -> str:
    try:
        gate = parse_gate(text)
    except ValueError:
        return text
    name = _key(gate.key, offer)
    left = _("%s without its sign") % name if gate.absolute else name
    return f"{left} {gate.op.replace('<=', '≤').replace('>=', '≥')} {gate.bound:g}"


def _key(key: str, offer: Offer) -> str:
    """A result by its title, as the head of its column has it."""
    if key == TRUST:
        return _("the trust score")
    found = offer.find(key)
    metric = found.metric if found else ""
    return title_of(key, metric, named(KNOWN["metrics"].get(metric, {}).get("title", "")))


def _rules(body: Mapping[str, Any]) -> Lines:
    submission, teams = _table(body.get("submission")), _table(body.get("teams"))
    members = teams.get("members", 1)
    return [
        *_resources(submission),
        (
            _("Images as root"),
            _("taken; none ever runs as root") if submission.get("root_images", True) else _("refused"),
        ),
        (_("Teams"), _("none") if members == 1 else _("up to %s people") % members),
    ]


def _resources(submission: Mapping[str, Any]) -> Lines:
    """What a run gets, defaults too, as the competition's page will say it; as it was typed where that is not sound."""
    sound = _typed(SubmissionSpec, submission)
    if sound is None:
        typed = {**submission, **_table(submission.get("resources"))}
        kinds = [str(KINDS[kind].title) if kind in KINDS else str(kind) for kind in submission.get("kinds") or []]
        rest = ", ".join(f"{key} {value}" for key, value in typed.items() if key not in ("kinds", "resources"))
        return [(_("Kinds"), ", ".join(kinds) or "–"), (_("What a run gets"), rest or _("the defaults"))]
    return resources_of(sound.model_dump(mode="json"))


def _people(value: object) -> Lines:
    access = _table(value)
    domains = ", ".join(map(str, access.get("email_domains") or []))
    return [
        (_("Approval"), _("an organiser approves each participant") if access.get("approval") else _("not needed")),
        (_("E-mail domains"), domains or _("any")),
    ]


def _names(value: object, *keys: str) -> str:
    names = [next((str(row[key]) for key in keys if row.get(key)), "–") for row in _rows(value)]
    return ", ".join(names) or _("none")


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return str(value).strip() or "–" if value is not None else "–"
