"""The task step of the wizard: proposals from the data, attributes, and what metrics will mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories.server import user_make

if TYPE_CHECKING:
    from touchstone.drafts.models import Draft

_FACTS: dict[str, Any] = {
    "n": 100, "parts": ["inputs", "labels", "attributes", "clusters"],
    "inputs": {
        "kind": "image", "n": 100, "shape": [3, 64, 64], "dtype": "uint8", "range": [0.0, 255.0], "missing": 0,
        "columns": [], "rows": [], "pictures": [],
    },
    "repeated": {"count": 0, "examples": []},
    "classes": {"values": [["pristine", 60], ["fake", 40]], "distinct": 2, "unknown": 0},
    "attributes": {
        "gender": {"values": [["female", 70], ["male", 30]], "distinct": 2, "unknown": 0},
        "skin": {"values": [["light", 60], ["dark", 30], ["medium", 10]], "distinct": 3, "unknown": 0},
        "Not a name": {"values": [["x", 50], ["y", 50]], "distinct": 2, "unknown": 0},
    },
    "crossings": {
        "gender": {"label": [["female", {"fake": 20, "pristine": 50}], ["male", {"fake": 20, "pristine": 10}]]}
    },
    "clusters": {"name": "video", "columns": ["video"], "n": 10, "alone": 0, "smallest": 10, "largest": 10},
    "defects": [],
}  # fmt: skip

FORM = {
    "version": "0", "task.kind": "binary", "task.classes": "fake\r\npristine", "task.positive": "fake",
    "task.favourable": "pristine", "input.kind": "image", "input.shape": "3, 64, 64", "input.range[0]": "0",
    "input.range[1]": "1", "input.output": "logits", "aggregate.by": "video", "aggregate.rule": "median",
    "attributes.gender.there": "1", "attributes.gender.use": "on", "attributes.gender.privileged": "female",
    "attributes.gender.protected": "on", "attributes.gender.minimum": "20",
    "attributes.gender.value": ["female", "male"], "attributes.gender.unprivileged": ["female", "male"],
    "attributes.skin.there": "1", "attributes.skin.use": "on", "attributes.skin.privileged": "light",
    "attributes.skin.minimum": "30", "attributes.skin.value": ["light", "dark", "medium"],
    "attributes.skin.unprivileged": ["dark"],
}  # fmt: skip


@pytest.fixture
def draft(db: None) -> Draft:
    from touchstone.core.clock import now
    from touchstone.drafts.models import DataInspection
    from touchstone.drafts.services import draft_create

    draft = draft_create(user=user_make("dora"), title="Fakes")
    report = {"splits": {"test": _FACTS}, "leaks": []}
    DataInspection.objects.create(draft=draft, state="done", digest="d", report=report, wanted_at=now())
    return draft


@pytest.fixture
def client(draft: Draft) -> Client:
    client = Client()
    client.force_login(draft.owner)
    return client


def url(draft: Draft) -> str:
    return reverse("web:draft-task", args=[draft.pk])


def body(draft: Draft) -> dict[str, Any]:
    from touchstone.drafts.selectors import section_get

    return section_get(draft=draft, name="task").body


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_the_form_is_filled_in_from_the_data_and_nothing_is_saved(client: Client, draft: Draft) -> None:
    page = text(client.get(url(draft)))
    assert "Filled in from the data" in page
    assert "> fake pristine</textarea>" in page
    assert 'value="3, 64, 64"' in page
    assert '<option value="" selected>Choose a value</option>' in page  # who has the advantage, only people know
    assert '<option value="female">female (70 items)</option>' in page
    assert 'name="aggregate.by" value="video"' in page
    assert "Not a name" not in page
    assert not draft.sections.filter(name="task").exists()


def test_what_is_saved_is_the_part_of_competition_yml(client: Client, draft: Draft) -> None:
    client.post(url(draft), FORM)
    assert body(draft) == {
        "task": {"kind": "binary", "classes": ["fake", "pristine"], "positive": "fake", "favourable": "pristine"},
        "input": {"kind": "image", "shape": [3, 64, 64], "dtype": "float32", "range": [0, 1], "output": "logits"},
        "attributes": {
            "gender": {"privileged": "female", "protected": True, "minimum": 20},
            "skin": {"privileged": "light", "protected": False, "minimum": 30, "unprivileged": ["dark"]},
        },
        "aggregate": {"by": "video", "rule": "median"},
    }  # fmt: skip


def test_metrics_are_explained_with_the_names_of_this_competition(client: Client, draft: Draft) -> None:
    client.post(url(draft), FORM)
    page = text(client.get(url(draft)))
    assert "Above 0: “male” get “pristine” more often. Below 0: “female” get “pristine” more often." in page
    assert "Above 0: “dark” get “pristine” more often." in page  # medium is not compared
    assert "female 71.4 %; male 33.3 %" in page
    client.post(url(draft), FORM | {"version": "1", "task.favourable": "fake", "attributes.gender.privileged": "male"})
    page = text(client.get(url(draft)))
    assert "Above 0: “female” get “fake” more often." in page


def test_groups_below_the_minimum_are_named(client: Client, draft: Draft) -> None:
    client.post(url(draft), FORM | {"attributes.gender.minimum": "50"})
    page = text(client.get(url(draft)))
    assert "medium (test: 10)" in page
    assert "male (test: 30)" in page


def test_an_attribute_that_is_not_ticked_goes_and_keys_without_a_field_stay(client: Client, draft: Draft) -> None:
    from touchstone.drafts.services import section_save

    sizes = {"axes": [1, 2], "least": 32, "most": 128}
    start = {"task": {"kind": "binary", "classes": []}, "input": {"kind": "image", "sizes": sizes}, "attributes": {}}
    section_save(draft=draft, user=draft.owner, name="task", body={**start, "aggregate": None}, version=0)
    form = {key: value for key, value in FORM.items() if key != "attributes.skin.use"}
    client.post(url(draft), form | {"version": "1", "new_attribute": "age"})
    assert sorted(body(draft)["attributes"]) == ["age", "gender"]
    assert body(draft)["input"]["sizes"] == sizes


def test_what_cannot_be_read_is_kept_and_told(client: Client, draft: Draft) -> None:
    sent = FORM | {"input.shape": "wide", "attributes.gender.minimum": "few", "input.kind": "image"}
    page = text(client.post(url(draft), sent, follow=True))
    assert body(draft)["input"]["shape"] == ["wide"]
    assert 'value="wide"' in page
    assert 'value="few"' in page
    assert "things to mend here" in page


def test_a_name_that_is_none_is_refused_with_all_that_was_typed(client: Client, draft: Draft) -> None:
    response = client.post(url(draft), FORM | {"new_attribute": "skin tone", "aggregate.by": "clip"})
    page = text(response)
    assert response.status_code == 422
    assert "skin tone cannot be the name of an attribute." in page
    assert 'value="clip"' in page
    assert not draft.sections.filter(name="task").exists()


def test_what_was_found_is_taken_over_later_too(client: Client, draft: Draft) -> None:
    client.post(url(draft), {"version": "0", "task.kind": "binary", "task.classes": "a\nb", "task.favourable": "b"})
    page = text(client.get(url(draft)))
    assert "as found in the data" in page
    client.post(url(draft), {"version": "1", "task.classes": "a\nb", "use": "found"})
    assert body(draft)["task"]["classes"] == ["fake", "pristine"]
    assert "favourable" not in body(draft)["task"]
    assert sorted(body(draft)["attributes"]) == ["gender", "skin"]
