"""The choice of a language, kept in a cookie of this browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from touchstone.core.errors import NotAllowed
from touchstone.web.views.support import page


# A token in the foot of every page would give each stranger a cookie, and boards that a browser keeps an old token.
# Browsers name the page that a form comes from, and another site's form could change no more than the language.
@csrf_exempt
@page
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Remember the language and go back to where the choice was made: only to an address of this site."""
    if not _from_here(request):
        raise NotAllowed(
            _("The language is chosen on the pages of this site."), _("Go to one of them and choose it there.")
        )
    return set_language(request)


def _from_here(request: HttpRequest) -> bool:
    sender = urlsplit(request.headers.get("Origin") or request.headers.get("Referer", ""))
    known = {request.get_host(), *(urlsplit(origin).netloc for origin in settings.CSRF_TRUSTED_ORIGINS)}
    return sender.netloc in known
