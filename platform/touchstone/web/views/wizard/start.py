"""Beginning a draft, finding it again, and deleting it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from touchstone.competitions.selectors import competition_get, competitions_organised
from touchstone.core.errors import NotAllowed, NotFound, UserError
from touchstone.core.storage import blob_open
from touchstone.core.text import clean
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import drafts_visible
from touchstone.drafts.services import draft_create, draft_delete
from touchstone.drafts.starting import templates
from touchstone.web.forms import BundleForm
from touchstone.web.images import image_mime
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page
from touchstone.web.views.wizard.frame import step_view


def new_context(request: HttpRequest, **extra: Any) -> dict[str, Any]:
    """The context of the page on which competitions begin."""
    return {
        "nav": "new", "form": BundleForm(), "title": "", "begin": "",
        "drafts": list(drafts_visible(user=request.user).select_related("owner", "competition")[:100]),
        "templates": templates(),
        "organised": list(competitions_organised(user=request.user)[:100]),
    } | extra  # fmt: skip


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Begin a draft: `begin` is empty, `template:NAME` or `competition:SLUG`."""
    if request.method != "POST":
        return redirect("web:competition-new")
    begin, title = clean(request.POST.get("begin", "")), request.POST.get("title", "")
    kind, _colon, name = begin.partition(":")
    try:
        if kind == "competition":
            competition = competition_get(user=request.user, slug=name)
            made = draft_create(user=request.user, title=title, competition=competition)
        else:
            made = draft_create(user=request.user, title=title, template=name if kind == "template" else "")
    except UserError as error:
        context = new_context(request, title=title, begin=begin, begin_problem=error)
        return render(request, "web/organise/new.html", context, status=error.status if error.status != 400 else 422)
    messages.success(request, _("The draft is there. It is kept on the server at every step."))
    return redirect("web:draft-about", made.pk)


@step_view
def draft(request: HttpRequest, draft: Draft) -> HttpResponse:
    """The draft by its shortest address: its first step."""
    return redirect("web:draft-about", draft.pk)


@step_view
def delete(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Ask, say what stays, and delete."""
    if draft.owner_id != request.user.pk and not request.user.is_superuser:
        raise NotAllowed(_("Only who began a draft deletes it."), _("Ask them, or ask to be taken off it."))
    if request.method == "POST":
        draft_delete(draft=draft, user=request.user)
        messages.success(request, _("The draft “%(title)s” is deleted.") % {"title": draft.title})
        return redirect("web:competition-new")
    return render(request, "web/organise/wizard/delete.html", {"nav": "new", "draft": draft})


@step_view
def image(request: HttpRequest, draft: Draft, sha256: str) -> HttpResponseBase:
    """A picture of the draft, for who works on it."""
    if not draft.files.filter(path__startswith="image/", sha256=sha256).exists():
        raise NotFound(_("The draft has no such picture."))
    return image_response(sha256)


def image_response(sha256: str) -> HttpResponseBase:
    """A stored picture. Its address names its content, so that browsers may keep it."""
    file = blob_open(sha256=sha256)
    mime = image_mime(file.read(16))
    file.seek(0)
    response = FileResponse(file, content_type=mime)
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Write the next version of a competition: go on with a draft of it, or begin one."""
    shown = manage_frame(request, slug)
    if request.method == "POST":
        made = draft_create(user=request.user, title="", competition=shown.competition)
        return redirect("web:draft-about", made.pk)
    drafts = drafts_visible(user=request.user).filter(competition=shown.competition).select_related("owner")
    return render(request, "web/organise/edit.html", manage_context(shown, "edit", drafts=list(drafts[:100])))


@page
@require_safe
def competition_image(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The picture of a competition, for who may see it."""
    found = competition_get(user=request.user, slug=slug)
    if not found.image:
        raise Http404
    response = image_response(found.image)
    response["Cache-Control"] = "private, max-age=300"
    return response
