"""allauth's pages where they need a word of ours."""

from __future__ import annotations

from typing import Any

from allauth.account.views import EmailView
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _


class EmailAddresses(EmailView):
    """Two accounts never write from one address, and who comes second is told so."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            with transaction.atomic():
                response: HttpResponse = super().post(request, *args, **kwargs)
        except IntegrityError as error:
            if "user_email_unique" not in str(error):
                raise
            messages.error(request, _("Another account writes from this address. Choose a different one."))
            return HttpResponseRedirect(self.get_success_url())
        return response
