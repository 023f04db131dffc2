"""A program asks to be signed in: the person compares its code, sees what it wants, and decides."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.accounts.devices import LIFETIMES, device_approve, device_deny, device_find
from touchstone.accounts.models import DeviceGrant
from touchstone.core.addresses import client_address
from touchstone.core.errors import UserError
from touchstone.core.rates import DEVICE_CODES, rate_forgive, rate_take
from touchstone.web.access_forms import DeviceCodeForm, DeviceForm, scope_text
from touchstone.web.forms import add_problem
from touchstone.web.views.support import page


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def device(request: HttpRequest) -> HttpResponse:
    """Ask for the code, or with one for a decision. A link with the code in it decides nothing."""
    given = request.POST.get("code") or request.GET.get("code") or ""
    if not given:
        return _ask(request, DeviceCodeForm(request.POST if request.method == "POST" else None))
    form = DeviceCodeForm({"code": given})
    if not form.is_valid():
        return _ask(request, form)
    try:
        grant = _find(request, form.cleaned_data["code"])
    except UserError as error:
        if error.code != "device_code":
            raise
        form.add_error("code", f"{error.message} {error.hint}")
        return _ask(request, form)
    return _decide(request, grant, form.cleaned_data["code"])


def _find(request: HttpRequest, code: str) -> DeviceGrant:
    """Wrong codes count towards a limit, each before it is looked at."""
    subjects = {"address": client_address(request), "name": request.user.get_username()}
    rate_take(rate=DEVICE_CODES, subjects=subjects)
    found = device_find(user_code=code)
    rate_forgive(rate=DEVICE_CODES, subjects=subjects)
    return found


def _ask(request: HttpRequest, form: DeviceCodeForm) -> HttpResponse:
    context = {"nav": "account", "form": form}
    return render(request, "web/account/device.html", context, status=422 if form.is_bound else 200)


def _decide(request: HttpRequest, grant: DeviceGrant, code: str) -> HttpResponse:
    act = request.POST.get("act", "")
    form = DeviceForm(request.POST if act == "approve" else None, lifetimes=LIFETIMES)
    if request.method == "POST" and act == "deny":
        device_deny(grant=grant, user=request.user)
        return render(request, "web/account/device_done.html", {"nav": "account", "grant": grant})
    if form.is_bound and form.is_valid():
        try:
            device_approve(grant=grant, user=request.user, days=form.cleaned_data["days"])
        except UserError as error:
            add_problem(form, error)
        else:
            return render(request, "web/account/device_done.html", {"nav": "account", "grant": grant})
    letters = "".join(letter for letter in code.upper() if letter.isalnum())
    context = {
        "nav": "account", "form": form, "grant": grant, "code": f"{letters[:4]}-{letters[4:]}",
        "scopes": [scope_text(scope) for scope in grant.scopes], "from": grant.address or _("an unknown address"),
    }  # fmt: skip
    return render(request, "web/account/device_decide.html", context, status=422 if form.is_bound else 200)
