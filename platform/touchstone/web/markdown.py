"""Markdown of organisers and participants to safe HTML: raw HTML is off, then an allow-list, no remote images."""

from __future__ import annotations

from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_TAGS = {
    "a", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul", "span",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
_LARGEST = 200_000


class _Renderer(RendererHTML):
    """Headings move one level down (the page has its own h1); an image becomes its text with a link to it."""

    def heading_open(self, tokens: list[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<h{min(int(tokens[idx].tag[1]) + 1, 6)}>"

    def heading_close(self, tokens: list[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"</h{min(int(tokens[idx].tag[1]) + 1, 6)}>\n"

    def image(self, tokens: list[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # A remote image would tell its host who reads the page, and the content policy blocks it anyway.
        token = tokens[idx]
        text = nh3.clean_text(token.content or "image")
        source = str(token.attrGet("src") or "")
        return f'<a href="{nh3.clean_text(source)}">{text}</a>' if source.startswith("https://") else text


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}, renderer_cls=_Renderer)
    return parser.enable(["table", "strikethrough"])


@lru_cache(maxsize=256)
def render(text: str) -> SafeString:
    """HTML of `text` that is safe to put into a page; longer text than 200,000 characters is cut.

    Scripts, styles, event handlers, `javascript:` links, raw HTML and images never get through; links carry
    `rel="nofollow noopener noreferrer ugc"`.
    """
    html = nh3.clean(
        _parser().render(text[:_LARGEST]),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer ugc",
    )
    # Wide tables scroll in a box that the keyboard can reach; a head without text is no head. In clean HTML these
    # letters are these tags: in text they would be escaped.
    html = html.replace("<table>", '<div class="prose-table" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
    return mark_safe(html.replace("<th></th>", "<td></td>"))  # noqa: S308 - nh3 has just cleaned it


def render_body(text: str) -> SafeString:
    """The same without a title in the first line: the page has a heading of its own."""
    first, _newline, rest = text.lstrip("\ufeff\r\n ").partition("\n")
    return render(rest if first.startswith("# ") else text)
