"""What one's endpoints want to see of who asks them."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from touchstone.core.errors import UserError
from touchstone.submissions.endpoints import credential_add, credential_delete, credential_get, credentials_of
from touchstone.web.credential_forms import CredentialForm
from touchstone.web.forms import add_problem
from touchstone.web.views.support import page


@sensitive_post_parameters("secret")
@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def credentials(request: HttpRequest) -> HttpResponse:
    """One's credentials by name, and the form for another; a secret is never shown again."""
    form = CredentialForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = credential_add(user=request.user, **form.cleaned_data)
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, _("The credential %(name)s is kept.") % {"name": made.name})
            return redirect("web:credentials")
    context = {"nav": "account", "form": form, "credentials": credentials_of(user=request.user)}
    return render(request, "web/account/credentials.html", context, status=422 if form.is_bound else 200)


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """Ask, then forget it."""
    found = credential_get(user=request.user, name=name)
    if request.method == "POST":
        credential_delete(user=request.user, name=name)
        messages.success(request, _("The credential %(name)s is gone.") % {"name": name})
        return redirect("web:credentials")
    return render(request, "web/account/credential_delete.html", {"nav": "account", "credential": found})
