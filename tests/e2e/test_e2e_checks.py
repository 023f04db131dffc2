"""What is looked at on each page is found where it is: a page with every fault, and one with none."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.pagekit import DESK, by_keyboard, faults

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CSS = Path(__file__).parents[2] / "platform/touchstone/web/static/web/css"
_PAGE = """<!doctype html><html lang="en"><head><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><a href="#main">Skip</a><main id="main"><h1>A page</h1>{body}</main>{end}</body></html>"""
_GOOD = {
    "style": "a:focus, input:focus {outline: 3px solid #000}",
    "body": "<p>Some text.</p><label>Name <input name='name'></label>",
    "end": "",
}
_BAD = {
    "style": "input:focus {outline: none} @media (prefers-color-scheme: dark) {p {color: #444; background: #222}}",
    "body": "<p>Some text.</p><input name='name'><div class='wide' style='width: 600px'>wide</div>",
    "end": "<script src='/static/huge.js'></script>",
}


def _show(page: Page, parts: dict[str, str]) -> None:
    html = _PAGE.replace("{style}", parts["style"]).replace("{body}", parts["body"]).replace("{end}", parts["end"])
    page.route("**/made-up/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("/made-up/")
    page.wait_for_load_state("load")


def test_each_fault_is_named(open_page, settings, tmp_path: Path) -> None:
    script = f"// {os.urandom(400 * 1024).hex()}\n"  # as good as incompressible: each byte of it is two of the file
    (tmp_path / "huge.js").write_text(script)
    settings.STATICFILES_DIRS = [tmp_path]
    page = open_page(viewport=DESK)
    page.route("**/static/huge.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    _show(page, _BAD)

    found = faults(page)

    for wanted in (
        r"^label: input", r"^in dark: color-contrast: p ", r"^at 390 px: the document scrolls sideways",
        r"^at 390 px: div\.wide sticks out", r"^[45]\d\d KiB of scripts",
    ):  # fmt: skip
        assert [fault for fault in found if re.search(wanted, fault)], (wanted, found)
    assert not [fault for fault in found if fault.startswith("color-contrast")], "in light it is fine"
    assert [fault for fault in by_keyboard(page) if fault.startswith("shows no focus: <input")]


def test_a_page_without_faults_has_none(open_page) -> None:
    page = open_page(viewport=DESK)
    _show(page, _GOOD)

    assert faults(page) == []
    assert by_keyboard(page) == []


def test_dark_changes_colours_alone() -> None:
    """So a page that is sound in light needs only the rules about colours looked at in dark."""
    blocks = []
    for sheet in sorted(CSS.glob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
        for begun in re.finditer(r"@media \(prefers-color-scheme: dark\) \{", text):
            depth, at = 1, begun.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[at], 0)
                at += 1
            blocks.append((sheet.name, text[begun.end() : at - 1]))
    assert blocks
    wrong = [
        f"{name}: {prop}"
        for name, block in blocks
        for prop in re.findall(r"[{;]\s*([a-z-]+)\s*:", block)
        if not prop.startswith("--") and prop not in ("color", "background", "background-color", "border-color",
                                                      "color-scheme", "fill", "stroke", "box-shadow")
    ]  # fmt: skip
    assert not wrong, wrong
