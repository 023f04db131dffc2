"""Forms of tokens, of programs that ask to be signed in, and of trusted jobs; and scopes in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from touchstone.accounts.scopes import ADMIN, LIMITED, scope_parts
from touchstone.competitions.models import Competition

_TEXT = {"class": "form-control", "autocomplete": "off"}
_CODE = {**_TEXT, "spellcheck": "false", "autocapitalize": "none"}

SCOPES: dict[str, str | Promise] = {
    "read": _("Read: competitions, your submissions and results"),
    "submit": _(
        "Submit: send, cancel and withdraw submissions (withdrawing is final), keep and remove credentials of "
        "endpoints, push and remove images"
    ),
    "organise": _("Organise: upload and change competitions"),
    "admin": _("Administer: see the nodes that evaluate, for the platform's staff"),
}
_LIMITED = {
    "submit": _(
        "Submit to %(competition)s only: send, cancel and withdraw submissions there (withdrawing is final), push and "
        "remove images, and read them"
    ),
    "organise": _("Organise %(competition)s only: change it, and read all of it"),
}


def scope_text(scope: str) -> str:
    """A scope in words; as it is where there is none such."""
    parts = scope_parts(scope=scope)
    if parts is None:
        return scope
    name, competition = parts
    return str(_LIMITED[name]) % {"competition": competition} if competition else str(SCOPES[name])


def _until(days: int) -> str:
    return {1: _now("for a day"), 365: _now("for a year")}.get(days) or _now("for %d days") % days


class TokenForm(forms.Form):
    """A new token: what it may do, where, and until when."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Where it will be used: laptop, CI of project X."),
        widget=forms.TextInput(attrs=_TEXT),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"), initial=["read", "submit"], widget=forms.CheckboxSelectMultiple
    )
    competition = forms.ChoiceField(
        label=_("Competition"),
        required=False,
        help_text=_(
            "Limited to one, the token submits to it or organises it, and reads there: it is told of no other."
        ),
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    expires = forms.ChoiceField(
        label=_("Expires"),
        choices=[
            ("7", _("in 7 days")),
            ("30", _("in 30 days")),
            ("90", _("in 90 days")),
            ("365", _("in a year")),
            ("0", _("never")),
        ],
        initial="90",
        widget=forms.Select(attrs={"class": "form-select"}),
    )

    def __init__(self, *args: Any, competitions: Iterable[Competition], staff: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(name, text) for name, text in SCOPES.items() if staff or name != ADMIN]
        self.fields["scopes"].choices = offered  # type: ignore[attr-defined]
        chosen = [("", _("All that you see")), *((each.slug, each.title) for each in competitions)]
        self.fields["competition"].choices = chosen  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("competition") and data.get("scopes") and not set(data["scopes"]) & set(LIMITED):
            self.add_error("scopes", _("For one competition, choose Submit or Organise: reading there is included."))
        return data

    @property
    def wanted(self) -> list[str]:
        """The scopes; for one competition those that can be limited, and no others."""
        scopes, slug = self.cleaned_data["scopes"], self.cleaned_data["competition"]
        return [f"{name}:{slug}" for name in scopes if name in LIMITED] if slug else scopes

    @property
    def expires_at(self) -> datetime | None:
        """The end of the token's life; None for a token that does not expire."""
        days = int(self.cleaned_data["expires"])
        return timezone.now() + timedelta(days=days) if days else None


class DeviceCodeForm(forms.Form):
    """The letters that a program shows."""

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        help_text=_("Eight letters, as the program shows them. Case and the dash do not matter."),
        widget=forms.TextInput(attrs={**_CODE, "autocapitalize": "characters", "autofocus": True}),
    )


class DeviceForm(forms.Form):
    """For how long a program may act."""

    days = forms.TypedChoiceField(
        label=_("Let it act for me"),
        coerce=int,
        initial=90,
        help_text=_("You can end it at any time on your account page."),
        widget=forms.Select(attrs={"class": "form-select"}),
    )

    def __init__(self, *args: Any, lifetimes: Iterable[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["days"].choices = [(days, _until(days)) for days in lifetimes]  # type: ignore[attr-defined]


class TrustForm(forms.Form):
    """Jobs of one repository that may submit to one competition. Texts and examples are those of its service."""

    competition = forms.ChoiceField(
        label=_("Competition"),
        help_text=_("The jobs can submit there, and read what is yours there; nothing else."),
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    repository = forms.CharField(label=_("Repository"), max_length=200, widget=forms.TextInput(attrs=_CODE))
    repository_id = forms.CharField(max_length=64, widget=forms.TextInput(attrs={**_CODE, "inputmode": "numeric"}))
    owner_id = forms.CharField(max_length=64, widget=forms.TextInput(attrs={**_CODE, "inputmode": "numeric"}))
    workflow = forms.CharField(label=_("Workflow file"), max_length=200, widget=forms.TextInput(attrs=_CODE))
    environment = forms.CharField(
        label=_("Environment"),
        max_length=100,
        required=False,
        help_text=_("Only jobs of this environment, whose rules can ask for a person's approval. Empty: any."),
        widget=forms.TextInput(attrs=_CODE),
    )
    ref = forms.CharField(
        label=_("Branch or tag"),
        max_length=200,
        required=False,
        help_text=_("Such as refs/heads/main, or refs/tags/v* for all tags that begin with v. Empty: any."),
        widget=forms.TextInput(attrs=_CODE),
    )

    def __init__(self, *args: Any, competitions: Iterable[Competition], kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = [(each.slug, each.title) for each in competitions]
        self.fields["competition"].choices = chosen  # type: ignore[attr-defined]
        for name, (label, text) in _TRUST_TEXTS.get(kind, _TRUST_TEXTS["other"]).items():
            self.fields[name].label = label
            self.fields[name].help_text = text


_TRUST_TEXTS: dict[str, dict[str, tuple[str | Promise, str | Promise]]] = {
    "github": {
        "repository": (_("Repository"), _("owner/name, as in its address. It is shown only: the two numbers decide.")),
        "repository_id": (
            _("Number of the repository"),
            _("id in the answer of https://api.github.com/repos/OWNER/NAME, or: gh api repos/OWNER/NAME --jq .id"),
        ),
        "owner_id": (
            _("Number of its owner"),
            _("owner.id in the same answer, or: gh api repos/OWNER/NAME --jq .owner.id"),
        ),
        "workflow": (_("Workflow file"), _("Its path in the repository: .github/workflows/submit.yml")),
    },
    "gitlab": {
        "repository": (_("Project"), _("group/name, as in its address. It is shown only: the two numbers decide.")),
        "repository_id": (
            _("Number of the project"),
            _("Project ID, under the three dots on the page of the project. In a job: CI_PROJECT_ID"),
        ),
        "owner_id": (
            _("Number of its group"),
            _("Group ID, under the three dots on the page of the group. In a job: CI_PROJECT_NAMESPACE_ID"),
        ),
        "workflow": (_("CI file"), _("Its path in the project: .gitlab-ci.yml")),
    },
    "other": {
        "repository": (_("Repository"), _("owner/name. It is shown only: the two ids decide.")),
        "repository_id": (_("Id of the repository"), _("As the service puts it into its tokens.")),
        "owner_id": (_("Id of its owner"), _("As the service puts it into its tokens.")),
        "workflow": (_("Workflow"), _("As the service puts it into its tokens.")),
    },
}
