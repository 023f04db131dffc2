"""Forms of the organisers' pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from runners.contract import Verdict
from touchstone.competitions.models import Announcement, Participation
from touchstone.evaluations.models import RunStatus
from touchstone.submissions.models import Submission
from touchstone.web import present
from touchstone.web.forms import KINDS

_TEXT = {"class": "form-control"}
_SELECT = {"class": "form-select"}
_ANY = ("", _("any"))


#: How a run ended; others are shown by their name.
_VERDICTS = {
    "ok": _("well"), "timeout": _("time limit"), "memory": _("memory limit"), "output_limit": _("output limit"),
    "crash": _("crash"), "invalid_output": _("answers that cannot be scored"), "scorer": _("fault of the competition"),
    "platform": _("fault of the platform"),
}  # fmt: skip


def _choice(label: Any, choices: list[tuple[str, Any]]) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=[_ANY, *choices], widget=forms.Select(attrs=_SELECT))


class SubmissionFilterForm(forms.Form):
    """What a list of submissions is narrowed to. Every field may be empty."""

    q = forms.CharField(
        label=_("Text"), required=False, max_length=200, widget=forms.TextInput(attrs={**_TEXT, "type": "search"}),
        help_text=_("In name, message or explanation; or a whole id."),
    )  # fmt: skip
    phase = _choice(_("Phase"), [])
    kind = _choice(_("Kind"), [(kind.value, KINDS[kind.value].title) for kind in Submission.Kind])
    status = _choice(_("State"), [(s.value, present.RUN_BADGES[s.value].word) for s in RunStatus])
    verdict = _choice(_("Verdict"), [(v.value, _VERDICTS.get(v.value, v.value.replace("_", " "))) for v in Verdict])
    participant = forms.CharField(
        label=_("Participant"), required=False, max_length=100, widget=forms.TextInput(attrs=_TEXT)
    )
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={**_TEXT, "type": "date"}),
        help_text=_("Days in UTC."),
    )  # fmt: skip
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput(attrs={**_TEXT, "type": "date"}))
    withdrawn = _choice(_("Withdrawn"), [("no", _("no")), ("yes", _("yes"))])

    def __init__(self, *args: Any, phases: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["phase"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [_ANY, *phases]


class ReasonForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.Textarea(attrs={**_TEXT, "rows": 3}),
        error_messages={"required": _("Say why.")},
    )  # fmt: skip

    def __init__(self, *args: Any, help_text: Any = "", required: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = help_text
        self.fields["reason"].required = required


class ParticipantFilterForm(forms.Form):
    q = forms.CharField(
        label=_("Name"), required=False, max_length=100, widget=forms.TextInput(attrs={**_TEXT, "type": "search"})
    )
    status = _choice(
        _("Status"),
        [
            (Participation.Status.PENDING.value, _("waits for approval")),
            (Participation.Status.ACTIVE.value, _("takes part")),
            (Participation.Status.REMOVED.value, _("removed")),
        ],
    )


class AnnouncementForm(forms.Form):
    """Something to tell."""

    title = forms.CharField(label=_("Title"), max_length=200, widget=forms.TextInput(attrs=_TEXT))
    markdown = forms.CharField(
        label=_("Text"), max_length=20_000, widget=forms.Textarea(attrs={**_TEXT, "rows": 8}),
        help_text=_("Markdown: a blank line begins a paragraph, **bold**, [link](https://…), - lists."),
    )  # fmt: skip
    audience = forms.ChoiceField(
        label=_("Who sees it"), initial=Announcement.Audience.EVERYBODY.value,
        choices=[
            (Announcement.Audience.EVERYBODY.value, _("Everybody who may see the competition")),
            (Announcement.Audience.PARTICIPANTS.value, _("Participants and organisers only")),
        ],
        widget=forms.Select(attrs=_SELECT),
    )  # fmt: skip
    mail = forms.BooleanField(
        label=_("Send it by e-mail, too"), required=False, widget=forms.CheckboxInput(),
        help_text=_("To each participant by themselves; nobody sees another's address."),
    )  # fmt: skip

    def __init__(self, *args: Any, personal: bool = False, mailer: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if personal:
            del self.fields["audience"]
        if not mailer:
            del self.fields["mail"]
