"""What a verdict means, beyond what is said of the one run that got it, and the end of the log with the cause."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from touchstone.evaluations.selectors import RunView

_LINES = 20
_LENGTH = 4000

VERDICT_HELP: dict[str, str | Promise] = {
    "timeout": _(
        "The clock runs outside the sandbox, from the start to the last answer. Usual causes: a model that is loaded "
        "for every question, one item at a time instead of batches, a download that waits for the network."
    ),
    "memory": _(
        "The limit holds for all processes together, and there is no swap. Usual causes: the whole data in memory at "
        "once, copies of a batch in float64, several workers that each load the model."
    ),
    "output_limit": _(
        "Log, temporary files and answers have limits of their own. Usual causes: a progress bar that prints a line an "
        "item, debug output left on, files that are never deleted."
    ),
    "crash": _(
        "The process ended while questions were still open. The last lines of the log hold the error as a rule. Usual "
        "causes: a library or file missing from the archive, a path that exists on your machine only, no write access."
    ),
    "invalid_output": _(
        "The judge checks shape, type and range of each answer. Usual causes: classes in another order, logits where "
        "probabilities are asked for, not a number (NaN), a row too many or too few."
    ),
    "scorer": _(
        "The competition's own data or metrics failed. The organisers see this run; nothing of yours was used up."
    ),
    "platform": _("A fault of ours. The run was tried again where that could help; nothing of yours was used up."),
}


def verdict_help(verdict: str) -> str:
    """What is usually behind a verdict; empty for those that need no help."""
    return str(VERDICT_HELP.get(verdict, ""))


def log_end(view: RunView) -> str:
    """The last lines that the run wrote before it failed, as far as the reader may see them."""
    if view.status not in ("failed", "rejected"):
        return ""
    text = view.log.strip() or view.sample_log.strip()
    return "\n".join(text.splitlines()[-_LINES:])[-_LENGTH:]
