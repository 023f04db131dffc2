"""The form for a credential of an endpoint."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

_TEXT = {"class": "form-control", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class CredentialForm(forms.Form):
    """A secret is not sent back where something else is wrong: it is typed again."""

    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        help_text=_("What you choose it by when you submit. Small letters, digits, hyphens and underscores."),
        widget=forms.TextInput(attrs=_TEXT),
    )
    header = forms.CharField(
        label=_("Header"),
        max_length=64,
        initial="Authorization",
        help_text=_("The header that your endpoint looks at, such as Authorization or X-Api-Key."),
        widget=forms.TextInput(attrs=_TEXT),
    )
    secret = forms.CharField(
        label=_("Value"),
        max_length=4096,
        help_text=_("The whole value of the header, such as Bearer and the token. It is kept encrypted."),
        widget=forms.PasswordInput(attrs={**_TEXT, "autocomplete": "new-password"}),
    )
