"""A report as PDF: tagged, with a title, and its text can be selected and read aloud.

WeasyPrint sets the same HTML that the page shows. It needs Pango, which is no Python package: a server without it says
so, and the page can still be printed.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from django.contrib.staticfiles import finders
from django.utils.translation import gettext as _

from touchstone.core.errors import UserError

_FONT = "web/vendor/inter-latin-wght-normal.woff2"


def pdf_of(*, html: str) -> bytes:
    """Raises `UserError` on a server that lacks what the layout needs."""
    try:
        from weasyprint import HTML  # loads Pango and takes a second: only where a PDF is made
        from weasyprint.urls import URLFetcher
    except OSError as error:
        raise UserError(
            _("This server cannot make PDFs: a library is missing (%s).") % str(error)[:120],
            _("Print the page from your browser instead. Whoever runs the server can install Pango (libpango-1.0-0, "
              "libpangoft2-1.0-0)."),
            "no_pdf", 503,
        ) from error  # fmt: skip
    # Nothing is fetched: what the document needs is inside it.
    fetcher: Any = URLFetcher(allowed_protocols={"data"})
    made = HTML(string=html, base_url="about:blank", url_fetcher=fetcher).write_pdf(pdf_variant="pdf/ua-1")
    return bytes(made or b"")


@cache
def font_url() -> str:
    """The site's own font as a data URL: the PDF looks the same whatever fonts the server has."""
    path = finders.find(_FONT)
    if not isinstance(path, str):
        return ""
    with open(path, "rb") as font:
        return f"data:font/woff2;base64,{base64.b64encode(font.read()).decode()}"
