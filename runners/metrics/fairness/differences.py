"""Difference and ratio of each rate between the sides: one metric for each line of two tables."""

from __future__ import annotations

from collections.abc import Callable

from runners.context import MetricContext
from runners.metrics.fairness.evaluation import About, Engine, evaluate
from runners.metrics.fairness.formulae import COMBINED, Formula, difference, ratio
from runners.metrics.fairness.shares import SHARES
from runners.metrics.fairness.wording import COMPARED_INTERVAL, RATE_LIMITS, RATIO_LIMITS, SIDES_LIMITS, written
from runners.registry import MetricReturn, metric

_AIF360 = "as in AIF360 (Bellamy et al. 2019)"
#: Rates compared as they are, with where the comparison comes from. Selection rates have metrics of their own.
_RATES = {
    "base_rate": "Feldman et al. 2015 on the data themselves; as in AIF360's BinaryLabelDatasetMetric",
    "true_positive_rate": f"Hardt, Price and Srebro 2016; {_AIF360}",
    "true_negative_rate": "Hardt, Price and Srebro 2016; sign as in AIF360",
    "false_positive_rate": f"Chouldechova 2017 (predictive equality); {_AIF360}",
    "false_negative_rate": f"Chouldechova 2017; {_AIF360}",
    "positive_predictive_value": "Chouldechova 2017 (predictive parity); sign as in AIF360",
    "negative_predictive_value": "Berk et al. 2021 (conditional use accuracy equality); sign as in AIF360",
    "false_discovery_rate": f"Chouldechova 2017; {_AIF360}",
    "false_omission_rate": f"Berk et al. 2021; {_AIF360}",
    "accuracy": "Berk et al. 2021 (overall accuracy equality); sign as in AIF360",
    "error_rate": f"Berk et al. 2021; {_AIF360}",
    "treatment_equality": "Berk et al. 2021 (treatment equality: false negatives over false positives of each side)",
}
#: What AIF360 has a method for, beside what other modules of this folder register.
_OFFERED = frozenset(
    {"true_positive_rate_difference", "error_rate_difference", "error_rate_ratio", "base_rate_difference",
     "base_rate_ratio", "average_predictive_value_difference"}
    | {f"{name}_rate_{kind}" for name in ("false_positive", "false_negative", "false_omission", "false_discovery")
       for kind in ("difference", "ratio")}
)  # fmt: skip

Compare = Callable[..., MetricReturn]


def _metric_of(name: str, formula: Formula, summary: str) -> Compare:
    """The function of one metric; its parameters are what the catalogue shows."""
    if name in _OFFERED:

        def offered(
            ctx: MetricContext, *, attribute: str, about: About = "favourable", engine: Engine = "native"
        ) -> MetricReturn:
            return evaluate(ctx, attribute, formula, purpose=name, engine=engine, about=about)

        chosen: Compare = offered
    else:

        def own(ctx: MetricContext, *, attribute: str, about: About = "favourable") -> MetricReturn:
            return evaluate(ctx, attribute, formula, purpose=name, about=about)

        chosen = own
    chosen.__name__ = chosen.__qualname__ = name
    chosen.__doc__ = summary
    return chosen


def _register(name: str, title: str, formula: Formula, summary: str, reference: str, *, text: str, limits: str) -> None:
    bounded = formula.weights is not None and all(SHARES[s].proportion for s in formula.shares)
    metric(
        f"fairness.{name}",
        title=title,
        direction="one" if formula.weights is None else "zero",
        range=(-1.0, 1.0) if bounded else (0.0, None) if formula.weights is None else (None, None),
        needs=("predictions", "attributes", "favourable"),
        results=("[attribute]",),
        reference=reference,
        formula=text,
        interval=_interval_of(formula),
        limits=f"{limits} {SIDES_LIMITS}",
    )(_metric_of(name, formula, summary))


def _interval_of(formula: Formula) -> str:
    if all(SHARES[share].proportion for share in formula.shares):
        return COMPARED_INTERVAL
    return COMPARED_INTERVAL.partition(";")[0] + "; none where nothing varies."


def _register_all() -> None:
    for name, reference in _RATES.items():
        title = SHARES[name].title
        heading = title[0].upper() + title[1:]
        about = "About the favourable outcome, or with `about: positive` about the positive class."
        lacking = f"Undefined where a side {SHARES[name].empty}"
        _register(
            f"{name}_difference", f"{heading}: difference", difference(name),
            f"{heading}, unprivileged - privileged: 0 is equality. {about}\n\n{lacking}.", reference,
            text=f"r(unprivileged) − r(privileged),  r = {written(name)}", limits=RATE_LIMITS[name],
        )  # fmt: skip
        _register(
            f"{name}_ratio", f"{heading}: ratio", ratio(name),
            f"{heading}, unprivileged / privileged: 1 is equality. {about}\n\n"
            f"{lacking}, or where the privileged side's is 0.", reference,
            text=f"r(unprivileged) / r(privileged),  r = {written(name)}",
            limits=f"{RATE_LIMITS[name]} {RATIO_LIMITS}",
        )  # fmt: skip
    _register(
        "average_predictive_value_difference", "Average predictive value difference",
        COMBINED["average_predictive_value_difference"],
        "Mean of the PPV and FOR differences, unprivileged - privileged. Opposite differences cancel.\n\n"
        "Undefined where all or none of a side are predicted to have the outcome.", _AIF360,
        text="½ [(PPV(unprivileged) − PPV(privileged)) + (FOR(unprivileged) − FOR(privileged))]\n"
        f"PPV = {written('positive_predictive_value')}, FOR = {written('false_omission_rate')}",
        limits=f"Signed, so opposite differences cancel: read the two. {RATE_LIMITS['positive_predictive_value']}",
    )  # fmt: skip


_register_all()
