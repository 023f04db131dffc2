"""Forms of the pages: they read and clean input; the services decide whether it is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from allauth.account.forms import LoginForm
from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from touchstone.competitions.models import Phase
from touchstone.core.errors import UserError

_TEXT = {"class": "form-control"}


@dataclass(frozen=True)
class Kind:
    """A kind of submission as its card in the form shows it."""

    title: str | Promise
    help: str | Promise
    icon: str


KINDS = {
    "predictions": Kind(
        _("Predictions"),
        _("A Parquet or CSV file with one row an item. Scored at once; robustness and speed cannot be measured."),
        icon="table",
    ),
    "model": Kind(
        _("Model"),
        _("An ONNX file. The platform serves it, so white-box attacks, parameters and speed can be measured too."),
        icon="box",
    ),
    "container": Kind(
        _("Container"),
        _("An image that you pushed, or a docker save archive. It answers the judge's queries."),
        icon="package",
    ),
    "code": Kind(
        _("Code"),
        _("A zip with main.py at its root, run in the platform's Python runtime. It answers the judge's queries."),
        icon="code",
    ),
    "endpoint": Kind(
        _("API endpoint"),
        _("An HTTPS address that speaks the Open Inference Protocol. Items are sent there; memory stays unknown."),
        icon="globe",
    ),
}


def add_problem(form: forms.Form, error: UserError) -> None:
    """Show what a service refused: beside the fields it names, else above the form."""
    placed = False
    for name, texts in error.fields.items():
        for text in texts if name in form.fields else ():
            form.add_error(name, text)
            placed = True
    if not placed:
        form.add_error(None, f"{error.message} {error.hint}".strip())


class SignUpForm(forms.Form):
    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        help_text=_("Others see it. Letters, digits and @ . + - _"),
        widget=forms.TextInput(
            attrs={**_TEXT, "autocomplete": "username", "autocapitalize": "none", "autofocus": True}
        ),
    )
    # Judged by the service, together with the other fields, so that all faults are told at once.
    email = forms.CharField(
        label=_("E-mail address"), max_length=254, widget=forms.EmailInput(attrs={**_TEXT, "autocomplete": "email"})
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        help_text=_("At least 10 characters, and not one that many people use."),
        widget=forms.PasswordInput(attrs={**_TEXT, "autocomplete": "new-password"}),
    )


class SignInForm(LoginForm):
    """allauth's own form, with the look and words of ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        login, password = self.fields["login"], self.fields["password"]
        login.label = _("User name or e-mail address")
        login.widget = forms.TextInput(
            attrs={**_TEXT, "autocomplete": "username webauthn", "autocapitalize": "none", "autofocus": True}
        )
        password.help_text = ""
        password.widget = forms.PasswordInput(attrs={**_TEXT, "autocomplete": "current-password"})


class DeleteAccountForm(forms.Form):
    """The user name typed again: what cannot be undone is never one click."""

    username = forms.CharField(
        label=_("Your user name, to confirm"), widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "off"})
    )

    def __init__(self, *args: Any, username: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._username = username

    def clean_username(self) -> str:
        given = str(self.cleaned_data["username"]).strip()
        if given != self._username:
            raise forms.ValidationError(_("This is not your user name: %(name)s."), params={"name": self._username})
        return given


class JoinForm(forms.Form):
    display_name = forms.CharField(
        label=_("Name on the leaderboard"),
        max_length=100,
        widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "nickname"}),
    )
    accept_terms = forms.BooleanField(
        label=_("I have read the terms and accept them."),
        error_messages={"required": _("You can join only if you accept the terms.")},
    )


class BoardNameForm(forms.Form):
    display_name = forms.CharField(
        label=_("Name on the leaderboard"),
        max_length=100,
        help_text=_("Everybody sees it. It is unique in this competition."),
        widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "off"}),
    )


class TeammateForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"),
        required=False,
        help_text=_("Whom the invitation is for. Leave it empty for a link that anybody who has it can use once."),
        widget=forms.EmailInput(attrs={**_TEXT, "autocomplete": "off"}),
    )


class InvitationForm(forms.Form):
    """An invitation of an organiser."""

    role = forms.ChoiceField(
        label=_("As"),
        choices=[("participant", _("Participant")), ("organiser", _("Organiser: sees and may change everything"))],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    email = forms.CharField(
        label=_("E-mail address"),
        max_length=254,
        required=False,
        help_text=_("Whom it is for. Left empty, whoever gets the link first can use it."),
        widget=forms.EmailInput(attrs={**_TEXT, "autocomplete": "off"}),
    )


class SubmitForm(forms.Form):
    """One submission. `phases` are the open ones; `kinds` those the competition takes."""

    phase = forms.ChoiceField(label=_("Phase"), widget=forms.Select(attrs={"class": "form-select"}))
    kind = forms.ChoiceField(label=_("What you send"), widget=forms.RadioSelect)
    file = forms.FileField(
        label=_("Choose a file, or drop it here"),
        required=False,
        widget=forms.FileInput(attrs={"class": "form-control"}),
    )
    image = forms.CharField(
        label=_("Image name, instead of a file"),
        max_length=300,
        required=False,
        help_text=_("An image that you pushed, by the name that the push printed: HOST/COMPETITION/YOU/NAME@sha256:…"),
        widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "off", "spellcheck": "false"}),
    )
    url = forms.CharField(
        label=_("Address of the endpoint, instead of a file"),
        max_length=500,
        required=False,
        help_text=_("https://HOST or https://HOST/PATH: what stands before /v2. The platform's nodes ask it."),
        widget=forms.TextInput(attrs={**_TEXT, "inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    model = forms.CharField(
        label=_("Name of its model"),
        max_length=100,
        required=False,
        help_text=_("What stands in /v2/models/NAME; model if empty."),
        widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "off", "spellcheck": "false"}),
    )
    credential = forms.ChoiceField(
        label=_("Credential"),
        required=False,
        help_text=_("What the endpoint wants to see of who asks. Credentials are kept on your account page."),
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    upload = forms.UUIDField(required=False, widget=forms.HiddenInput(attrs={"data-uploader-id": ""}))
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        required=False,
        help_text=_("To find it again: resnet18, longer training. You can change it at any time."),
        widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "off"}),
    )
    message = forms.CharField(
        label=_("Note"),
        max_length=500,
        required=False,
        help_text=_("For yourself and your team: what is different this time. Organisers can read it too."),
        widget=forms.TextInput(attrs=_TEXT),
    )

    def __init__(
        self,
        *args: Any,
        phases: Iterable[Phase],
        kinds: Iterable[str],
        limit_text: str,
        credentials: Iterable[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        kinds = list(kinds)
        self.fields["phase"].choices = [(phase.slug, phase.title) for phase in phases]  # type: ignore[attr-defined]
        self.fields["kind"].choices = [(kind, KINDS[kind].title) for kind in kinds]  # type: ignore[attr-defined]
        self.fields["kind"].initial = kinds[0] if kinds else None
        self.fields["file"].help_text = limit_text
        if "container" not in kinds:
            del self.fields["image"]
        if "endpoint" not in kinds:
            del self.fields["url"], self.fields["model"], self.fields["credential"]
        else:
            chosen = [("", _("None: it answers anybody")), *((name, name) for name in credentials)]
            self.fields["credential"].choices = chosen  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        image, file = data.get("image"), data.get("file") or data.get("upload")
        if data.get("kind") == "container":
            if bool(image) == bool(file):
                self.add_error("file", _("Send either an archive or the digest of an image, and not both."))
        elif data.get("kind") == "endpoint":
            data["image"] = ""
            if not data.get("url") and "url" not in self.errors:
                self.add_error("url", _("Write the address of the endpoint."))
        elif data.get("kind"):
            data["image"] = ""
            if not file and "file" not in self.errors:
                self.add_error("file", _("Choose the file to submit."))
        return data


class BundleForm(forms.Form):
    bundle = forms.FileField(
        label=_("Choose a zip, or drop it here"),
        help_text=_("competition.yml may lie at the root of the zip or in its one folder."),
        error_messages={
            "required": _("Choose the zip to upload."),
            "empty": _("This file is empty. Choose the zip of a competition folder."),
        },
        widget=forms.FileInput(attrs={"class": "form-control", "accept": ".zip,application/zip"}),
    )  # fmt: skip
