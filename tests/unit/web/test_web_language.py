"""German: how it is chosen, where English stays, and that no page falls back to it."""

from __future__ import annotations

from gettext import GNUTranslations
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation

import touchstone.web
from tests.unit.web.test_web_access import places
from touchstone.core.names import named
from touchstone.core.told import told

DE = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}
HOME = {"origin": "http://testserver"}
BOARD = "/c/open-one/leaderboard/main/main/"
PAGES = {
    "participant": (
        "/ /account/ /account/delete/ /c/open-one/ /c/open-one/data/ /c/open-one/phases/ /c/open-one/rules/ "
        f"/c/open-one/submissions/ /c/open-one/submit/ /c/open-one/team/ /c/open-one/announcements/ {BOARD} "
        f"{BOARD}pareto/ {BOARD}history/ /c/open-one/entry/{{run}}/ /s/{{run}}/ /nodes/ /none/ /login/ /2fa/"
    ),
    "organiser": (
        "/competitions/new/ /c/open-one/report/main/ /c/open-one/manage/ /c/open-one/manage/check/ "
        "/c/open-one/manage/submissions/ /c/open-one/manage/participants/ /c/open-one/manage/phases/ "
        "/drafts/{draft}/about/ /drafts/{draft}/data/ /drafts/{draft}/task/ /drafts/{draft}/metrics/ "
        "/drafts/{draft}/metrics/fairness/ /drafts/{draft}/boards/add/ /drafts/{draft}/phases/ /drafts/{draft}/rules/ "
        "/drafts/{draft}/people/ /drafts/{draft}/review/ /drafts/{draft}/metrics/add/robustness.attack/"
    ),
}
#: Names that the organiser of the test's competition gave, and parts of keys of results.
GIVEN = {"Accuracy", "accuracy", "loss", "validation"}


class Texts(HTMLParser):
    """What a page says, and what it would say to a screen reader or by a script."""

    _SAID = ("title", "aria-label", "placeholder", "alt")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style", "code", "pre")
        self.found += [v.strip() for k, v in attrs if v and (k in self._SAID or k.startswith("data-"))]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "code", "pre")

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.found.append(" ".join(data.split()))


def english() -> set[str]:
    """Texts without places to fill that are another in German."""
    with (Path(touchstone.web.__file__).parent / "locale/de/LC_MESSAGES/django.mo").open("rb") as file:
        known = GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    pairs = {(key if isinstance(key, str) else key[0]): text for key, text in known.items() if text}
    return {key for key, text in pairs.items() if key and key != text and "%" not in key and "{" not in key} - GIVEN


@pytest.mark.parametrize("role", PAGES)
def test_no_page_says_anything_in_english(world, role: str) -> None:
    unwanted = english()
    sentences = [text for text in unwanted if len(text.split()) > 4]
    client, where = world.client(role, headers=DE), places(world)
    found = set()
    for path in PAGES[role].split():
        response = client.get(path.format(**where), follow=True)
        html = response.content.decode()
        assert '<html lang="de">' in html, path
        said = Texts(html).found
        found |= {f"{path}: {text}" for text in said if text in unwanted}
        together = "\n".join(said)
        found |= {f"{path}: {text}" for text in sentences if text in together}
    assert not found, "\n".join(sorted(found))


def test_the_language_is_that_of_the_browser_until_one_is_chosen(world) -> None:
    client = Client()
    assert '<html lang="en">' in client.get("/").content.decode()
    page = client.get("/login/?next=/account/", headers=DE)
    assert '<html lang="de">' in page.content.decode()
    assert {"Accept-Language", "Cookie"} <= {part.strip() for part in page["Vary"].split(",")}
    assert page["Content-Language"] == "de"
    assert 'name="next" value="/login/?next=/account/"' in page.content.decode()
    chosen = client.post("/language/", {"language": "en", "next": "/login/?next=/account/"}, headers=HOME)
    assert (chosen.status_code, chosen["Location"]) == (302, "/login/?next=/account/")
    assert "Sign in" in client.get("/login/", headers=DE).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"])
def test_the_choice_leads_nowhere_else(target: str) -> None:
    chosen = Client().post("/language/", {"language": "de", "next": target}, headers=HOME)
    assert (chosen.status_code, chosen["Location"]) == (302, "/")


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"origin": "null"}, {"origin": "https://elsewhere.example"}])
def test_another_site_cannot_choose_it(headers: dict[str, str]) -> None:
    refused = Client(enforce_csrf_checks=True).post("/language/", {"language": "de"}, headers=headers)
    assert refused.status_code == 403
    assert not refused.cookies
    assert "chosen on the pages of this site" in refused.content.decode()


@pytest.mark.django_db
def test_a_page_that_answers_a_form_leads_back_to_the_form() -> None:
    answer = Client().post("/login/", {"login": "x"}, headers={"referer": "http://testserver/login/?next=/nodes/"})
    assert 'name="next" value="/login/?next=/nodes/"' in answer.content.decode()


def test_a_board_kept_in_one_language_is_not_shown_in_another(world) -> None:
    client = world.client("participant")
    kept = client.get(BOARD)["ETag"]
    assert client.get(BOARD, headers={"if-none-match": kept}).status_code == 304
    german = client.get(BOARD, headers={"if-none-match": kept, **DE})
    assert german.status_code == 200
    assert "Rangliste" in german.content.decode()


def test_programs_are_always_told_in_english(world) -> None:
    client = world.client("participant", headers=DE)
    client.get("/")  # a page in German before it
    problem = client.get("/api/v1/competitions/none-such")
    assert "There is no competition 'none-such'" in problem.content.decode()
    assert "Content-Language" not in problem
    board = client.get("/api/v1/competitions/open-one/leaderboards/main/main")
    assert "not computed for this run" in board.content.decode()
    assert "The node token is missing" in client.post("/node/v1/claim", headers=DE).content.decode()
    head = b"".join(client.get(f"{BOARD[:-1]}.csv").streaming_content).decode().splitlines()[0]
    assert head.startswith("rank")


def test_what_is_kept_for_everybody_is_kept_in_english(world) -> None:
    client = world.client("participant", headers=DE)
    kept = client.post(f"{BOARD}share/")["Location"]
    assert "Genauigkeit" in client.get(kept).content.decode()
    assert "Accuracy" in world.client("participant").get(kept).content.decode()
    from touchstone.leaderboards.models import LeaderboardSnapshot

    titles = [column["title"] for column in LeaderboardSnapshot.objects.get().body["columns"]]
    assert "Accuracy" in titles


def test_numbers_have_a_point_in_every_language() -> None:
    with translation.override("de"):
        assert Template("{{ a }} {{ b }}").render(Context({"a": 0.25, "b": 1234.5})) == "0.25 1234.5"


def test_the_page_of_a_fault_is_in_the_language_without_a_request() -> None:
    with translation.override("de"):
        html = render_to_string("500.html")
    assert "Auf unserer Seite ist etwas kaputtgegangen" in html
    assert 'name="next" value="/"' in html


def test_stored_sentences_are_told_in_the_language() -> None:
    assert told("Attempt 2 on node west.") == "Attempt 2 on node west."
    with translation.override("de"):
        assert told("Attempt 2 on node west.") == "Versuch 2 auf dem Knoten west."
        nested = told("fairness.x: undefined (no item of the split has the class a, b)")
        assert nested == "fairness.x: undefiniert (kein Beispiel des Datenteils hat die Klasse a, b)"
        assert told("An extension's own reason.") == "An extension's own reason."
        assert told("") == ""


def test_titles_of_metrics_keep_their_group() -> None:
    with translation.override("de"):
        assert named("Robust accuracy") == "Robuste Genauigkeit"
        assert named("Robust accuracy (hsj)") == "Robuste Genauigkeit (hsj)"
        assert named("Somebody's metric (sex)") == "Somebody's metric (sex)"
        assert named("") == ""
