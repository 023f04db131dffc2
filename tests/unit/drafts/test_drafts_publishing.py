"""A draft becomes a competition through the same door as a bundle, and a competition becomes a draft and back."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.spec import Defect
from runners.spec.yamlfile import parse_yaml
from tests.factories.server import bundle_folder, user_make
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import competition_visible
from touchstone.competitions.services import BundleError, competition_import
from touchstone.competitions.writer import competition_entries, draft_folder, zip_stream
from touchstone.core.errors import Conflict, NotFound
from touchstone.core.storage import blob_put
from touchstone.drafts.models import Draft, DraftFile
from touchstone.drafts.publishing import by_step, draft_publish, step_of
from touchstone.drafts.reading import draft_from_folder
from touchstone.drafts.selectors import section_get
from touchstone.drafts.services import draft_create, section_save
from touchstone.drafts.yamltext import yaml_text

LABELS = "id,label\n" + "".join(f"i{n},{'yes' if n % 2 else 'no'}\n" for n in range(20))


def save(draft: Draft, name: str, **changes: object) -> None:
    section = section_get(draft=draft, name=name)
    section_save(draft=draft, user=draft.owner, name=name, body=section.body | changes, version=section.version)


def put(draft: Draft, path: str, text: str) -> None:
    blob = blob_put(file=io.BytesIO(text.encode()))
    DraftFile.objects.create(draft=draft, path=path, sha256=blob.sha256, size=blob.size)


def written_by_hand(slug: str = "made") -> Draft:
    """A whole draft as the wizard's steps save it."""
    draft = draft_create(user=user_make(), title="Made in a browser")
    save(draft, "about", slug=slug, visibility="public", terms="Be kind.",
         pages=[{"slug": "why", "title": "Why", "markdown": "# Why\n\nBecause: it matters.\n"}])  # fmt: skip
    save(draft, "concepts", concepts=[{"term": "yes", "definition": "Not no.\nIn two lines."}])
    save(draft, "data", splits=[{"name": "test", "visibility": "hidden"}], data_card={"uses": "Only here."})
    save(draft, "task", task={"kind": "binary", "classes": ["no", "yes"]})
    save(draft, "metrics", metrics=[{"use": "performance.accuracy"}])
    save(draft, "boards", leaderboards=[{"slug": "main", "rank_by": "performance.accuracy"}])
    save(draft, "phases", phases=[{"slug": "one", "split": "test", "opens": "2030-01-01T00:00Z"}])
    put(draft, "data/test/labels.csv", LABELS)
    put(draft, "starting_kit/README.md", "Hello.\n")
    return draft


@pytest.mark.django_db
def test_a_draft_becomes_a_competition_that_only_organisers_see() -> None:
    draft = written_by_hand()

    outcome = draft_publish(draft=draft, user=draft.owner)

    made = outcome.competition
    assert (outcome.created, made.opened_at, made.slug, made.version) == (True, None, "made", 1)
    assert made.pages[0]["markdown"] == "# Why\n\nBecause: it matters.\n"
    assert made.terms == "Be kind."
    assert made.starting_kit
    assert "Only here." in made.data_card
    assert made not in competition_visible(user=user_make())
    draft.refresh_from_db()
    assert (draft.competition, draft.base_version, bool(draft.published_at)) == (made, 1, True)
    again = draft_publish(draft=draft, user=draft.owner)
    assert (again.created, again.changed) == (False, False)
    archive = b"".join(zip_stream(entries=competition_entries(competition=made)))
    digest = made.bundle_digest
    made.phases.all().delete()
    made.delete()
    anew = competition_import(user=user_make(), archive=io.BytesIO(archive))
    assert anew.created
    assert anew.competition.bundle_digest == digest


@pytest.mark.django_db
def test_a_draft_of_a_competition_loses_nothing(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(
        tmp_path, terms="rules/t.md", data={"test": {"path": "d", "visibility": "hidden"}}, data_card="card.md",
        pages=[{"slug": "a", "title": "A", "file": "rules/a.md"}],
    )  # fmt: skip
    (folder / "data/test").rename(folder / "d")
    (folder / "rules").mkdir()
    (folder / "terms.md").rename(folder / "rules/t.md")
    (folder / "rules/a.md").write_text("Text.\r\n")
    (folder / "card.md").write_text("No headings at all.\n\n\n")
    first = competition_import(user=user, archive=folder).competition

    draft = draft_create(user=user, title="", competition=first)
    same = draft_publish(draft=draft, user=user)
    save(draft, "about", title="Another title")
    changed = draft_publish(draft=draft, user=user)

    assert (same.changed, same.competition.version) == (False, 1)
    assert changed.changed
    now = Competition.objects.get(slug=first.slug)
    assert (now.title, now.version, now.terms, now.pages) == ("Another title", 2, first.terms, first.pages)
    assert now.spec["terms"] == "rules/t.md"
    assert (now.data_card, now.starting_kit) == (first.data_card, first.starting_kit)
    assert now.opened_at is not None


@pytest.mark.django_db
def test_every_defect_comes_with_its_step() -> None:
    draft = written_by_hand()
    save(draft, "metrics", metrics=[{"use": "performance.acuracy"}])
    save(draft, "rules", submission={"kinds": ["letters"]})
    DraftFile.objects.filter(draft=draft, path="data/test/labels.csv").delete()

    with pytest.raises(BundleError) as caught:
        draft_publish(draft=draft, user=draft.owner)

    assert {"data", "metrics", "rules"} <= {item.step for item in by_step(defects=list(caught.value.defects))}
    assert not Competition.objects.exists()


@pytest.mark.parametrize(
    ("where", "message", "step"),
    [("phases[0].opens", "", "phases"), ("data.test", "", "data"), ("", "the key `task` is missing", "task"),
     ("teams.members", "", "rules"), ("access", "", "people"), ("", "whatever", "about")],
)  # fmt: skip
def test_where_a_defect_is_mended(where: str, message: str, step: str) -> None:
    assert step_of(defect=Defect("x", message, where)) == step


@pytest.mark.django_db
def test_a_taken_or_changed_address_is_refused(tmp_path) -> None:
    draft = written_by_hand("tiny")
    competition_import(user=draft.owner, archive=bundle_folder(tmp_path))

    with pytest.raises(BundleError) as taken:
        draft_publish(draft=draft, user=draft.owner)
    other = draft_create(user=draft.owner, title="", competition=Competition.objects.get())
    save(other, "about", slug="elsewhere")
    with pytest.raises(BundleError) as moved:
        draft_publish(draft=other, user=draft.owner)

    assert [e.value.defects[0].code for e in (taken, moved)] == ["slug_taken", "slug_changed"]
    assert Competition.objects.count() == 1


@pytest.mark.django_db
def test_a_version_in_between_is_not_overwritten_unasked(tmp_path) -> None:
    user = user_make()
    folder = bundle_folder(tmp_path)
    competition = competition_import(user=user, archive=folder).competition
    draft = draft_create(user=user, title="", competition=competition)
    (folder / "terms.md").write_text("Other terms.\n")
    competition_import(user=user, archive=folder)

    with pytest.raises(Conflict, match="version 2"):
        draft_publish(draft=Draft.objects.get(pk=draft.pk), user=user)
    outcome = draft_publish(draft=draft, user=user, replace=True)

    assert outcome.competition.version == 3
    with pytest.raises(NotFound):
        draft_publish(draft=draft, user=user_make())


@pytest.mark.django_db
def test_a_strangers_paths_stay_inside(tmp_path) -> None:
    folder = bundle_folder(tmp_path, terms="../../outside.md", data={"test": {"path": "..", "visibility": "hidden"}})
    draft = draft_create(user=user_make(), title="x")
    draft_from_folder(draft=draft, user=draft.owner, folder=folder)
    save(draft, "about", pages=[{"slug": "../../../up", "title": "U", "markdown": "x"}], terms="mine")

    draft_folder(draft=draft, folder=tmp_path / "a/b/c")

    assert not list(tmp_path.glob("*.md"))
    assert not list((tmp_path / "a").glob("*.md"))
    assert (tmp_path / "a/b/c/competition.yml").is_file()


_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40),
    st.sampled_from(["", "yes", "null", "1e5", "012", "0x1f", "~", "- a", "a: b", "# c", "a\nb\n", " a\n b",
                     "2026-01-01T00:00Z"]),
)  # fmt: skip
_ROWS = st.lists(_PLAIN, max_size=3) | st.dictionaries(_KEYS, _PLAIN, max_size=3)
_DATA = _PLAIN | _ROWS | st.lists(_ROWS, max_size=2) | st.dictionaries(_KEYS, _ROWS, max_size=2)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(["slug", "title", "phases", "data", "metrics", "x"]), _DATA, max_size=4))
def test_whatever_is_written_reads_back_the_same(data: dict[str, object]) -> None:
    text = yaml_text(data, file="competition.yml")

    found = parse_yaml(text, file="competition.yml")

    as_json = parse_yaml(json.dumps(data), file="competition.yml")
    assert found.data == as_json.data
