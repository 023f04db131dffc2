"""Sign-up, sign-in, sign-out and API tokens."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.logout import logout
from allauth.account.internal.flows.signup import complete_signup, prevent_enumeration
from allauth.account.internal.templatekit import get_entrance_context_data
from allauth.account.views import LoginView
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from touchstone.accounts.leaving import account_delete, account_ties, export_archive
from touchstone.accounts.selectors import tokens_of
from touchstone.accounts.services import ADDRESS_TAKEN, token_create, token_revoke, user_create
from touchstone.competitions.selectors import competitions_own
from touchstone.core.addresses import client_address
from touchstone.core.clock import now
from touchstone.core.errors import UserError
from touchstone.core.rates import EXPORTS, SIGN_IN, SIGN_UP, TOKENS, rate_forgive, rate_take
from touchstone.web.access_forms import TokenForm, scope_text
from touchstone.web.forms import DeleteAccountForm, SignInForm, SignUpForm, add_problem
from touchstone.web.views.support import page


def _next(request: HttpRequest) -> str:
    """Where to go after: only an address of this site."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if allowed else ""


def _onward(request: HttpRequest) -> HttpResponse:
    """There, as an address and never as the name of a view."""
    return HttpResponseRedirect(_next(request) or reverse("web:home"))


@sensitive_post_parameters("password")
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def signup(request: HttpRequest) -> HttpResponse:
    """Make an account and sign in to it, or first have its address confirmed where the site can send mail."""
    if request.user.is_authenticated:
        return _onward(request)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        subjects = {"address": client_address(request), "name": form.cleaned_data["username"]}
        rate_take(rate=SIGN_UP, subjects=subjects)
        try:
            user = user_create(**form.cleaned_data, discreet=_sends_mail())
        except UserError as error:
            if error.code == ADDRESS_TAKEN and _sends_mail():
                # Who has an account is not told to strangers: its owner gets a mail instead.
                return prevent_enumeration(request, email=form.cleaned_data["email"].strip())
            add_problem(form, error)
        else:
            messages.success(request, _("Welcome, %(name)s. Your account is ready.") % {"name": user.username})
            return complete_signup(request, user=user, redirect_url=_next(request) or reverse("web:home"))
    context = get_entrance_context_data(request) | {"form": form, "next": _next(request)}
    return render(request, "web/account/signup.html", context, status=422 if form.is_bound else 200)


class SignIn(LoginView):
    """Only failures count towards the limit; each is counted before the password is looked at."""

    template_name = "web/account/login.html"
    form_class = SignInForm
    success_url = reverse_lazy("web:home")
    extra_context = {"nav": "login"}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        rate_take(rate=SIGN_IN, subjects=self._subjects())
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def form_valid(self, form: SignInForm) -> HttpResponse:
        rate_forgive(rate=SIGN_IN, subjects=self._subjects())
        response: HttpResponse = super().form_valid(form)
        return response

    def form_invalid(self, form: SignInForm) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)
        response.status_code = 422
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "next": _next(self.request), "mail": _sends_mail()}

    def _subjects(self) -> dict[str, str]:
        return {"address": client_address(self.request), "name": self.request.POST.get("login", "")}


@require_http_methods(["POST"])
def signout(request: HttpRequest) -> HttpResponse:
    """End the session; a link alone cannot."""
    logout(request)
    return _onward(request)


def _sends_mail() -> bool:
    return bool(settings.TOUCHSTONE_EMAIL_URL)


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """The account with its tokens. A new token's text is in this one answer and nowhere else."""
    user, secret = request.user, ""
    offered = {"competitions": list(competitions_own(user=user)), "staff": user.is_staff}
    form = TokenForm(request.POST or None, **offered)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        rate_take(rate=TOKENS, subjects={"address": client_address(request), "name": user.get_username()})
        try:
            _token, secret = token_create(user=user, name=data["name"], scopes=form.wanted, expires_at=form.expires_at)
            form = TokenForm(**offered)
        except UserError as error:
            add_problem(form, error)
    context = {
        "nav": "account", "form": form, "secret": secret, "tokens": _tokens(user),
        "mfa": is_mfa_enabled(user), "oidc": bool(settings.SOCIALACCOUNT_PROVIDERS),
        "command": f"touchstone login --url {request.build_absolute_uri('/').rstrip('/')} --with-token",
    }  # fmt: skip
    return render(request, "web/account/account.html", context, status=422 if form.is_bound else 200)


def _tokens(user: Any) -> list[Any]:
    """With each its scopes in words."""
    found = list(tokens_of(user=user))
    for token in found:
        token.texts = [scope_text(scope) for scope in token.scopes]
        token.is_over = token.expires_at is not None and token.expires_at <= now()
    return found


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def token_revoke_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then revoke. Tokens of others do not exist here."""
    token = tokens_of(user=request.user).filter(pk=pk).first()
    if token is None:
        raise Http404
    if request.method == "POST":
        token_revoke(token=token)
        messages.success(request, _("The token %(name)s is revoked.") % {"name": token.name})
        return redirect("web:account")
    return render(request, "web/account/token_revoke.html", {"nav": "account", "token": token})


@login_required
@page
@reauthentication_required
@require_http_methods(["GET", "HEAD"])
def account_export(request: HttpRequest) -> HttpResponseBase:
    """Everything the site holds about the person, as a zip; a browser left open is not enough to have it."""
    rate_take(rate=EXPORTS, subjects={"address": client_address(request), "name": request.user.get_username()})
    response = FileResponse(
        export_archive(user=request.user), as_attachment=True, filename=f"touchstone-{request.user.get_username()}.zip"
    )
    response["Cache-Control"] = "no-store"
    return response


@never_cache
@login_required
@page
@reauthentication_required
@require_http_methods(["GET", "HEAD", "POST"])
def account_delete_page(request: HttpRequest) -> HttpResponse:
    """Say what goes and what stays, ask for the user name, and delete."""
    form = DeleteAccountForm(request.POST or None, username=request.user.get_username())
    ties = account_ties(user=request.user)
    if request.method == "POST" and form.is_valid():
        user = request.user
        account_delete(user=user)
        logout(request)
        messages.success(request, _("Your account is deleted."))
        return redirect("web:home")
    status = 422 if form.is_bound else 200
    return render(request, "web/account/delete.html", {"nav": "account", "form": form, "ties": ties}, status=status)
