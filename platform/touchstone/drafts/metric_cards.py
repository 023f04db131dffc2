"""The catalogue of metrics as who writes a draft looks through it: what each says, and what it needs of the draft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runners.costs import asks_something
from touchstone.core.names import named
from touchstone.drafts.metric_parameters import KNOWN, Choices

PILLARS = ("performance", "calibration", "robustness", "fairness", "explainability", "privacy", "efficiency")
_READ = frozenset({"predictions", "probabilities"})
#: What each kind of submission can be asked for. Explanations are offered by some, and made by the platform else.
GIVES: dict[str, frozenset[str]] = {
    "predictions": _READ,
    "model": _READ | {"queries", "gradients"},
    "container": _READ | {"queries", "explanations"},
    "code": _READ | {"queries", "explanations"},
    "endpoint": _READ | {"queries", "explanations"},
}
_ASKED = frozenset({"predictions", "probabilities", "queries", "gradients", "explanations"})
#: Parameters of what draws items, or holds a clock: asked again, it gives another number.
_VARIES = frozenset({"items", "draws", "repeats", "seconds", "shadows", "budget"})


@dataclass(frozen=True)
class Surroundings:
    """What a draft has that metrics may need."""

    kinds: tuple[str, ...] = ("predictions",)
    attributes: tuple[str, ...] = ()
    surrogates: tuple[str, ...] = ()
    binary: bool = True
    favourable: bool = False
    validation: bool = False

    @property
    def choices(self) -> Choices:
        return Choices(attributes=self.attributes, surrogates=self.surrogates)


@dataclass(frozen=True)
class Card:
    """A metric. `fits`: kinds of submission of the draft that can give it; `lacks`: what the draft has not yet."""

    name: str
    pillar: str
    entry: Mapping[str, Any]
    asks: bool
    varies: bool
    fits: tuple[str, ...]
    misfits: tuple[str, ...]
    lacks: tuple[str, ...]
    used: int = 0

    @property
    def docs(self) -> str:
        """Its page among the documentation."""
        pillar, _dot, name = self.name.partition(".")
        return f"docs/metrics/{pillar}/{name}.md"


@dataclass(frozen=True)
class Search:
    """What is looked for. `fit`: `all` kinds of the draft give it, or `any`; `cost`: `free` or `asks`."""

    q: str = ""
    pillar: str = ""
    fit: str = ""
    attributes: str = ""
    varies: str = ""
    cost: str = ""

    def finds(self, card: Card) -> bool:
        words = self.q.lower().split()
        said = " ".join(f"{text} {named(text)}" for text in (card.entry["title"], card.entry["summary"]))
        text = f"{said} {card.name}".lower()
        wants = {"yes": True, "no": False}
        groups, fair = "attributes" in card.entry["needs"], wants.get(self.attributes)
        varies, cost = wants.get(self.varies), {"free": False, "asks": True}.get(self.cost)
        return (
            all(word in text for word in words)
            and self.pillar in ("", card.pillar)
            and (self.fit != "all" or not card.misfits)
            and (self.fit != "any" or bool(card.fits))
            and fair in (None, groups)
            and varies in (None, card.varies)
            and cost in (None, card.asks)
        )


def surroundings_of(bodies: Mapping[str, Mapping[str, Any]], files: Iterable[str]) -> Surroundings:
    """From the sections of a draft, sound or not, and the paths of its files."""
    task, attributes = bodies["task"].get("task"), bodies["task"].get("attributes")
    task = task if isinstance(task, dict) else {}
    kinds = (bodies["rules"].get("submission") or {}).get("kinds")
    phases = bodies["phases"].get("phases")
    return Surroundings(
        kinds=tuple(kind for kind in kinds if kind in GIVES) if isinstance(kinds, list) else (),
        attributes=tuple(attributes) if isinstance(attributes, dict) else (),
        surrogates=tuple(
            sorted(p.removeprefix("surrogates/").removesuffix(".onnx") for p in files if p.startswith("surrogates/"))
        ),
        binary=task.get("kind") == "binary",
        favourable=bool(task.get("favourable")),
        validation=any(isinstance(p, dict) and p.get("validation") for p in phases or ()),
    )  # fmt: skip


def card_of(name: str, around: Surroundings, *, used: int = 0) -> Card:
    """One metric. Raises `KeyError` for one that is not in the catalogue."""
    entry = KNOWN["metrics"][name]
    needs = set(entry["needs"])
    fits = tuple(kind for kind in around.kinds if needs & _ASKED <= GIVES[kind])
    varies = bool(_VARIES & set(entry["parameters"].get("properties", {}))) or name == "efficiency.peak_memory"
    return Card(
        name=name, pillar=entry["pillar"], entry=entry, asks=asks_something(name), varies=varies, fits=fits,
        misfits=tuple(kind for kind in around.kinds if kind not in fits), lacks=tuple(_lacks(needs, around)), used=used,
    )  # fmt: skip


def _lacks(needs: set[str], around: Surroundings) -> Iterable[str]:
    if "attributes" in needs and not around.attributes:
        yield "attributes"
    if "favourable" in needs and not around.favourable:
        yield "favourable"
    if "binary" in needs and not around.binary:
        yield "binary"
    if "validation" in needs and not around.validation:
        yield "validation"
    if "surrogates" in needs and not around.surrogates:
        yield "surrogates"


def catalogue_cards(around: Surroundings, search: Search, *, uses: Iterable[str] = ()) -> list[Card]:
    """The metrics that are looked for, by pillar and title. `uses`: those that the draft has."""
    taken = list(uses)
    cards = [card_of(name, around, used=taken.count(name)) for name in KNOWN["metrics"]]
    found = [card for card in cards if search.finds(card)]
    order = {pillar: number for number, pillar in enumerate(PILLARS)}
    return sorted(found, key=lambda card: (order.get(card.pillar, len(order)), named(card.entry["title"]).lower()))
