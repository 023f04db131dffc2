"""A leaderboard of a draft as a form has it: what can be chosen, and from typed text to its part of competition.yml."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from runners.spec.catalogue_file import Column, Offer, offer_of
from runners.spec.gates import parse_gate
from runners.spec.models import LeaderboardSpec, MetricUse
from touchstone.core.names import named
from touchstone.drafts.metric_parameters import KNOWN
from touchstone.leaderboards.ranking import TRUST

#: What a gate compares with, in the order of the form. `abs` takes the size without the sign.
COMPARISONS = (">=", ">", "<=", "<", "abs <=", "abs <", "abs >=", "abs >")
MOST_BOARDS = 50


@dataclass(frozen=True)
class Key:
    """A result that the metrics give. `worst` and `best`: its natural anchors, None where it has none."""

    key: str
    title: str
    pillar: str
    column: Column
    worst: float | None
    best: float | None


@dataclass(frozen=True)
class GateRow:
    """A gate as three fields; `text` where it is none of this form and stays as it is."""

    key: str = ""
    op: str = ">="
    bound: str = ""
    text: str = ""


@dataclass(frozen=True)
class BoardInput:
    """A board as typed. `problems`: what cannot be read, by the name of the field."""

    body: dict[str, Any]
    weights: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    gates: list[GateRow] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def offer_from(uses: Iterable[Any], attributes: Iterable[str]) -> Offer:
    """The results of a draft's metrics, those that are sound."""
    offer, names = Offer(), list(attributes)
    for use in uses:
        entry = KNOWN["metrics"].get(use.get("use")) if isinstance(use, dict) else None
        if entry is None:
            continue
        try:
            offer.add(offer_of(MetricUse.model_validate(use), entry, names))
        except ValidationError:
            continue
    return offer


def keys_of(offer: Offer, groups: Mapping[str, Sequence[str]], more: Iterable[str] = ()) -> list[Key]:
    """Every result by its key. `groups`: values of each attribute; `more`: keys that a board names already."""
    found = dict(offer.exact)
    for head, column in offer.groups.items():
        attribute = head.rpartition("[")[2].removesuffix("=")
        found |= {f"{head}{value}]": column for value in groups.get(attribute, ())}
    for key in more:
        column = offer.find(key)
        if column is not None:
            found.setdefault(key, column)
    return [_key(key, column) for key, column in found.items()]


def _key(key: str, column: Column) -> Key:
    entry = KNOWN["metrics"][column.metric]
    worst, best = anchors_of(column)
    return Key(key, _title(key, entry), str(entry["pillar"]), column, worst, best)


def _title(key: str, entry: Mapping[str, Any]) -> str:
    """The title of its column, with the attribute or group that it is of."""
    head, bracket, inside = key.partition("[")
    titles = {name: str(own["title"]) for name, own in entry["columns"].items()}
    sub = max((name for name in titles if name and head.endswith(f".{name.partition('[')[0]}")), key=len, default="")
    title = named(titles.get(sub) or str(entry["title"]))
    return f"{title} ({inside.removesuffix(']')})" if bracket else title


def anchors_of(column: Column) -> tuple[float | None, float | None]:
    """The worst and the best value that a result has by nature."""
    low, high = column.range
    if column.direction == "maximise":
        return low, high
    if column.direction == "minimise":
        return high, low
    if column.direction == "zero":
        sides = [abs(side) for side in (low, high) if side is not None]
        return (max(sides) if sides else None), 0.0
    return (0.0, 1.0) if column.direction == "one" else (None, None)


def shown_board(body: Mapping[str, Any]) -> BoardInput:
    """A stored board as fields."""
    weights = {}
    utility = body.get("utility")
    for key, given in (utility if isinstance(utility, dict) else {}).items():
        entry = given if isinstance(given, dict) else {"weight": given}
        weights[str(key)] = (_text(entry.get("weight")), _text(entry.get("worst")), _text(entry.get("best")))
    gates = body.get("gates")
    rows = [gate_row(text) for text in (gates if isinstance(gates, list) else [])]
    return BoardInput(dict(body), weights, rows)


def gate_row(text: object) -> GateRow:
    """A gate of competition.yml as three fields."""
    try:
        gate = parse_gate(str(text))
    except ValueError:
        return GateRow(text=str(text))
    return GateRow(gate.key, f"abs {gate.op}" if gate.absolute else gate.op, _text(gate.bound))


def gate_text(row: GateRow) -> str:
    """Three fields as a gate of competition.yml."""
    if row.text:
        return row.text
    left, op = (f"abs({row.key})", row.op[4:]) if row.op.startswith("abs ") else (row.key, row.op)
    return f"{left} {op} {row.bound}"


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def read_board(posted: Mapping[str, Any], lists: Mapping[str, Sequence[str]], before: Mapping[str, Any]) -> BoardInput:
    """A board from typed text. `lists`: fields that come several times; `before`: the board as it is stored."""
    problems: dict[str, str] = {}
    body: dict[str, Any] = {"slug": _field(posted, "slug"), "rank_by": _field(posted, "rank_by")}
    for name in ("title", "phase"):
        if text := _field(posted, name):
            body[name] = text
    kept = before.get("columns")
    chosen = set(lists.get("columns", ()))
    columns = [key for key in (kept if isinstance(kept, list) else []) if key in chosen]
    columns += [key for key in lists.get("columns", ()) if key not in columns]
    rows = _gate_rows(lists, problems)
    weights = {key.removeprefix("weight:"): _weight(posted, key) for key in posted if key.startswith("weight:")}
    utility = _utility({key: texts for key, texts in weights.items() if any(texts)}, problems)
    if columns:
        body["columns"] = columns
    if rows:
        body["gates"] = [gate_text(row) for row in rows]
    if utility:
        body["utility"] = utility
    if _field(posted, "entry") == "last":
        body["entry"] = "last"
    return BoardInput(body, weights, rows, problems)


def _field(posted: Mapping[str, Any], name: str) -> str:
    return str(posted.get(name) or "").strip()


def _weight(posted: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    key = name.removeprefix("weight:")
    return _field(posted, name), _field(posted, f"worst:{key}"), _field(posted, f"best:{key}")


def _gate_rows(lists: Mapping[str, Sequence[str]], problems: dict[str, str]) -> list[GateRow]:
    rows = [GateRow(text=text) for text in lists.get("gate_text", ()) if text.strip()]
    parts = zip(lists.get("gate_key", ()), lists.get("gate_op", ()), lists.get("gate_bound", ()), strict=False)
    for key, op, bound in parts:
        if not key:
            continue
        row = GateRow(key, op if op in COMPARISONS else ">=", bound.strip())
        if number_of(row.bound) is None:
            problems[f"gate-{len(rows)}"] = _("Write a number to compare %(key)s with, not “%(bound)s”.") % {
                "key": key,
                "bound": bound[:40],
            }
        rows.append(row)
    return rows


def _utility(weights: Mapping[str, tuple[str, str, str]], problems: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, texts in weights.items():
        numbers = [number_of(text) for text in texts]
        wrong = next((text for text, number in zip(texts, numbers, strict=True) if text and number is None), "")
        weight, worst, best = numbers
        if wrong:
            problems[f"weight:{key}"] = _("Write numbers, not “%(wrong)s”.") % {"wrong": wrong[:40]}
        elif weight is not None and weight < 0:
            problems[f"weight:{key}"] = _("A weight is 0, which leaves it out, or more.")
        elif weight:
            anchors = {name: value for name, value in (("worst", worst), ("best", best)) if value is not None}
            found[key] = {"weight": weight, **anchors}
    return found


def number_of(text: str) -> int | float | None:
    """A finite number, None for anything else."""
    try:
        number = float(text.replace("−", "-"))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def board_spec(body: Mapping[str, Any]) -> LeaderboardSpec | None:
    """The board typed, None where it is not sound by itself: gates, slug, keys."""
    try:
        spec = LeaderboardSpec.model_validate_json(json.dumps(body), strict=True)
        for gate in spec.gates:
            parse_gate(gate)
    except ValueError:
        return None
    return spec


def new_board(offer: Offer, taken: Iterable[str]) -> dict[str, Any]:
    """What the form of another board begins with: ranked by the first result that has a better and a worse."""
    names = set(taken)
    slug = next(name for name in ("main", *(f"board-{n}" for n in range(2, MOST_BOARDS + 3))) if name not in names)
    rank_by = next((key for key, column in offer.exact.items() if column.direction != "none"), "")
    return {"slug": slug, "title": "", "rank_by": rank_by}


def rankable(offer: Offer) -> list[str]:
    """Results that a board can rank by, the trust score last."""
    return [*(key for key, column in offer.exact.items() if column.direction != "none"), TRUST]
