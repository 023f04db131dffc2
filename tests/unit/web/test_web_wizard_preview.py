"""A draft as its visitors would see it: the same pages as the real ones, for who works on it alone."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.factories.server import bundle_folder, user_make
from touchstone.competitions.models import Competition
from touchstone.drafts.models import Draft
from touchstone.drafts.publishing import draft_publish
from touchstone.drafts.reading import draft_from_folder
from touchstone.drafts.rehearsals import competition_open
from touchstone.drafts.services import draft_create, section_save

pytestmark = pytest.mark.django_db

TABS = ("overview", "data", "phases", "rules", "leaderboard")


@pytest.fixture
def draft(tmp_path) -> Draft:
    owner = user_make("olga")
    made = draft_create(user=owner, title="Tiny")
    folder = bundle_folder(
        tmp_path, rows=8, pages=[{"slug": "overview", "title": "Overview", "file": "o.md"},
                                 {"slug": "prizes", "title": "Prizes", "file": "p.md"}], terms="t.md",
    )  # fmt: skip
    for name, text in (("o.md", "Say **which**"), ("p.md", "A *cup*."), ("t.md", "Be fair.")):
        (folder / name).write_text(text)
    draft_from_folder(draft=made, user=owner, folder=folder)
    return made


@pytest.fixture
def client(draft) -> Client:
    signed_in = Client()
    signed_in.force_login(draft.owner)
    return signed_in


def _words(html: str, *, without: str = "") -> str:
    """The text of the page's content, without the notice of the preview."""
    main = re.sub(r"<(svg|script|style|template).*?</\1>", " ", html.partition("<main")[2], flags=re.DOTALL)
    main = re.sub(r'<div class="notice notice-warn mb-4" role="note">.*?</div></div>', " ", main, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def _get(client: Client, draft: Draft, tab: str) -> str:
    answer = client.get(f"/drafts/{draft.pk}/preview/{tab}/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_shows_what_the_published_pages_show(draft, client, django_assert_max_num_queries) -> None:
    with django_assert_max_num_queries(16):
        pages = {tab: _get(client, draft, tab) for tab in ("rules",)}
    pages |= {tab: _get(client, draft, tab) for tab in (*TABS, "p-prizes")}
    assert not Competition.objects.exists()
    competition = draft_publish(draft=draft, user=draft.owner).competition
    competition_open(competition=competition, user=draft.owner, reason="to compare with its preview")
    visitor = Client()

    for tab, path in (("phases", "phases/"), ("rules", "rules/"), ("p-prizes", "p/prizes/")):
        real = visitor.get(f"/c/tiny/{path}").content.decode()
        of_preview, of_page = _words(pages[tab]), _words(real)
        for extra in ("Back to the draft", "Announcements", "Join"):
            of_preview, of_page = of_preview.replace(extra, ""), of_page.replace(extra, "")
        assert of_preview.split() == of_page.split(), tab
    told = {
        "overview": ("", ["What is measured", "Accuracy", "Say which"]),
        "data": ("data/", ["Who sees what", "Only the judge sees it"]),
    }
    for tab, (path, texts) in told.items():
        real = _words(visitor.get(f"/c/tiny/{path}").content.decode())
        for text in texts:
            assert text in real
            assert text in _words(pages[tab]), (tab, text)
    for html in pages.values():
        assert "Preview: nobody else sees this." in html
        assert "/c/tiny" not in html, "a link to what is not there yet"


def test_boards_are_empty_and_have_their_columns(draft, client) -> None:
    html = _get(client, draft, "leaderboard")

    assert "Nothing scored yet" in html
    assert "Accuracy" in _words(html)
    assert 'href="?' not in html


def test_hidden_files_are_not_shown(draft, client) -> None:
    html = _words(_get(client, draft, "data"))

    names = {file.path for file in draft.files.all() if file.path.startswith("data/")}
    assert any("labels" in name for name in names)
    hidden = html.partition("test")[2].partition("Who sees what")[0]
    assert "labels.csv" not in hidden


def test_what_is_not_sound_is_left_out_and_said(draft, client) -> None:
    bodies = {
        "metrics": {"metrics": [{"use": "performance.accuracy"}, {"use": "no.such"}, "?"]},
        "phases": {"phases": [{"slug": "later", "split": "test", "opens": "someday"}]},
        "task": {"task": {"kind": "none"}, "input": None, "attributes": {"x": 3}, "aggregate": None},
        "about": {"slug": "", "title": "", "visibility": "?", "pages": ["?", {"slug": "a b"}], "terms": 3, "image": 3},
        "concepts": {"concepts": [{"term": 1}, "x", {"term": "Odds", "definition": "p / q"}]},
        "rules": {"submission": {"kinds": []}, "teams": {}}, "data": {"splits": ["?"], "data_card": 4},
    }  # fmt: skip
    for name, body in bodies.items():
        section_save(draft=draft, user=draft.owner, name=name, body=body, version=1)

    pages = {tab: _words(html := _get(client, draft, tab)) for tab in TABS}

    assert "things to mend; what is not sound yet is missing here" in html
    assert f'href="/drafts/{draft.pk}/phases/#' in html
    assert "Odds" in pages["overview"]
    assert "Accuracy" in pages["overview"]
    assert "No leaderboard to show yet" in pages["leaderboard"]


def test_an_empty_draft_and_a_page_that_is_not_there(client, draft) -> None:
    empty = draft_create(user=draft.owner, title="Nothing yet")

    for tab in TABS:
        assert "Nothing yet" in _get(client, empty, tab)
    assert client.get(f"/drafts/{empty.pk}/preview/").status_code == 200
    assert client.get(f"/drafts/{empty.pk}/preview/p-none/").status_code == 404
    stranger = Client()
    stranger.force_login(user_make())
    assert stranger.get(f"/drafts/{draft.pk}/preview/").status_code == 404
