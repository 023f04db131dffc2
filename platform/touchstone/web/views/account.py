"""Sign-up, sign-in, sign-out and API tokens."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from touchstone.accounts.selectors import tokens_of
from touchstone.accounts.services import token_create, token_revoke, user_create
from touchstone.core.addresses import client_address
from touchstone.core.errors import UserError
from touchstone.core.rates import SIGN_IN, SIGN_UP, TOKENS, rate_forgive, rate_take
from touchstone.web.forms import SignInForm, SignUpForm, TokenForm, add_problem
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
    """Make an account and sign in to it."""
    if request.user.is_authenticated:
        return _onward(request)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        subjects = {"address": client_address(request), "name": form.cleaned_data["username"]}
        rate_take(rate=SIGN_UP, subjects=subjects)
        try:
            user = user_create(**form.cleaned_data)
        except UserError as error:
            add_problem(form, error)
        else:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            messages.success(request, _("Welcome, %(name)s. Your account is ready.") % {"name": user.username})
            return _onward(request)
    status = 422 if form.is_bound else 200
    return render(request, "web/account/signup.html", {"form": form, "next": _next(request)}, status=status)


@method_decorator(page, name="dispatch")
class SignIn(LoginView):
    """Only failures count towards the limit; each is counted before the password is looked at."""

    template_name = "web/account/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True
    extra_context = {"nav": "login"}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        rate_take(rate=SIGN_IN, subjects=self._subjects())
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def form_valid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        rate_forgive(rate=SIGN_IN, subjects=self._subjects())
        response: HttpResponse = super().form_valid(form)
        return response

    def _subjects(self) -> dict[str, str]:
        return {"address": client_address(self.request), "name": self.request.POST.get("username", "")}

    def form_invalid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        response: HttpResponse = super().form_invalid(form)
        response.status_code = 422
        return response


class SignOut(LogoutView):
    http_method_names = ["post", "options"]


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """The account with its tokens. A new token's text is in this one answer and nowhere else."""
    form, secret = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        rate_take(rate=TOKENS, subjects={"address": client_address(request), "name": request.user.get_username()})
        try:
            _token, secret = token_create(
                user=request.user, name=data["name"], scopes=data["scopes"], expires_at=form.expires_at
            )
            form = TokenForm()
        except UserError as error:
            add_problem(form, error)
    context = {
        "nav": "account", "form": form, "secret": secret, "tokens": tokens_of(user=request.user),
        "command": f"touchstone login --url {request.build_absolute_uri('/').rstrip('/')} --with-token",
    }  # fmt: skip
    return render(request, "web/account/account.html", context, status=422 if form.is_bound else 200)


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
