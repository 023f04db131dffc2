"""Three questions on what fairness means here, the metrics that follow, and what cannot be had together.

The families are those of Barocas, Hardt and Narayanan: independence (equal selection), separation (equal errors) and
sufficiency (equal meaning of a score).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from touchstone.core.names import named
from touchstone.drafts.metric_cards import Surroundings, card_of


@dataclass(frozen=True)
class Answer:
    """`example` may use {outcome}, {other}, {attribute}, {group} and {rest}: words of the competition."""

    key: str
    title: str | Promise
    means: str | Promise
    example: str | Promise = ""


@dataclass(frozen=True)
class Question:
    key: str
    title: str | Promise
    help: str | Promise
    answers: tuple[Answer, ...]
    several: bool = False


QUESTIONS = (
    Question(
        "harm", _l("What is decided, and whom does an error hurt?"),
        _l("Choose all that matter here. Each is a different idea of fairness, and some exclude each other."),
        (
            Answer(
                "selection", _l("The outcome itself should be shared out equally"),
                _l("Whatever the truth is, each group gets the good outcome equally often."),
                _l("{attribute} = {group} gets “{outcome}” as often as {rest}."),
            ),
            Answer(
                "deserving", _l("Those who deserve the outcome should get it equally often"),
                _l("The harm is a refusal that was not deserved. Only people with a good true outcome count."),
                _l("Of those who truly are “{outcome}”, as many are told so with {attribute} = {group} as of {rest}."),
            ),
            Answer(
                "errors", _l("Both kinds of error should be shared equally"),
                _l("A refusal that was not deserved hurts one side, a favour that was not deserved the other."),
                _l("Errors in both directions are as frequent for {attribute} = {group} as for {rest}."),
            ),
            Answer(
                "score", _l("A score should mean the same for everybody"),
                _l("People act on the probability itself: 0.8 must come true in 80 of 100 cases, in every group."),
                _l("Of those told “{outcome}”, as many truly are with {attribute} = {group} as of {rest}."),
            ),
        ),
        several=True,
    ),
    Question(
        "labels", _l("Are the labels themselves to be trusted?"),
        _l("Labels often record what people decided, not what was true: arrests, not crimes; hires, not skill."),
        (
            Answer("yes", _l("Yes: they say what truly happened"), _l("Errors against them are errors.")),
            Answer("unsure", _l("Not sure"), _l("Then it is worth seeing how far groups differ in the labels.")),
            Answer(
                "no", _l("No: they repeat earlier unequal treatment"),
                _l("Error rates would take the bias for the truth. Equal selection does not look at the labels."),
            ),
        ),
    ),
    Question(
        "rule", _l("Is there a rule about ratios?"),
        _l("In the United States the four-fifths rule takes a selection rate below 80 % of another group's as a sign."),
        (
            Answer("none", _l("No such rule"), _l("Differences in percentage points are easier to read.")),
            Answer(
                "four_fifths", _l("Four fifths, or another ratio"),
                _l("The ratio of selection rates, for which boards can have a gate at 0.8."),
                _l("Selection of {attribute} = {group} over that of {rest} is at least 0.8."),
            ),
        ),
    ),
)  # fmt: skip

#: Families of metrics: what each looks at.
_FAMILY = {
    "fairness.statistical_parity_difference": "selection", "fairness.disparate_impact": "selection",
    "fairness.equal_opportunity_difference": "errors", "fairness.average_odds_difference": "errors",
    "fairness.equalized_odds_difference": "errors", "fairness.positive_predictive_value_difference": "score",
    "fairness.calibration_within_groups": "score",
}  # fmt: skip


#: The answer whose example tells what the metric looks at.
_ANSWER = {
    "fairness.statistical_parity_difference": "selection", "fairness.disparate_impact": "four_fifths",
    "fairness.equal_opportunity_difference": "deserving", "fairness.average_odds_difference": "errors",
    "fairness.equalized_odds_difference": "errors", "fairness.positive_predictive_value_difference": "score",
}  # fmt: skip


@dataclass(frozen=True)
class Proposal:
    """A metric with its attribute, why it is proposed, and whether the draft has it already."""

    key: str
    use: Mapping[str, Any]
    title: str
    why: str
    here: str
    have: bool


@dataclass(frozen=True)
class Guidance:
    """`clashes`: what cannot hold together; `notes`: what is missing for a proposal, or worth knowing."""

    proposals: list[Proposal]
    clashes: list[str]
    notes: list[str]


@dataclass(frozen=True)
class Words:
    """The competition's own words for examples."""

    outcome: str
    other: str
    attribute: str
    group: str
    rest: str

    def put(self, text: str | Promise) -> str:
        return str(text).format(
            outcome=self.outcome, other=self.other, attribute=self.attribute, group=self.group, rest=self.rest
        )


def words_of(task: Mapping[str, Any], attributes: Mapping[str, Any], attribute: str = "") -> Words:
    """From the draft where it says so, else words that anybody understands."""
    classes = [str(name) for name in task.get("classes") or ()]
    outcome = str(task.get("favourable") or (classes[-1] if classes else _("yes")))
    other = next((name for name in classes if name != outcome), _("no"))
    name = attribute or next(iter(attributes), _("sex"))
    spec = attributes.get(name)
    spec = spec if isinstance(spec, Mapping) else {}
    unprivileged = spec.get("unprivileged") or ()
    group = str(unprivileged[0]) if isinstance(unprivileged, Sequence) and unprivileged else _("one group")
    rest = f"{name} = {spec['privileged']}" if spec.get("privileged") else _("the others")
    return Words(outcome, other, str(name), group, rest)


def _wanted(harm: Sequence[str], labels: str, rule: str) -> dict[str, str]:
    """Metric → why."""
    found: dict[str, str] = {}
    if "selection" in harm:
        found["fairness.statistical_parity_difference"] = _("You want the outcome shared out equally: this is the gap.")
    if rule == "four_fifths":
        found["fairness.disparate_impact"] = _("It is the ratio that your rule is about.")
    if "deserving" in harm:
        found["fairness.equal_opportunity_difference"] = _("The gap in how often a deserved outcome is given.")
    if "errors" in harm:
        found["fairness.average_odds_difference"] = _("The mean gap of both kinds of error, with its direction.")
        found["fairness.equalized_odds_difference"] = _("The larger of both gaps, so that they cannot cancel out.")
    if "score" in harm:
        found["fairness.positive_predictive_value_difference"] = _("Whether a verdict comes true equally often.")
        found["fairness.calibration_within_groups"] = _("Whether probabilities come true in every group.")
    if labels == "no" and "fairness.statistical_parity_difference" not in found:
        found["fairness.statistical_parity_difference"] = _("It does not look at labels that you do not trust.")
    if labels in ("no", "unsure"):
        found["fairness.base_rate_difference"] = _("It is the gap in the labels themselves: the same for everybody.")
    return found


def guidance(
    *, harm: Sequence[str], labels: str, rule: str, attributes: Sequence[str], around: Surroundings,
    uses: Sequence[Any], words: Mapping[str, Words],
) -> Guidance:  # fmt: skip
    """What follows from the answers, for each of the attributes."""
    wanted = _wanted(harm, labels, rule)
    proposals, notes = [], []
    for name, why in wanted.items():
        card = card_of(name, around)
        if "binary" in card.lacks:
            notes.append(_("%s is left out: it is defined for two classes only.") % named(card.entry["title"]))
            continue
        for attribute in attributes:
            use = {"use": name, "attribute": attribute}
            proposals.append(_proposal(use, named(card.entry["title"]), why, words[attribute], uses))
    if len(attributes) > 1 and proposals:
        use = {"use": "fairness.intersectional_gap", "attribute": [*attributes][:4]}
        why = _("With several attributes a gap may open only where they meet, as for young women.")
        title = named(card_of("fairness.intersectional_gap", around).entry["title"])
        proposals.append(Proposal("intersections", use, title, why, "", use in uses))
    if wanted and not around.favourable:
        notes.append(_("These metrics need to know which outcome is good for people: name it in the step Task."))
    if labels == "no" and {"deserving", "errors", "score"} & set(harm):
        notes.append(_("You do not trust the labels: equal errors against them would make an old injustice the aim."))
    if rule == "four_fifths":
        notes.append(_("In the step Leaderboards, a gate on disparate impact of at least 0.8 enforces the rule."))
    return Guidance(proposals, _clashes(wanted), notes)


def _proposal(use: dict[str, Any], title: str, why: str, words: Words, uses: Sequence[Any]) -> Proposal:
    answers = {answer.key: answer for question in QUESTIONS for answer in question.answers}
    answer = answers.get(_ANSWER.get(use["use"], ""))
    here = words.put(answer.example) if answer else ""
    return Proposal(f"{use['use']}:{use['attribute']}", use, title, why, here, use in uses)


def _clashes(wanted: Mapping[str, str]) -> list[str]:
    families = {_FAMILY[name] for name in wanted if name in _FAMILY}
    found = []
    if {"errors", "score"} <= families:
        found.append(
            _(
                "Equal errors and an equal meaning of scores: where groups differ in how often the outcome is true, "
                "only a perfect model has both (Chouldechova 2017; Kleinberg, Mullainathan and Raghavan 2016)."
            )
        )
    if {"selection", "errors"} <= families:
        found.append(
            _(
                "Equal selection and equal errors: where groups differ in how often the outcome is true, only a model "
                "that pays no heed to the truth has both."
            )
        )
    if {"selection", "score"} <= families:
        found.append(
            _(
                "Equal selection and an equal meaning of scores: both hold only where the outcome is true equally "
                "often in every group."
            )
        )
    return found
