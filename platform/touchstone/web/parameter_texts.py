"""Help beside each parameter of a metric, an attack and a defence, in plain words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from touchstone.drafts.metric_parameters import Parameter

#: By `metric.parameter`, `pillar.parameter`, `attacks.parameter`, or the parameter alone: the nearest counts.
TEXTS: dict[str, str | Promise] = {
    "about": _l("Whose errors count: of the favourable outcome, or of the positive class."),
    "calibration.about": _l("What is checked: the confidence of the answer given, or the probability of “positive”."),
    "bins": _l("Groups of similar probability. More see more detail and are noisier."),
    "scheme": _l("Bins of equal width, or with equally many items each."),
    "calibration.minimum": _l("Bins with fewer items do not count."),
    "fairness.minimum": _l("Combined groups with fewer items are left out. Empty: the attributes' own minimum."),
    "batch_size": _l("Items asked at once."),
    "grid": _l("Grams of CO₂ of a kilowatt-hour where it runs. Empty: energy alone is reported."),
    "pue": _l("Power of the whole building over that of the machine; 1 counts the machine alone."),
    "seconds": _l("The sweep ends early where it would take longer than this."),
    "efficiency.energy.seconds": _l("Length of one measuring window."),
    "watts": _l("Power of the machine at work, where it cannot be measured. Empty: only what is measured."),
    "efficiency.energy.windows": _l("How often it measures; the median counts."),
    "windows": _l("Most windows that are hidden one after another to see what matters (occlusion)."),
    "batch_sizes": _l("How many items are asked at once, one or several sizes with commas."),
    "repeats": _l("How often each is timed; the median counts."),
    "warm_up": _l("Questions before the clock starts."),
    "lengths": _l("How many lengths of context are tried."),
    "largest": _l("The largest size of the sweep."),
    "smallest": _l("The smallest size of the sweep."),
    "over": _l("What grows: the batch, or the input itself (where the input has `sizes`)."),
    "sizes": _l("How many sizes are tried between the two."),
    "baseline": _l("What hides a part of an input: the mean of the split, or one number."),
    "items": _l("How many items of the split are taken, drawn by the run's seed. Empty: all."),
    "loss": _l("What is explained: the margin before the next class, or the cross-entropy."),
    "attacks.loss": _l("What the attack climbs: the cross-entropy, or the margin before the next class."),
    "method": _l("How explanations are made where a submission brings none. Occlusion needs no gradients."),
    "methods": _l("Ways of explaining that are compared."),
    "privacy.method": _l("How members are told: by the loss, by the loss against other items, or by reference models."),
    "source": _l("Whose explanations: the submission's own where it offers some, only those, or the platform's."),
    "steps": _l("Steps from the baseline to the item (integrated gradients)."),
    "privacy.steps": _l("Training steps that the declared mechanism took."),
    "attacks.steps": _l("Steps of each start. More are stronger and cost more."),
    "points": _l("How many points the curve has."),
    "radius": _l("How far an item is moved to see whether its explanation changes, in the units of the inputs."),
    "samples": _l("Changed copies of each item."),
    "scale": _l("Whether the radius is a share of the item's own length, or in the units of the inputs."),
    "attribute": _l("The column of the attributes that splits people into groups. Declared in the step Task."),
    "privacy.attribute": _l("The attribute that is to stay secret, or that says which items were trained on."),
    "privacy.accounted_epsilon.attribute": _l("The attribute that says which items were trained on."),
    "privacy.accuracy_epsilon.attribute": _l("The attribute that says with which epsilon an answer was made."),
    "engine": _l("Who computes: our own code, or AIF360 for comparison (the same number, far slower)."),
    "attacks.engine": _l("Our own code, or the Adversarial Robustness Toolbox for comparison (slower)."),
    "between_what": _l("The two sides privileged and unprivileged, or every group by itself."),
    "alpha": _l("Weight of the ends: 0 looks at who has least, 2 at who has most."),
    "cost": _l("Which error is to be equal after mitigation."),
    "objective": _l("What the mitigation aims at: SPD, DI, EOD or AOD."),
    "neighbours": _l("Similar people that each one is compared with."),
    "draws": _l("Control groups that are drawn."),
    "present": _l("The value that counts as present. Empty: the privileged one."),
    "concentration": _l("Added to every count, so that small groups do not give endless ratios. 0: nothing."),
    "level": _l("A gap counts as real where chance makes one as large less often than this."),
    "fairness.rate": _l("The rate that is compared between combined groups."),
    "rate": _l("Share of the training items in each step. Empty: as the submission declares."),
    "fallback": _l("What to take where no threshold satisfies the bounds."),
    "lower": _l("Smallest value of the objective that is acceptable. Empty: the usual bound."),
    "upper": _l("Largest value of the objective that is acceptable. Empty: the usual bound."),
    "thresholds": _l("How many thresholds are tried."),
    "of": _l("Unequal shares in the answers, or in the labels themselves."),
    "threshold": _l("Empty: the answers' own classes. A number: positive from there on. tuned: found on validation."),
    "average": _l("Of the positive class, or the mean over classes. Empty: by the number of classes."),
    "robustness.eps": _l("How far each input may be changed, in its own units. For images from 0 to 1 often 0.0314."),
    "performance.eps": _l("Probabilities are kept this far from 0 and 1, so that one item cannot make it endless."),
    "k": _l("The true class counts as found among this many."),
    "claimed": _l("The epsilon that was promised; what is measured is held against it. Empty: none."),
    "delta": _l("The small probability with which the promise may fail."),
    "member": _l("The attribute's value of items that were trained on."),
    "non_member": _l("The attribute's value of items that were not."),
    "noise": _l("Noise multiplier of the mechanism. Empty: as the submission declares."),
    "privacy.accuracy_epsilon.noise": _l("Noise multipliers in the order of the values. Empty: as declared."),
    "tolerance": _l("Accuracy that may be given up."),
    "hidden": _l("Inputs that the attacker does not see, with commas."),
    "label": _l("Whether the attacker knows the true label."),
    "confidence": _l("How sure the bound has to be."),
    "attacks.confidence": _l("How far beyond the boundary an example has to be."),
    "reference": _l("Values that mark the items of reference models: member, non-member. Empty: none."),
    "privacy.unlearning.reference": _l("The value of items that a retrained model answered. Empty: none."),
    "budget": _l("Questions that the thief may ask."),
    "pool": _l("Where shadow models get their training items."),
    "shadows": _l("Shadow models that are trained, an even number. More see more and take longer."),
    "forget": _l("The attribute's value of items to be forgotten."),
    "retain": _l("The attribute's value of items that stay."),
    "unseen": _l("The attribute's value of items never trained on."),
    "attack": _l("Who changes the inputs. Those with gradients need a model file; the others only ask."),
    "attacks": _l("The worst of these counts, item by item."),
    "check_items": _l("Items on which it is checked whether the number may be believed. 0: no check."),
    "check_queries": _l("Most questions an item that each check may ask."),
    "defence": _l("A change of the inputs before the model, attacked together with it. Empty: none."),
    "norm": _l("How change is measured: L∞, the largest change of one number, or L2, its overall length."),
    "batch": _l("Items asked at once while timing."),
    "attacks.batch": _l("Items at a time. Empty: all."),
    "push": _l("Whether scores are pushed as far as the budget allows, even where the class is wrong already."),
    "kinds": _l("Noise, blur, weather and digital faults that images get."),
    "severities": _l("From 1, hardly seen, to 5, with commas."),
    "draw": _l("Another number draws other examples."),
    "onward": _l("Steps that examples are taken on after they fool the model they were made against."),
    "surrogates": _l("Models of yours that examples are made against; upload them with the data."),
    "bisections": _l("Searches for the nearest example. 0: whether one lies within the budget, no more."),
    "restarts": _l("Further starts from random places."),
    "queries": _l("Most questions an item that the attack may ask."),
    "version": _l("The standard ensemble, or the one for models that answer by chance."),
    "around": _l("Length of steps around the item, as a share of the distance."),
    "toward": _l("Length of steps toward the item, as a share of the distance."),
    "proposals": _l("Places that are tried at each step."),
    "starts": _l("Random places that are tried to begin with."),
    "searches": _l("Searches for the weight between distance and success."),
    "step_size": _l("Length of a step. Empty: from the budget and the number of steps."),
    "classes": _l("How many of the likeliest classes are tried."),
    "overshoot": _l("How far beyond the boundary each step goes."),
    "initial": _l("Questions for the first estimate of a direction."),
    "largest_": _l("Most questions for one estimate of a direction."),
    "first": _l("Share of the input that the first squares cover."),
    "sureness": _l("How far beyond the boundary counts as fooled."),
    "quality": _l("Of the JPEG, from 1 to 95. Lower removes more."),
    "window": _l("Side of the square around a pixel, an odd number."),
}  # fmt: skip
TEXTS["attacks.largest"] = TEXTS.pop("largest_")

OPTIONS: dict[str, str | Promise] = {
    "linf": _l("L∞"), "l2": _l("L2"), "spd": _l("Statistical parity difference"), "di": _l("Disparate impact"),
    "eod": _l("Equal opportunity difference"), "aod": _l("Average odds difference"), "native": _l("Native"),
    "aif360": "AIF360", "art": "ART", "fnr": _l("False negative rate"), "fpr": _l("False positive rate"),
    "dlr": "DLR", "lira": "LiRA",
}  # fmt: skip

LABELS: dict[str, str | Promise] = {
    "eps": _l("Budget (eps)"), "robustness.items": _l("Items attacked"), "about": _l("Errors about"),
    "check_items": _l("Check: items"), "check_queries": _l("Check: questions an item"), "pue": _l("PUE"),
    "performance.eps": _l("Smallest probability (eps)"), "of": _l("Of what"),
}  # fmt: skip


def _nearest(table: dict[str, str | Promise], metric: str, parameter: Parameter) -> str:
    name = parameter.last
    keys = [f"{parameter.owner}.{name}", f"attacks.{name}", name] if parameter.owner else []
    keys = keys or [f"{metric}.{name}", f"{metric.partition('.')[0]}.{name}", name]
    return next((str(table[key]) for key in keys if key in table), "")


def help_text(metric: str, parameter: Parameter) -> str:
    """What it means, its bounds, and what it is where nothing is written."""
    parts = [_nearest(TEXTS, metric, parameter), _bounds(parameter)]
    return " ".join(part for part in parts if part)


def _bounds(parameter: Parameter) -> str:
    low, high = parameter.low, parameter.high
    if parameter.kind not in ("number", "numbers") or (low is None and high is None):
        return ""
    if low is not None and high is not None:
        if low[1] and high[1]:
            return _("From %(low)s to %(high)s.") % {"low": f"{low[0]:g}", "high": f"{high[0]:g}"}
        return _("Between %(low)s and %(high)s.") % {"low": f"{low[0]:g}", "high": f"{high[0]:g}"}
    if low is not None:
        return (_("At least %s.") if low[1] else _("More than %s.")) % f"{low[0]:g}"
    return (_("At most %s.") if high and high[1] else _("Less than %s.")) % f"{high[0] if high else 0:g}"


def label(metric: str, parameter: Parameter) -> str:
    """The name of a field, readable."""
    return _nearest(LABELS, metric, parameter) or _(parameter.last.replace("_", " ").capitalize())


def option(name: str) -> str:
    """One of a parameter's choices, readable."""
    return str(OPTIONS[name]) if name in OPTIONS else _(name.replace("_", " "))
