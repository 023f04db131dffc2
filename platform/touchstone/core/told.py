"""Sentences that are stored in English, in the language of the page: why something has no value, and what happened.

They were written when nobody had asked for a page: by the scheduler, by the judge on a node, at the ranking of a board.
What is not known here stays as it was written.
"""

from __future__ import annotations

import re
from functools import cache

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _n

#: What happens to a run.
_EVENTS = (
    _n("Attempt %(n)s on node %(node)s."),
    _n("Attempt %(n)s was lost: %(why)s"),
    _n("Back in the queue; this attempt does not count."),
    _n("Cancelled by an organiser."),
    _n("Cancelled by the participant."),
    _n("Cancelled, as asked."),
    _n("Cancelled, as asked; the node no longer answers."),
    _n("Checked: the file is well-formed."),
    _n("Checked: the endpoint answers as it should."),
    _n("Checking the file."),
    _n("A copy for a matrix."),
    _n("A finalist: its file was checked before."),
    _n("In the queue of the finals."),
    _n("In the queue, behind what participants sent."),
    _n("Its file was checked before."),
    _n("The submission it copies was scored: its file is sound."),
    _n("the checker did not answer"),
    _n("the node did not finish within the time limit"),
    _n("the node stopped answering"),
    _n("%(n)s runs in a row failed by its own fault. Last: %(why)s"),
    _n("It waited long behind phases of higher priority, and comes first now."),
    _n("Node %(node)s gave the run back: it stops, or has no room now."),
    _n("An organiser asked to cancel; the node stops at its next sign of life."),
    _n("Scored."),
    _n("Evaluated again by the organisers: %(reason)s"),
    _n("Received."),
    _n("The check could not be made (%(why)s); it will be tried again."),
    _n("The file could not be checked after %(n)s tries: %(why)s."),
    _n("The file could not be checked in time: %(why)s."),
    _n("The file was not accepted."),
    _n("The participant asked to cancel; the node stops at its next sign of life."),
    _n("The platform could not evaluate this submission in %(n)s attempts. Last: %(why)s"),
    _n("The submission ended with %(verdict)s."),
    _n("node %(node)s lost what supervised the run"),
)
#: How work beside the runs ended: reading the data of a draft, the publish check, an export, a webhook.
_JOBS = (
    _n("A guess can do well here: read it beside the metrics of performance."),
    _n("A guess does better than chance."),
    _n("A guess gets as much as the truth."),
    _n("Ask for another one."),
    _n("It answered %(status)s."),
    _n("It answered 410: it wants to hear no more."),
    _n("It answered with a redirection, which is not followed."),
    _n("It could not be computed."),
    _n("It has no value for such a submission."),
    _n("Not checked: %(why)s"),
    _n("Nothing has arrived since %(since)s UTC. %(why)s"),
    _n("Run the check again."),
    _n("The competition was changed while its check was prepared."),
    _n("The data could not be looked at: the process that read them ended three times. Use smaller files."),
    _n("The data could not be read within %(n)s minutes. Use Parquet or npz, or fewer items."),
    _n("The data could not be read: reading them took too much memory or broke off. Use smaller files."),
    _n("The file could not be made: that is a fault of ours, or there was no room for it."),
    _n("The file could not be made: the process that made it ended three times."),
    _n("The made-up submissions could not be prepared: that is a fault of ours."),
    _n("The made-up submissions could not be prepared: the process that made them ended three times."),
    _n("The secret cannot be read any more; rotate it."),
    _n("The truth gets less than that."),
    _n("Try again, without the artifacts."),
    _n("Use smaller files of labels, or Parquet, and run the check again."),
    _n("What the truth gets here depends on the data."),
    _n("Whoever asked for it does not organise the competition any more."),
)
#: Why a result or a rank is missing.
_REASONS = (
    _n("%(key)s has no anchors: the competition must set worst and best"),
    _n("%(key)s has no better and worse, so nothing can be ranked by it"),
    _n("%(key)s is %(value)s, infinitely far from 1"),
    _n("%(key)s was not computed"),
    _n("%(key)s: not applicable"),
    _n("%(key)s: not applicable (%(why)s)"),
    _n("%(key)s: too few items"),
    _n("%(key)s: too few items (%(why)s)"),
    _n("%(key)s: undefined"),
    _n("%(key)s: undefined (%(why)s)"),
    _n("%(key)s: failed"),
    _n("%(key)s: failed (%(why)s)"),
    _n("a class of the split has no items"),
    _n("a file of answers cannot be asked"),
    _n("a prediction file cannot be queried"),
    _n("a side, or the split, lacks one of the two outcomes"),
    _n("a side, or the validation split, lacks one of the two outcomes"),
    _n("gate %(gate)s: %(value)s"),
    _n("no group has a rate above 0, so the ratio divides by zero"),
    _n("no item has a known %(attribute)s"),
    _n("no item has a known value of each attribute"),
    _n("no item of the split has the class %(names)s"),
    _n("no item of the split has the positive class"),
    _n("no item was attacked"),
    _n("no value"),
    _n("not computed for this run"),
    _n("nothing was run: the submission is a file of answers"),
    _n("only a task of two classes has a positive class"),
    _n("the board has no utilities"),
    _n("the competition declares no favourable class"),
    _n("the data split has no attribute %(attribute)s"),
    _n("the data split has no such attribute"),
    _n("the model gets none of the items right, so there is nothing to attack"),
    _n("the split has no items"),
    _n("the task has no positive class"),
    _n("there are no examples made against %(names)s"),
)
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Those with places to fill; the others are found by gettext itself."""
    found = []
    for template in (*_EVENTS, *_JOBS, *_REASONS):
        parts = _PLACEHOLDER.split(template)
        if len(parts) > 1:
            pattern = "".join(f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
            found.append((re.compile(pattern, re.DOTALL), template))
    return tuple(found)


def told(text: str) -> str:
    """A stored sentence in the language of the page."""
    if not text or (get_language() or "en").startswith("en"):
        return text
    found = gettext(text)
    if found != text:
        return found
    for pattern, template in _patterns():
        match = pattern.fullmatch(text)
        if match is not None:
            return gettext(template) % {name: told(value) for name, value in match.groupdict().items()}
    return text
