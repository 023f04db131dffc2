"""Forms of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

#: What each event says, in the order in which they are shown.
EVENT_TEXTS = {
    "submission.received": _("A submission arrived"),
    "submission.scored": _("A submission was scored"),
    "submission.failed": _("A submission failed"),
    "submission.rejected": _("A submission did not pass its check"),
    "submission.cancelled": _("A submission was cancelled"),
    "submission.withdrawn": _("A submission was withdrawn"),
    "board.changed": _("A leaderboard changed (once a minute at most)"),
    "competition.opened": _("A phase opened"),
    "competition.closed": _("A phase closed"),
    "announcement": _("An announcement was made"),
}


class WebhookForm(forms.Form):
    """An address and what it hears of."""

    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("A public https address that takes POST requests, for example of your chat or your CI."),
        widget=forms.URLInput(attrs={"class": "form-control", "autocomplete": "off", "placeholder": "https://"}),
    )
    events = forms.MultipleChoiceField(
        label=_("What it hears of"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one event.")},
    )

    def __init__(self, *args: Any, known: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["events"].choices = [(event, EVENT_TEXTS[event]) for event in known]  # type: ignore[attr-defined]
