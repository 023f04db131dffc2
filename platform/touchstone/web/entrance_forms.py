"""allauth's forms of passwords, which also end what a stranger may have made while they had the old one."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import ChangePasswordForm, ResetPasswordKeyForm
from django import forms
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from touchstone.accounts.services import tokens_revoke


class ResetForm(ResetPasswordKeyForm):
    """Whoever forgot a password, or lost it: every token ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password2"].help_text = _(
            "All your API tokens end with the old password: make new ones where you need them. Then look at your "
            "account page for trusted publishing that you do not know."
        )

    def save(self) -> None:
        with transaction.atomic():
            super().save()
            tokens_revoke(user=self.user)


class ChangeForm(ChangePasswordForm):
    """Changing it offers the same."""

    revoke = forms.BooleanField(
        label=_("Also end all my API tokens"),
        required=False,
        help_text=_("Choose this where somebody else may know your password. Programs that use a token are refused."),
    )

    def save(self) -> None:
        with transaction.atomic():
            super().save()
            if self.cleaned_data["revoke"]:
                tokens_revoke(user=self.user)
