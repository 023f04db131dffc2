"""Markdown of strangers: what must not get through, and what must."""

from __future__ import annotations

import pytest

from touchstone.web.markdown import render, render_body

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "![x](https://tracker.example/pixel.png)",
    "![x](//tracker.example/pixel.png)",
    '![x](x" onerror="alert(1))',
    "<div style='position:fixed'>over</div>",
    "<iframe src=https://evil.example></iframe>",
    '<svg onload="alert(1)">',
    "<style>*{display:none}</style>",
    '<form action="https://evil.example"><input name=password></form>',
    "[x]: javascript:alert(1)\n\n[x]",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "`<script>`\n\n    <script>x</script>",
    '[x](https://a.example "t\\" onmouseover=alert(1) x=\\"")',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_active_gets_through(text: str) -> None:
    html = render(text).lower()
    assert not any(
        tag in html
        for tag in ("<script", "<img", "<iframe", "<svg", "<style", "<form", "<input", "<object", "<div style")
    )
    tags = [part.split(">")[0] for part in html.split("<")[1:]]
    assert not any(" on" in tag.split('title="')[0] or " style" in tag for tag in tags)
    assert not any("href" in tag and ("script:" in tag or "data:" in tag) for tag in tags)


def test_a_remote_image_becomes_a_link_to_it() -> None:
    html = render("![a chart](https://pics.example/a.png)")
    assert "<img" not in html
    assert 'href="https://pics.example/a.png"' in html
    assert ">a chart</a>" in html


def test_links_tell_nothing_and_earn_nothing() -> None:
    assert 'rel="nofollow noopener noreferrer ugc"' in render("[x](https://a.example)")


def test_tables_lists_code_and_emphasis_stay() -> None:
    html = render("## Two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n\n`code` **b** ~~s~~")
    for tag in ("<h3>", "<table>", "<td>", "<li>", "<code>", "<strong>", "<s>"):
        assert tag in html


def test_a_table_can_be_reached_and_text_is_no_table() -> None:
    html = render("| | b |\n|---|---|\n| 1 | 2 |\n\n`<table>` and <table>")
    assert html.count("<table>") == html.count('<div class="prose-table" tabindex="0">') == 1
    assert html.count("</table></div>") == 1
    assert "<th></th>" not in html


def test_headings_move_down_so_that_a_page_has_one_h1() -> None:
    assert "<h2>Title</h2>" in render("# Title")
    assert "<h6>" in render("###### deep")


def test_the_body_leaves_a_title_out_and_only_a_title() -> None:
    assert "Title" not in render_body("# Title\n\nText")
    assert "Text" in render_body("# Title\n\nText")
    assert "Second" in render_body("## Second\n\nText")
    assert "first line" in render_body("first line\nnext")


def test_a_flood_is_cut() -> None:
    assert len(render("x" * 1_000_000)) < 250_000
