"""The first step: what the competition is called, who sees it, its pages, terms and picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from runners.spec import Defect
from touchstone.core.errors import UserError
from touchstone.core.storage import blob_put
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import section_get
from touchstone.drafts.services import image_put
from touchstone.drafts.starting import slug_proposal
from touchstone.web import markdown, present
from touchstone.web.images import MOST_BYTES, image_clean, image_ending
from touchstone.web.views.wizard.fields import Input, errors_at, moved, posted, rows_of
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save

_PAGE = "web/organise/wizard/about.html"
_LINES = ("title", "slug", "summary", "licence")


@dataclass(frozen=True)
class PageRow:
    """A page being written, with its fields and how it looks now."""

    name: str
    title: str
    fields: list[Input]
    text: Input
    empty: bool


@step_view
def about(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Show the step, or save it. A picture that cannot be shown is refused, and the texts come back as typed."""
    if request.method != "POST":
        return _page(request, draft, section_get(draft=draft, name="about").body)
    before = section_get(draft=draft, name="about").body
    body = _body(request.POST) | {"image": "" if request.POST.get("image_remove") else before.get("image", "")}
    if request.FILES.get("image"):
        file = request.FILES["image"].file
        try:
            ending = image_ending(file)
            stored = blob_put(file=image_clean(file, ending=ending), limit=MOST_BYTES)
            image_put(draft=draft, user=request.user, sha256=stored.sha256, size=stored.size, ending=ending)
        except UserError as error:
            return _page(request, draft, body, status=422, problem=error)
        body["image"] = stored.sha256
    return wizard_save(request, draft, "about", body)


def _body(post: Any) -> dict[str, Any]:
    body = {name: " ".join(str(post.get(name, "")).split()) for name in _LINES}
    body["slug"] = body["slug"] or slug_proposal(body["title"])
    body["visibility"] = str(post.get("visibility", ""))
    body["terms"] = str(post.get("terms", "")).replace("\r\n", "\n")
    rows = rows_of(moved(posted(post, "pages") or [], post, "pages"))
    pages = [{key: str(row.get(key, "")) for key in ("slug", "title", "markdown")} for row in rows]
    pages = [page for page in pages if any(text.strip() for text in page.values())]
    for page in pages:
        page["title"], page["slug"] = page["title"].strip(), page["slug"].strip() or slug_proposal(page["title"])
    return body | {"pages": pages}


def _page(
    request: HttpRequest, draft: Draft, body: dict[str, Any], *, status: int = 200, problem: UserError | None = None
) -> HttpResponse:
    context = wizard_context(request, draft, "about", multipart=True, problem=problem)
    defects: list[Defect] = context["defects"]
    rows = [_row(index, page, defects) for index, page in enumerate(rows_of(body.get("pages")))]
    context |= {
        "lines": _lines(body, defects), "terms": _terms(body, defects), "rows": rows,
        "new_row": _row(len(rows), {}, []), "image": body.get("image", ""), "image_limit": present.size(MOST_BYTES),
    }  # fmt: skip
    return render(request, _PAGE, context, status=status)


def _lines(body: dict[str, Any], defects: list[Defect]) -> list[Input]:
    def made(name: str, label: str, **more: Any) -> Input:
        return Input(name, label, body.get(name, ""), errors=errors_at(defects, name), **more)

    return [
        made("title", _("Title"), limit=200, wide=True),
        made(
            "slug", _("Address"), limit=64,
            help=_("The last part of its web address: a-z, 0-9 and hyphens. Left empty, it is made from the title."),
        ),
        made(
            "visibility", _("Who sees it"), kind="select",
            choices=[
                ("public", _("Everybody: it is in the list")),
                ("unlisted", _("Everybody who has the link")),
                ("private", _("Only people who are invited, or whose e-mail domain is let in")),
            ],
            help=_("Nobody but organisers sees it before you open it."),
        ),
        made(
            "summary", _("Summary"), kind="area", rows=3, limit=500, optional=True, wide=True,
            help=_("Two or three sentences for the list of competitions: what is predicted, from what, and why."),
        ),
        made(
            "licence", _("Licence of the data"), optional=True, wide=True, limit=500,
            help=_("Under which terms others may use the data, for example CC BY 4.0."),
        ),
    ]  # fmt: skip


def _terms(body: dict[str, Any], defects: list[Defect]) -> Input:
    return Input(
        "terms", _("Terms"), body.get("terms", ""), kind="markdown", rows=8, optional=True, wide=True,
        help=_("Whoever joins accepts them: what is allowed, what is not, what happens to submissions. Markdown."),
        errors=errors_at(defects, "terms"),
    )  # fmt: skip


def _row(index: int, page: dict[str, Any], defects: list[Defect]) -> PageRow:
    name = f"pages[{index}]"
    fields = [
        Input(
            f"{name}.title", _("Title of the page"), page.get("title", ""), limit=100,
            errors=errors_at(defects, f"{name}.title"),
        ),
        Input(
            f"{name}.slug", _("Its address"), page.get("slug", ""), limit=64, optional=True,
            help=_("overview, data, phases and rules are shown in the tab of that name."),
            errors=[*errors_at(defects, f"{name}.slug"), *errors_at(defects, f"{name}.file")],
        ),
    ]  # fmt: skip
    text = Input(
        f"{name}.markdown", _("Text"), page.get("markdown", ""), kind="markdown", rows=12, wide=True,
        help=_("Markdown: # heading, **bold**, lists with -, tables with |, links as [text](https://…)."),
        errors=errors_at(defects, f"{name}.markdown"),
    )  # fmt: skip
    return PageRow(name, page.get("title") or page.get("slug") or _("Page"), fields, text, not page)


@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Markdown as the pages show it, for who is writing it."""
    text = next((str(value) for key, value in request.POST.items() if key != "csrfmiddlewaretoken"), "")
    return render(request, "web/organise/wizard/_preview.html", {"html": markdown.render_body(text)})
