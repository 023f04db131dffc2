"""The wizard: its frame, its simple steps, saving at once, undo."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from django.test import Client

from tests.factories.server import competition_make, user_make


@pytest.fixture
def writer(db: None) -> Any:
    return user_make("wanda")


@pytest.fixture
def draft(writer: Any) -> Any:
    from touchstone.drafts.services import draft_create

    return draft_create(user=writer, title="Cats & dogs")


def _client(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _body(draft: Any, step: str) -> Any:
    from touchstone.drafts.selectors import section_get

    return section_get(draft=draft, name=step).body


def _version(html: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', html)
    assert found is not None
    return found[1]


def _save(client: Client, draft: Any, step: str, version: int = 0, **fields: Any) -> Any:
    return client.post(f"/drafts/{draft.pk}/{step}/", {"version": version, **fields})


STEPS = ("about", "concepts", "phases", "rules", "people")


@pytest.mark.parametrize("step", STEPS)
def test_each_step_opens_for_who_writes_it_alone(writer, draft, step: str, django_assert_max_num_queries) -> None:
    path = f"/drafts/{draft.pk}/{step}/"
    client = _client(writer)
    client.get(path)
    with django_assert_max_num_queries(14):
        html = client.get(path).content.decode()
    assert "Cats &amp; dogs" in html
    assert 'aria-current="page"' in html
    assert "style=" not in html
    assert _client(user_make("stan")).get(path).status_code == 404
    assert Client().get(path).status_code == 302


def test_saving_keeps_what_is_wrong_and_says_so_beside_the_field(writer, draft) -> None:
    client = _client(writer)
    answer = _save(client, draft, "concepts", **{"concepts[0].term": "bias", "concepts[0].definition": ""})
    assert answer["Location"] == f"/drafts/{draft.pk}/concepts/"
    assert _body(draft, "concepts") == {"concepts": [{"term": "bias", "definition": ""}]}
    html = client.get(answer["Location"]).content.decode()
    assert "1 thing to mend" in html
    assert '<a href="#f-concepts-0-definition">' in html
    assert "Saved by wanda" in html


def test_rows_are_added_moved_and_removed_without_script(writer, draft) -> None:
    client = _client(writer)
    rows = {f"concepts[{i}].{key}": f"{key}{i}" for i in range(3) for key in ("term", "definition")}

    def terms() -> list[str]:
        return [item["term"] for item in _body(draft, "concepts")["concepts"]]

    _save(client, draft, "concepts", **rows, **{"concepts[3].term": " "})
    assert terms() == ["term0", "term1", "term2"]
    _save(client, draft, "concepts", 1, **rows, up="concepts[2]")
    assert terms() == ["term0", "term2", "term1"]
    _save(client, draft, "concepts", 2, **rows, remove="concepts[0]")
    assert terms() == ["term1", "term2"]


def test_save_and_go_on(writer, draft) -> None:
    answer = _save(_client(writer), draft, "concepts", then="phases")
    assert answer["Location"] == f"/drafts/{draft.pk}/phases/"
    answer = _save(_client(writer), draft, "concepts", then="https://evil.example/")
    assert answer["Location"] == f"/drafts/{draft.pk}/concepts/"


def test_about_proposes_the_slug_and_keeps_pages_and_terms(writer, draft) -> None:
    fields = {
        "title": "Big Cats", "slug": "", "visibility": "unlisted", "summary": "a\nb", "terms": "Be\r\nfair",
        "pages[0].title": "What it is", "pages[0].slug": "", "pages[0].markdown": "# Hi\r\n**x**",
        "pages[1].title": "", "pages[1].markdown": "",
    }  # fmt: skip
    client = _client(writer)
    _save(client, draft, "about", 1, **fields)
    body = _body(draft, "about")
    assert (body["slug"], body["summary"], body["terms"]) == ("big-cats", "a b", "Be\nfair")
    assert body["pages"] == [{"slug": "what-it-is", "title": "What it is", "markdown": "# Hi\n**x**"}]
    draft.refresh_from_db()
    assert draft.title == "Big Cats"
    assert "<strong>x</strong>" in client.get(f"/drafts/{draft.pk}/about/").content.decode()


def test_a_taken_slug_is_told(writer, draft) -> None:
    competition_make(slug="cats-dogs")
    assert "is there already" in _client(writer).get(f"/drafts/{draft.pk}/about/").content.decode()


def test_the_markdown_preview_is_what_readers_get(writer) -> None:
    html = _client(writer).post("/markdown/", {"text": "**b** <script>x</script>"}).content.decode()
    assert "<strong>b</strong>" in html
    assert "<script>" not in html
    assert Client().post("/markdown/", {"text": "x"}).status_code == 302


def _png(side: int = 80) -> io.BytesIO:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (2 * side, side), "navy").save(buffer, "PNG")
    buffer.seek(0)
    buffer.name = "cat.png"
    return buffer


def test_a_picture_is_stored_shown_and_removed(writer, draft) -> None:
    client = _client(writer)
    assert _save(client, draft, "about", 1, title="T", image=_png()).status_code == 302
    sha256 = _body(draft, "about")["image"]
    shown = client.get(f"/drafts/{draft.pk}/image/{sha256}")
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/png")
    b"".join(shown.streaming_content)
    assert client.get(f"/drafts/{draft.pk}/image/{'0' * 64}").status_code == 404
    assert _client(user_make("stan")).get(f"/drafts/{draft.pk}/image/{sha256}").status_code == 404
    _save(client, draft, "about", 2, title="T", image_remove="on")
    assert _body(draft, "about")["image"] == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_loses_where_it_was_taken_and_is_turned_as_the_camera_says(writer, draft, kind: str) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Cam-Maker"  # to be turned by a quarter; who made the camera
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    file = io.BytesIO()
    Image.new("RGB", (160, 80), "navy").save(file, kind, exif=exif, comment="Taken-At-Home")
    assert b"Cam-Maker" in file.getvalue()
    file.seek(0)
    file.name = "cat.jpg"
    client = _client(writer)

    assert _save(client, draft, "about", 1, title="T", image=file).status_code == 302

    shown = client.get(f"/drafts/{draft.pk}/image/{_body(draft, 'about')['image']}")
    stored = b"".join(shown.streaming_content)
    assert b"Cam-Maker" not in stored
    assert b"Taken-At-Home" not in stored
    with Image.open(io.BytesIO(stored)) as picture:
        assert (picture.format, picture.size, dict(picture.getexif())) == (kind, (80, 160), {})


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"GIF89a" + b"0" * 90, "no whole image"), (b"\x89PNG\r\n\x1a\n123", "no whole image"), (None, "at least 64")],
)
def test_a_picture_that_cannot_be_shown_is_refused_and_the_texts_stay(writer, draft, content, words: str) -> None:
    file = io.BytesIO(content) if content else _png(40)
    file.name = "x.png"
    answer = _save(_client(writer), draft, "about", 1, title="Typed title", image=file)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert words in html
    assert "Typed title" in html
    assert _body(draft, "about")["title"] == "Cats & dogs"


def test_rules_are_saved_as_the_format_has_them(writer, draft) -> None:
    client = _client(writer)
    fields = {
        "submission.kinds": ["model", "predictions"], "submission.size": "512 MiB", "submission.resources.time": "15m",
        "submission.resources.cpus": "2", "submission.resources.memory": "lots", "teams.members": "4",
    }  # fmt: skip
    _save(client, draft, "rules", **fields)
    assert _body(draft, "rules") == {
        "submission": {
            "kinds": ["predictions", "model"], "size": "512MiB", "root_images": False,
            "resources": {"time": "15m", "cpus": 2, "memory": "lots"},
        },
        "teams": {"members": 4},
    }  # fmt: skip
    assert "is not a size" in client.get(f"/drafts/{draft.pk}/rules/").content.decode()


def test_people_access_and_editors(writer, draft) -> None:
    client, carl = _client(writer), user_make("carl")
    _save(client, draft, "people", **{"access.approval": "on", "access.email_domains": "@Uni.example\nlab.example"})
    assert _body(draft, "people") == {"access": {"approval": True, "email_domains": ["uni.example", "lab.example"]}}
    path = f"/drafts/{draft.pk}/people/"
    refused = client.post(path, {"editor": "nobody"})
    assert refused.status_code == 422
    assert 'value="nobody"' in refused.content.decode()
    assert client.post(path, {"editor": "carl"}).status_code == 302
    assert _client(carl).get(path).status_code == 200
    assert client.post(path, {"remove_editor": "carl"}).status_code == 302
    assert _client(carl).get(path).status_code == 404


def test_who_else_is_there_is_shown(writer, draft) -> None:
    carl = user_make("carl")
    draft.editors.add(carl)
    _client(carl).get(f"/drafts/{draft.pk}/phases/")
    html = _client(writer).get(f"/drafts/{draft.pk}/about/").content.decode()
    assert "carl is at “Phases”" in html
    assert "wanda is at" not in html


def test_two_at_once_are_shown_both_versions_and_keep_what_they_choose(writer, draft) -> None:
    carl = user_make("carl")
    draft.editors.add(carl)
    one, other = _client(writer), _client(carl)
    start = {"concepts[0].term": "bias", "concepts[0].definition": "old"}
    _save(one, draft, "concepts", **start)
    theirs = start | {
        "concepts[0].definition": "carl's words",
        "concepts[1].term": "carl",
        "concepts[1].definition": "c",
    }
    _save(other, draft, "concepts", 1, **theirs)
    mine = start | {"concepts[0].definition": "my words", "concepts[1].term": "mine", "concepts[1].definition": "m"}
    answer = _save(one, draft, "concepts", 1, **mine)
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "carl saved this step while you were writing" in html
    for words in ("carl&#x27;s words", "my words", "concepts › bias › definition", "What carl saved"):
        assert words in html
    assert _body(draft, "concepts")["concepts"][0]["definition"] == "carl's words"
    choices = {
        "mine": _hidden(html), "version": _version(html), "choice-0": "text", "text-0": "both words",
        "choice-1": "mine", "choice-2": "theirs",
    }  # fmt: skip
    merged = one.post(f"/drafts/{draft.pk}/concepts/merge/", choices)
    assert merged.status_code == 302
    assert [(c["term"], c["definition"]) for c in _body(draft, "concepts")["concepts"]] == [
        ("bias", "both words"), ("mine", "m"), ("carl", "c"),
    ]  # fmt: skip


def _hidden(html: str) -> str:
    import html as escapes

    found = re.search(r'<textarea name="mine"[^>]*>(.*?)</textarea>', html, re.DOTALL)
    assert found is not None
    return escapes.unescape(found[1])


@pytest.mark.parametrize(("keep", "left"), [("mine", ["mine"]), ("theirs", ["theirs"])])
def test_all_of_one_version(writer, draft, keep: str, left: list[str]) -> None:
    client = _client(writer)
    for version, term in ((0, "first"), (1, "theirs")):
        _save(client, draft, "concepts", version, **{"concepts[0].term": term, "concepts[0].definition": "d"})
    html = _save(client, draft, "concepts", 1, **{"concepts[0].term": "mine", "concepts[0].definition": "d"}).content
    fields = {"mine": _hidden(html.decode()), "version": 2, "keep": keep}
    client.post(f"/drafts/{draft.pk}/concepts/merge/", fields)
    assert [item["term"] for item in _body(draft, "concepts")["concepts"]] == left


def test_a_third_version_during_the_merge_asks_again(writer, draft) -> None:
    client = _client(writer)
    for version, term in ((0, "first"), (1, "second"), (2, "third")):
        _save(client, draft, "concepts", version, **{"concepts[0].term": term, "concepts[0].definition": "d"})
    html = _save(client, draft, "concepts", 1, **{"concepts[0].term": "mine", "concepts[0].definition": "d"}).content
    fields = {"mine": _hidden(html.decode()), "version": 2, "keep": "mine"}
    answer = client.post(f"/drafts/{draft.pk}/concepts/merge/", fields)
    assert answer.status_code == 409
    assert _body(draft, "concepts")["concepts"][0]["term"] == "third"
    for text in ("x", '{"concepts": 5}', '{"a": NaN}', '{"a":' * 5000):  # no form of ours made it
        assert client.post(f"/drafts/{draft.pk}/concepts/merge/", {"mine": text}).status_code == 409
    assert client.get(f"/drafts/{draft.pk}/concepts/merge/").status_code == 405


def test_undo(writer, draft) -> None:
    client = _client(writer)
    for version, term in ((0, "first"), (1, "second")):
        _save(client, draft, "concepts", version, **{"concepts[0].term": term, "concepts[0].definition": "d"})
    assert "Undo the last save" in client.get(f"/drafts/{draft.pk}/concepts/").content.decode()
    client.post(f"/drafts/{draft.pk}/concepts/undo/", {"version": 2})
    assert _body(draft, "concepts")["concepts"][0]["term"] == "first"
    assert client.post(f"/drafts/{draft.pk}/concepts/undo/", {"version": 2}).status_code == 409
    assert client.get(f"/drafts/{draft.pk}/concepts/undo/").status_code == 405
    assert client.post(f"/drafts/{draft.pk}/bundle/undo/", {"version": 1}).status_code == 404
