"""Nothing inline, nothing from elsewhere, on any page; vendored files are what their list says."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from touchstone.web import present
from touchstone.web.forms import KINDS

WEB = Path(settings.ROOT) / "platform/touchstone/web"
VENDOR = WEB / "static/web/vendor"

POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
    "connect-src": "'self'", "font-src": "'self'", "base-uri": "'none'", "form-action": "'self'",
    "frame-ancestors": "'none'",
}  # fmt: skip

BOARD = "/c/open-one/leaderboard/main/main/"
PAGES = [
    "/", "/signup/", "/login/", "/account/", "/account/delete/", "/email/",
    "/password/change/", "/2fa/", "/2fa/totp/activate/", "/2fa/webauthn/add/", "/sessions/", "/connections/",
    "/reauthenticate/", "/competitions/new/", "/c/open-one/", "/c/open-one/data/",
    "/c/open-one/phases/", "/c/open-one/rules/", BOARD, f"{BOARD}?sort=-performance.log_loss", f"{BOARD}?q=nobody",
    f"{BOARD}pareto/", f"{BOARD}history/", "/c/open-one/entry/{run}/", f"{BOARD}?who=baselines&only=ranked",
    "/c/open-one/leaderboard/warm-up/main/", "/c/open-one/submissions/", "/c/open-one/submit/", "/c/open-one/p/faq/",
    "/c/open-one/transfer/",
    "/s/{run}/", "/s/{run}/state", "/no/such/page", f"{BOARD}?sort=nonsense",
]  # fmt: skip


class Inline(HTMLParser):
    """Collects what a strict policy forbids, and what a page without scripts or colour needs."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self.bad += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        data = given.get("type") == "application/json"  # browsers run no such block
        if tag == "style" or (tag == "script" and not given.get("src") and not data):
            self.bad.append(f"inline {tag}")
        for name in ("src", "href", "action", "hx-get", "hx-post"):
            url = given.get(name) or ""
            if tag not in {"a"} and re.match(r"^(?:[a-z]+:)?//|^data:|^javascript:", url, re.I):
                self.bad.append(f"{tag} {name}={url}")
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "label" and given.get("for"):
            self.refs.append(str(given["for"]))


def parse(html: str) -> Inline:
    parser = Inline()
    parser.feed(html)
    return parser


def get(world, path: str, role: str = "participant"):
    return world.client(role).get(path.format(run=world.run.submission_id))


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("role", ["anonymous", "participant", "organiser"])
def test_pages_hold_to_the_policy(world, path: str, role: str) -> None:
    response = get(world, path, role)
    header = response["Content-Security-Policy"]
    assert dict(part.strip().split(" ", 1) for part in header.split(";")) == POLICY
    assert response["X-Content-Type-Options"] == "nosniff"
    page = parse(response.content.decode())
    assert page.bad == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.refs) <= set(page.ids)


@pytest.mark.parametrize("path", PAGES[:-2])
def test_pages_can_be_used_without_seeing_them(world, path: str) -> None:
    response = get(world, path)
    page = parse(response.content.decode())
    if response.status_code != 200 or path.endswith("/state"):
        return
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == 1
    assert names.count("main") == 1
    assert ("html", {"lang": "en"}) in page.tags
    assert any(tag == "a" and given.get("class") == "skip" and given.get("href") == "#main" for tag, given in page.tags)
    assert all("scope" in given for tag, given in page.tags if tag == "th")
    assert names.count("caption") == names.count("table")
    assert all(given.get("title") for tag, given in page.tags if tag == "time")
    fields = [
        given for tag, given in page.tags if tag in {"input", "select", "textarea"} and given.get("type") != "hidden"
    ]
    # What is ticked may sit inside its label; everything else is named by one.
    assert all(given.get("id") in page.refs or given.get("type") in {"checkbox", "radio"} for given in fields)


def test_every_post_form_has_a_token(world) -> None:
    for path in ("/signup/", "/account/", "/competitions/new/", "/c/open-one/submit/"):
        html = get(world, path, "anonymous" if path == "/signup/" else "participant").content.decode()
        for form in re.findall(r"<form\b.*?</form>", html, re.S):
            # The choice of language asks for the page it comes from instead: tests/unit/web/test_web_language.py.
            safe = 'method="get"' in form or 'action="/language/"' in form
            assert safe or "csrfmiddlewaretoken" in form


def test_what_people_write_is_text(world) -> None:
    for path in ("/c/open-one/", "/c/open-one/leaderboard/main/main/", "/s/{run}/"):
        html = get(world, path).content.decode()
        assert "<script>alert" not in html
        assert "<b>Paul" not in html
    assert "Team &lt;b&gt;Paul&lt;/b&gt;" in get(world, "/c/open-one/leaderboard/main/main/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in get(world, "/s/{run}/").content.decode()


def test_htmx_may_not_evaluate_or_style(world) -> None:
    html = get(world, "/").content.decode()
    assert '"includeIndicatorStyles":false' in html
    assert '"allowEval":false' in html
    assert "django_htmx/htmx-2.min.js" in html


@pytest.mark.django_db
def test_a_stale_form_gets_a_page_that_says_what_to_do() -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {"login": "x", "password": "y"})
    assert response.status_code == 403
    assert "reload the page" in response.content.decode()


def named_icons() -> set[str]:
    names = {found for file in WEB.rglob("*.html") for found in re.findall(r'{% icon "([a-z0-9-]+)"', file.read_text())}
    things = [
        *present.RUN_BADGES.values(), *present.RESULT_BADGES.values(), *present.PHASE_BADGES.values(),
        *present.VISIBILITY_BADGES.values(), *present.PILLARS.values(), *present.DIRECTIONS.values(), *KINDS.values(),
        present.pillar("unheard-of"),
    ]  # fmt: skip
    return names | {thing.icon for thing in things}


def test_the_sprite_holds_exactly_the_icons_that_pages_name() -> None:
    symbols = re.findall(r'<symbol id="([a-z0-9-]+)"', (VENDOR / "lucide.svg").read_text())
    assert symbols == sorted(symbols)
    assert set(symbols) == named_icons()


def test_vendored_files_are_the_ones_listed_each_with_its_licence() -> None:
    text = (VENDOR / "README.md").read_text()
    listed = dict(re.findall(r"^## ([\w.-]+)\n.*?sha256: `([0-9a-f]{64})`", text, re.S | re.M))
    files = {file.name for file in VENDOR.iterdir() if file.suffix not in {".LICENSE", ".md"}}
    assert set(listed) == files
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    licences = set(re.findall(r"\(([\w.-]+\.LICENSE)\)", text))
    assert licences == {file.name for file in VENDOR.glob("*.LICENSE")}


def test_style_sheets_load_nothing_from_elsewhere() -> None:
    for sheet in (WEB / "static").rglob("*.css"):
        urls = re.findall(r"url\(\s*['\"]?([^'\")]{4})", sheet.read_text())
        assert all(url in {"data", "../v"} for url in urls), sheet.name
        assert "sourceMappingURL" not in sheet.read_text()
        assert "@import" not in sheet.read_text()
