"""Webhooks: of one's own submissions, and of a competition that one organises."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from touchstone.competitions.models import Competition
from touchstone.core.errors import NotFound, UserError
from touchstone.hooks.events import EVENTS, OF_SUBMISSIONS
from touchstone.hooks.models import Webhook
from touchstone.hooks.selectors import deliveries_of, delivery_get, webhook_get, webhooks_of
from touchstone.hooks.services import (
    NewSecret,
    delivery_again,
    webhook_create,
    webhook_delete,
    webhook_ping,
    webhook_rotate,
    webhook_update,
)
from touchstone.web.forms import add_problem
from touchstone.web.hook_forms import WebhookForm
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def own(request: HttpRequest) -> HttpResponse:
    """Those of one's own submissions, and a form for another."""
    form, new = _create(request, None)
    hooks = webhooks_of(user=request.user, competition=None)
    context = {"nav": "account", "form": form, "new": new, "hooks": hooks}
    return render(request, "web/hooks/own.html", context, status=_status(form))


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def manage(request: HttpRequest, slug: str) -> HttpResponse:
    """Those of a competition, for its organisers."""
    shown = manage_frame(request, slug)
    form, new = _create(request, shown.competition)
    hooks = webhooks_of(user=request.user, competition=shown.competition)
    context = manage_context(shown, "webhooks", form=form, new=new, hooks=hooks)
    return render(request, "web/hooks/manage.html", context, status=_status(form))


def _create(request: HttpRequest, competition: Competition | None) -> tuple[WebhookForm, NewSecret | None]:
    known = OF_SUBMISSIONS if competition is None else EVENTS
    form = WebhookForm(request.POST or None, known=known)
    if request.method == "POST" and form.is_valid():
        try:
            new = webhook_create(user=request.user, competition=competition, **form.cleaned_data)
            return WebhookForm(known=known), new
        except UserError as error:
            add_problem(form, error)
    return form, None


def _status(form: WebhookForm) -> int:
    return 422 if form.is_bound else 200


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One of them: what it hears of, and the log of what was sent."""
    hook = webhook_get(user=request.user, pk=pk)
    form = _form(request, hook)
    if request.method == "POST" and form.is_valid():
        try:
            webhook_update(webhook=hook, by=request.user, **form.cleaned_data)
            messages.success(request, _("It is saved."))
            return redirect("web:webhook", pk)
        except UserError as error:
            add_problem(form, error)
    return _show(request, hook, form)


def _form(request: HttpRequest, hook: Webhook) -> WebhookForm:
    known = OF_SUBMISSIONS if hook.competition is None else EVENTS
    given = request.POST if request.method == "POST" and "url" in request.POST else None
    return WebhookForm(given, known=known, initial={"url": hook.url, "events": hook.events})


def _show(request: HttpRequest, hook: Webhook, form: WebhookForm, new: NewSecret | None = None) -> HttpResponse:
    context = {
        "nav": "account", "hook": hook, "form": form, "new": new, "deliveries": deliveries_of(webhook=hook),
        "list_url": _list_url(hook),
    }  # fmt: skip
    return render(request, "web/hooks/webhook.html", context, status=_status(form))


def _list_url(hook: Webhook) -> str:
    if hook.competition is None:
        return reverse("web:webhooks")
    return reverse("web:manage-webhooks", args=[hook.competition.slug])


@login_required
@never_cache
@page
@require_POST
def act(request: HttpRequest, pk: uuid.UUID, act: str) -> HttpResponse:
    """Test it, give it a new secret, or switch it on or off."""
    hook = webhook_get(user=request.user, pk=pk)
    if act == "rotate":
        new = webhook_rotate(webhook=hook, by=request.user)
        return _show(request, new.webhook, _form(request, new.webhook), new)
    try:
        if act == "ping":
            webhook_ping(webhook=hook)
            messages.success(request, _("A test message is on its way; the log shows how it went."))
        elif act in ("on", "off"):
            webhook_update(webhook=hook, by=request.user, enabled=act == "on")
            messages.success(request, _("It is switched on.") if act == "on" else _("It is switched off."))
        else:
            raise NotFound(_("There is no such address."))
    except NotFound:
        raise
    except UserError as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
    return redirect("web:webhook", pk)


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then remove."""
    hook = webhook_get(user=request.user, pk=pk)
    if request.method == "POST":
        webhook_delete(webhook=hook, by=request.user)
        messages.success(request, _("The webhook is removed."))
        return redirect(_list_url(hook))
    return render(request, "web/hooks/delete.html", {"nav": "account", "hook": hook, "list_url": _list_url(hook)})


@login_required
@never_cache
@page
@require_POST
def again(request: HttpRequest, pk: uuid.UUID, delivery: uuid.UUID) -> HttpResponse:
    """Send a message once more."""
    hook = webhook_get(user=request.user, pk=pk)
    try:
        delivery_again(delivery=delivery_get(webhook=hook, pk=delivery))
        messages.success(request, _("It is sent once more, with the same id."))
    except NotFound:
        raise
    except UserError as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
    return redirect("web:webhook", pk)
