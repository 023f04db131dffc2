"""Drafts: sections with versions, conflicts, undo; who may work on one; files; the competition.yml they make."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.factories.server import competition_make, spec_dict, user_make
from touchstone.core.errors import Conflict, NotAllowed, NotFound, TooLarge, UserError
from touchstone.core.storage import blob_put
from touchstone.drafts.models import Draft, DraftSection
from touchstone.drafts.sections import competition_data, section_default, used_files
from touchstone.drafts.selectors import (
    STEPS,
    bundle_files,
    draft_bodies,
    draft_data,
    draft_defects,
    draft_get,
    draft_moved_on,
    draft_steps,
    drafts_visible,
    section_get,
)
from touchstone.drafts.services import (
    SectionConflict,
    draft_create,
    draft_delete,
    editor_add,
    editor_remove,
    file_put,
    file_remove,
    image_put,
    section_save,
    section_undo,
)
from touchstone.drafts.starting import slug_proposal, templates

pytestmark = pytest.mark.django_db


@pytest.fixture
def wanda() -> Any:
    return user_make("wanda")


@pytest.fixture
def draft(wanda: Any) -> Draft:
    return draft_create(user=wanda, title="Cats & dogs")


def _concepts(draft: Draft, user: Any, term: str, version: int) -> DraftSection:
    body = {"concepts": [{"term": term, "definition": "d"}]}
    return section_save(draft=draft, user=user, name="concepts", body=body, version=version)


def test_a_new_draft_has_its_title_and_the_slug_it_gives(draft) -> None:
    about = section_get(draft=draft, name="about").body
    assert (about["title"], about["slug"], about["visibility"]) == ("Cats & dogs", "cats-dogs", "private")
    assert section_get(draft=draft, name="phases").version == 0
    assert section_get(draft=draft, name="phases").body == {"phases": []}


@pytest.mark.parametrize(("title", "slug"), [("A  B!", "a-b"), ("ÄÖ", ""), ("x" * 70, "x" * 64)])
def test_slugs_of_titles(title: str, slug: str) -> None:
    assert slug_proposal(title) == slug


def test_a_draft_needs_a_title(wanda) -> None:
    with pytest.raises(UserError, match="needs a title"):
        draft_create(user=wanda, title="  ")


def test_a_section_remembers_versions_and_who_saved(draft, wanda) -> None:
    assert _concepts(draft, wanda, "one", 0).version == 1
    saved = _concepts(draft, wanda, "two", 1)
    assert (saved.version, saved.previous["concepts"][0]["term"], saved.updated_by) == (2, "one", wanda)


def test_who_saves_second_gets_both_versions_and_loses_nothing(draft, wanda) -> None:
    carl = user_make("carl")
    editor_add(draft=draft, by=wanda, name="carl")
    _concepts(draft, wanda, "first", 0)
    _concepts(draft, carl, "theirs", 1)
    with pytest.raises(SectionConflict) as caught:
        _concepts(draft, wanda, "mine", 1)
    assert caught.value.theirs.body["concepts"][0]["term"] == "theirs"
    assert caught.value.mine["concepts"][0]["term"] == "mine"
    assert "carl" in caught.value.message
    assert section_get(draft=draft, name="concepts").body["concepts"][0]["term"] == "theirs"
    assert _concepts(draft, wanda, "theirs", 1).version == 2  # the same words are no conflict
    assert _concepts(draft, wanda, "mine", 2).version == 3


def test_two_first_saves_conflict_too(draft, wanda) -> None:
    _concepts(draft, wanda, "one", 0)
    with pytest.raises(SectionConflict):
        _concepts(draft, wanda, "two", 0)


def test_undo_puts_back_and_undoing_twice_redoes(draft, wanda) -> None:
    _concepts(draft, wanda, "one", 0)
    with pytest.raises(Conflict, match="no earlier version"):
        section_undo(draft=draft, user=wanda, name="concepts", version=1)
    _concepts(draft, wanda, "two", 1)
    with pytest.raises(Conflict, match="since you opened"):
        section_undo(draft=draft, user=wanda, name="concepts", version=1)
    assert section_undo(draft=draft, user=wanda, name="concepts", version=2).body["concepts"][0]["term"] == "one"
    again = section_undo(draft=draft, user=wanda, name="concepts", version=3)
    assert (again.body["concepts"][0]["term"], again.version) == ("two", 4)


def test_a_section_has_a_name_and_a_limit(draft, wanda) -> None:
    with pytest.raises(NotFound, match="no step"):
        section_save(draft=draft, user=wanda, name="bundle", body={}, version=0)
    with pytest.raises(TooLarge):
        section_save(draft=draft, user=wanda, name="about", body={"terms": "x" * 2**21}, version=1)
    section_save(draft=draft, user=wanda, name="concepts", body={"concepts": [{"term": "a\x00b"}]}, version=0)
    assert "\x00" not in section_get(draft=draft, name="concepts").body["concepts"][0]["term"]


def test_strangers_neither_see_nor_write_a_draft(draft) -> None:
    stan = user_make("stan")
    assert not drafts_visible(user=stan).exists()
    assert not drafts_visible(user=None).exists()
    with pytest.raises(NotFound):
        draft_get(user=stan, id=draft.pk)
    with pytest.raises(NotFound):
        _concepts(draft, stan, "x", 0)
    with pytest.raises(NotFound):
        file_remove(draft=draft, user=stan, path="a")
    with pytest.raises(NotFound):
        editor_add(draft=draft, by=stan, name="stan")
    with pytest.raises(NotAllowed):
        draft_delete(draft=draft, user=stan)


def test_editors_work_on_it_until_they_are_taken_off(draft, wanda) -> None:
    carl = user_make("carl")
    with pytest.raises(NotFound, match="Nobody here"):
        editor_add(draft=draft, by=wanda, name="nobody")
    editor_add(draft=draft, by=wanda, name="carl")
    with pytest.raises(Conflict, match="already"):
        editor_add(draft=draft, by=wanda, name="carl")
    assert draft_get(user=carl, id=draft.pk) == draft
    with pytest.raises(NotAllowed, match="began"):
        draft_delete(draft=draft, user=carl)
    editor_remove(draft=draft, by=wanda, username="carl")
    with pytest.raises(NotFound):
        draft_get(user=carl, id=draft.pk)


def test_editors_are_found_by_confirmed_address_only(draft, wanda) -> None:
    from allauth.account.models import EmailAddress

    carl = user_make("carl")
    address = EmailAddress.objects.create(user=carl, email="carl@uni.example", verified=False)
    with pytest.raises(NotFound):
        editor_add(draft=draft, by=wanda, name="carl@uni.example")
    address.verified = True
    address.save()
    assert editor_add(draft=draft, by=wanda, name="Carl@Uni.example") == carl


def test_files_are_named_safely_and_replaced(draft, wanda) -> None:
    blob = blob_put(file=io.BytesIO(b"a,b\n"))
    for path in ("", "/x", "a/../b", "a//b", "c:\\x", "a\nb", "x" * 300):
        with pytest.raises(UserError):
            file_put(draft=draft, user=wanda, path=path, sha256=blob.sha256, size=4)
    with pytest.raises(NotFound):
        file_put(draft=draft, user=wanda, path="data/test/x.csv", sha256="0" * 64, size=4)
    for _again in range(2):
        file_put(draft=draft, user=wanda, path="data/test/x.csv", sha256=blob.sha256, size=4)
    assert draft.files.count() == 1
    assert file_remove(draft=draft, user=wanda, path="data/test/x.csv")
    assert not file_remove(draft=draft, user=wanda, path="data/test/x.csv")


def test_drafts_of_one_person_hold_so_much_and_no_more(draft, wanda, settings) -> None:
    settings.TOUCHSTONE_DRAFT_BYTES = 10
    blob = blob_put(file=io.BytesIO(b"a,b\n"))
    other = draft_create(user=wanda, title="Another")
    file_put(draft=other, user=wanda, path="data/test/x.csv", sha256=blob.sha256, size=4)
    file_put(draft=draft, user=wanda, path="data/test/x.csv", sha256=blob.sha256, size=4)
    file_put(draft=draft, user=wanda, path="data/test/x.csv", sha256=blob.sha256, size=6)  # in place of the first
    with pytest.raises(TooLarge, match="may hold 10"):
        file_put(draft=draft, user=wanda, path="data/test/y.csv", sha256=blob.sha256, size=1)


def test_a_picture_stays_for_undo_and_only_the_present_one_is_in_the_bundle(draft, wanda) -> None:
    shas = [blob_put(file=io.BytesIO(bytes([n]) * 9)).sha256 for n in range(4)]
    for version, sha in enumerate(shas, 1):
        image_put(draft=draft, user=wanda, sha256=sha, size=9, ending="png")
        body = section_get(draft=draft, name="about").body | {"image": sha}
        section_save(draft=draft, user=wanda, name="about", body=body, version=version)
    assert {file.sha256 for file in draft.files.all()} == set(shas[1:])
    assert [file.sha256 for file in bundle_files(draft=draft)] == [shas[3]]
    assert draft_data(draft=draft)["image"] == f"image/{shas[3][:12]}.png"


def test_files_of_a_split_that_is_gone_stay_behind() -> None:
    bodies = {name: section_default(name) for name in STEPS}
    bodies["data"]["splits"] = [{"name": "test", "visibility": "hidden"}]
    files = ["data/test/labels.csv", "data/old/labels.csv", "starting_kit/README.md"]
    assert used_files(bodies=bodies, files=files) == ["data/test/labels.csv", "starting_kit/README.md"]


def test_competition_yml_from_sections() -> None:
    bodies = {name: section_default(name) for name in STEPS}
    bodies["about"] |= {"slug": "x", "title": "X", "terms": "Fair.", "pages": [{"slug": "faq", "title": "F"}]}
    bodies["data"] = {"splits": [{"name": "test", "visibility": "hidden"}], "data_card": {"motivation": "why"}}
    data = competition_data(bodies=bodies, files={"surrogates/cnn.onnx": "0" * 64, "starting_kit/a": "1" * 64})
    assert data["pages"] == [{"slug": "faq", "title": "F", "file": "pages/faq.md"}]
    assert (data["terms"], data["data_card"], data["starting_kit"]) == ("terms.md", "data_card.md", "starting_kit")
    assert data["data"] == {"test": {"path": "data/test", "visibility": "hidden"}}
    assert data["surrogates"] == {"cnn": "surrogates/cnn.onnx"}
    assert "input" not in data


def _filled(user: Any, **changes: Any) -> Draft:
    draft = draft_create(user=user, title="Sound")
    spec = spec_dict("sound", **changes)
    parts = {
        "data": {"splits": [{"name": "test", "visibility": "hidden"}], "data_card": {}},
        "task": {"task": spec["task"], "input": None, "attributes": {}, "aggregate": None},
        "metrics": {"metrics": spec["metrics"]},
        "boards": {"leaderboards": spec["leaderboards"]},
        "phases": {"phases": spec["phases"]},
    }  # fmt: skip
    for name, body in parts.items():
        section_save(draft=draft, user=user, name=name, body=body, version=0)
    draft.files.create(path="data/test/labels.csv", sha256="0" * 64, size=1, added_by=user)
    return draft


def test_defects_lie_in_the_step_that_can_mend_them(wanda, django_assert_max_num_queries) -> None:
    draft = _filled(wanda)
    assert draft_defects(draft=draft) == {name: [] for name in STEPS}
    draft.files.all().delete()
    assert [defect.where for defect in draft_defects(draft=draft)["data"]] == ["data.test"]
    phase = {"slug": "main", "split": "none", "opens": "soon"}
    section_save(draft=draft, user=wanda, name="phases", body={"phases": [phase]}, version=1)
    with django_assert_max_num_queries(3):
        states = {state.name: state for state in draft_steps(draft=draft)}
    assert [defect.where for defect in states["phases"].defects] == ["phases[0].opens"]
    found = {name: state.state for name, state in states.items()}
    assert (found["phases"], found["metrics"], found["people"]) == ("defects", "complete", "empty")


def test_an_empty_draft_says_what_is_missing_in_each_step(draft) -> None:
    found = draft_defects(draft=draft)
    assert [name for name in STEPS if found[name]] == ["data", "task", "metrics", "boards", "phases"]


def test_a_taken_slug_and_an_empty_page_are_defects_of_about(wanda) -> None:
    competition_make(slug="sound")
    draft = _filled(wanda)
    body = section_get(draft=draft, name="about").body | {"pages": [{"slug": "a", "title": "A", "markdown": " "}]}
    section_save(draft=draft, user=wanda, name="about", body=body, version=1)
    assert {defect.code for defect in draft_defects(draft=draft)["about"]} == {"slug_taken", "empty"}


def test_the_next_version_of_a_competition(wanda) -> None:
    competition = competition_make(wanda, slug="grown", summary="As it was.")
    with pytest.raises(NotAllowed):
        draft_create(user=user_make("stan"), title="", competition=competition)
    draft = draft_create(user=wanda, title="", competition=competition)
    assert (draft.title, draft.base_version) == (competition.title, 1)
    assert section_get(draft=draft, name="about").body["slug"] == "grown"
    assert {file.path for file in draft.files.all()} == {"data/test/inputs.csv", "data/test/labels.csv"}
    helper = user_make("helga")
    assert not drafts_visible(user=helper).exists()
    competition.organisers.add(helper)
    assert draft_get(user=helper, id=draft.pk) == draft
    assert not draft_moved_on(draft=draft)
    competition.version = 2
    competition.save()
    assert draft_moved_on(draft=draft_get(user=wanda, id=draft.pk))
    body = section_get(draft=draft, name="about").body | {"slug": "other"}
    section_save(draft=draft, user=wanda, name="about", body=body, version=1)
    assert [defect.code for defect in draft_defects(draft=draft)["about"]] == ["slug_changed"]


def test_a_copy_of_a_ready_made_competition(wanda) -> None:
    assert {"garments", "recidivism"} <= {template.name for template in templates()}
    draft = draft_create(user=wanda, title="My recidivism", template="recidivism")
    bodies = draft_bodies(draft=draft)
    about = bodies["about"]
    assert (about["title"], about["slug"], about["visibility"]) == ("My recidivism", "my-recidivism", "private")
    assert about["pages"][0]["markdown"].strip()
    assert draft.files.filter(path="data/test/labels.csv").exists() or draft.files.filter(path__startswith="data/test/")
    assert draft_defects(draft=draft) == {name: [] for name in STEPS}
    with pytest.raises(NotFound):
        draft_create(user=wanda, title="x", template="../garments")


def test_deleting_takes_all_and_says_so_in_the_record(draft, wanda) -> None:
    from touchstone.audit.models import AuditEntry

    draft_delete(draft=draft, user=wanda)
    assert not Draft.objects.exists()
    assert list(AuditEntry.objects.order_by("sequence").values_list("act", flat=True)) == [
        "draft.create",
        "draft.delete",
    ]
