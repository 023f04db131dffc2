"""What allauth asks of us: how people are told things, and what is written down of what they do."""

from __future__ import annotations

import smtplib
from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.core.addresses import client_address
from touchstone.core.errors import Conflict, TooBusy

log = structlog.get_logger(__name__)

#: allauth's messages that our pages tell better, or not at all.
_SILENT = frozenset({"account/messages/logged_in.txt", "account/messages/logged_out.txt"})


class AccountAdapter(DefaultAccountAdapter):
    """Accounts with a password."""

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Nothing: whoever asks for a password counts the wrong ones, at sign-in we and after it allauth's view."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Raises `TooBusy` where the mail server does not take the message."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, smtplib.SMTPException) as error:
            log.error("mail_not_sent", template=template_prefix, error=f"{type(error).__name__}: {error}")
            raise TooBusy(
                _("The mail server does not take messages at the moment, so no mail was sent."),
                _("Try again in a few minutes. If it lasts, tell who runs this site."),
                "mail_not_sent",
            ) from error

    def send_notification_mail(
        self, template_prefix: str, user: AbstractBaseUser, context: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """That it could not be told does not undo what was done."""
        try:
            super().send_notification_mail(template_prefix, user, context, **kwargs)
        except TooBusy:
            log.warning("notification_not_sent", template=template_prefix)

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if message_template not in _SILENT:
            super().add_message(request, level, message_template, *args, **kwargs)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        try:
            with transaction.atomic():
                confirmed = bool(super().confirm_email(request, email_address))
                if confirmed:
                    audit_append(actor=email_address.user, act="email.confirm", subject=f"user:{email_address.user_id}")
        except IntegrityError as error:  # it becomes the address that they write from, and another account does
            raise Conflict(
                _("Another account writes from this address."), _("Use a different one, or ask who runs this site.")
            ) from error
        return confirmed

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        with transaction.atomic():
            super().set_password(user, password)
            audit_append(actor=_user(user), act="password.set", subject=f"user:{user.pk}")


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Accounts of another service (OpenID Connect).

    An address that the service names is never taken for that of an account here: who has one signs in to it and
    connects the two.
    """

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> AbstractBaseUser:
        with transaction.atomic():
            user = super().save_user(request, sociallogin, form)
            data = {"provider": sociallogin.account.provider}
            audit_append(actor=_user(user), act="user.create", subject=f"user:{user.pk}", data=data)
        return user


def _user(user: AbstractBaseUser) -> User:
    if not isinstance(user, User):
        raise TypeError(_("a %(name)s is no user of this site") % {"name": type(user).__name__})
    return user
