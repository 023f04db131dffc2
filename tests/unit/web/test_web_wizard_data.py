"""The data step of the wizard: splits, files, what is in them, the data card."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from runners.data.inspection.__main__ import main
from tests.factories.server import user_make

if TYPE_CHECKING:
    from touchstone.drafts.models import Draft

LABELS = b"id,label\na1,no\na2,yes\na3,no\n"
ATTRIBUTES = b"id,gender\na1,male\na2,female\na3,male\n"


@pytest.fixture
def draft(db: None) -> Draft:
    from touchstone.drafts.services import draft_create, section_save

    owner = user_make("dora")
    draft = draft_create(user=owner, title="Who repays?")
    body = {"splits": [{"name": "test", "visibility": "hidden"}, {"name": "train", "visibility": "public"}]}
    section_save(draft=draft, user=owner, name="data", body=body, version=0)
    return draft


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data are looked at in this process: another one takes a second to start, and has tests of its own."""
    from touchstone.core.limited import Ended
    from touchstone.drafts import inspections

    def look(_module: str, manifest: str, out: str, **_limits: Any) -> Ended:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            main(Path(manifest), Path(out))
        return Ended(0, said.getvalue().encode(), b"")

    monkeypatch.setattr(inspections, "run_limited", look)


@pytest.fixture
def client(draft: Draft) -> Client:
    client = Client()
    client.force_login(draft.owner)
    return client


def at(draft: Draft, name: str, *args: str) -> str:
    return reverse(f"web:draft-{name}", args=[draft.pk, *args])


def put(client: Client, draft: Draft, split: str, **files: bytes) -> Any:
    sent = [SimpleUploadedFile(name.replace("__", "."), data) for name, data in files.items()]
    return client.post(at(draft, "data-add"), {"split": split, "file": sent})


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


def test_a_split_is_added_and_says_who_sees_it(client: Client, draft: Draft) -> None:
    from touchstone.drafts.selectors import section_get

    sent = {"version": "1", "visibility-test": "inputs", "new_name": "sample", "new_visibility": "public"}
    response = client.post(at(draft, "data"), sent, follow=True)
    body = section_get(draft=draft, name="data").body
    assert [(s["name"], s["visibility"]) for s in body["splits"]] == [
        ("test", "inputs"), ("train", "public"), ("sample", "public"),
    ]  # fmt: skip
    assert "Labels, attributes and clusters stay with the judge." in text(response)


def test_a_bad_name_is_refused_and_what_was_typed_stays(client: Client, draft: Draft) -> None:
    sent = {"version": "1", "visibility-test": "inputs", "new_name": "my test!", "new_visibility": "public"}
    response = client.post(at(draft, "data"), sent)
    assert response.status_code == 422
    assert 'value="my test!"' in text(response)
    assert "letters, digits and _ only" in text(response)
    assert "There is a split with this name already." in text(
        client.post(at(draft, "data"), {"version": "1", "new_name": "test"})
    )


def test_files_of_a_form_are_looked_at_at_once(client: Client, draft: Draft) -> None:
    response = put(client, draft, "test", labels__csv=LABELS, attributes__csv=ATTRIBUTES)
    assert response["Location"].endswith("#split-test")
    found = text(client.get(at(draft, "data-found")))
    assert "No file has changed since." in found
    assert "no (unknown)" not in found
    for said in ("Attribute gender", "male", "66.7 %", "Only one split has files"):
        assert said in found


def test_a_file_without_a_place_is_refused_and_says_which_have_one(client: Client, draft: Draft) -> None:
    page = text(client.get(put(client, draft, "test", notes__txt=b"hello")["Location"]))
    assert "no place for a file &#x27;notes.txt&#x27;" in page
    assert "inputs.parquet" in page
    assert not draft.files.exists()


def test_a_zip_of_the_folder_is_unpacked(client: Client, draft: Draft) -> None:
    files = {"test/labels.csv": LABELS, "test/attributes.csv": ATTRIBUTES, "__MACOSX/test/._labels.csv": b"x"}
    put(client, draft, "test", folder__zip=zipped(**files))
    assert list(draft.files.values_list("path", flat=True)) == ["data/test/attributes.csv", "data/test/labels.csv"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../labels.csv": LABELS}, "holds `..`"),
        ({"labels.csv": b"\x00" * 2**22}, "200 times its packed size"),
        ({"labels.csv": LABELS, "secret.txt": b"x"}, "secret.txt: has no place"),
        ({}, "holds no file"),
    ],
)
def test_a_hostile_zip_changes_nothing(client: Client, draft: Draft, files: dict[str, bytes], said: str) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    sent = {"split": "test", "file": SimpleUploadedFile("folder.zip", held.getvalue())}
    response = client.post(at(draft, "data-add"), sent, headers={"Accept": "application/json"})
    assert response.status_code == 400
    assert said in response.json()["detail"]
    assert not draft.files.exists()


def test_an_upload_by_parts_with_session_and_csrf_goes_on_where_it_stopped(draft: Draft, settings: Any) -> None:
    settings.TOUCHSTONE_UPLOAD_PART_SIZE = 16
    client = Client(enforce_csrf_checks=True)
    client.force_login(draft.owner)
    page = client.get(at(draft, "data")).content.decode()
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    told = {"name": "labels.csv", "size": len(LABELS), "sha256": hashlib.sha256(LABELS).hexdigest()}

    def begin(**headers: str) -> Any:
        return client.post("/api/v1/uploads", json.dumps(told), "application/json", headers=headers)

    assert begin().status_code == 403  # a session without the token of its page
    first = begin(**{"X-CSRFToken": token}).json()

    def part(number: int) -> Any:
        data = LABELS[(number - 1) * 16 : number * 16]
        url = f"/api/v1/uploads/{first['id']}/parts/{number}"
        return client.put(url, data, "application/octet-stream", headers={"X-CSRFToken": token})

    def add() -> Any:
        sent = {"split": "test", "upload": first["id"]}
        return client.post(at(draft, "data-add"), sent, headers={"X-CSRFToken": token, "Accept": "application/json"})

    assert part(2).status_code == 200
    assert add().json()["code"] == "upload_open"
    again = begin(**{"X-CSRFToken": token}).json()  # the page was loaded anew
    assert (again["id"], [p["number"] for p in again["parts"]]) == (first["id"], [2])
    assert part(1).status_code == 200
    url = f"/api/v1/uploads/{first['id']}/complete"
    done = client.post(url, b"", "application/json", headers={"X-CSRFToken": token})
    assert done.status_code == 200
    assert add().json() == {"split": "test", "files": ["labels.csv"], "count": 1}
    assert draft.files.get().sha256 == told["sha256"]


def test_the_upload_of_another_is_not_taken(client: Client, draft: Draft) -> None:
    from touchstone.submissions.services import upload_create

    theirs = upload_create(user=user_make("eve"), name="labels.csv", size=3, sha256="0" * 64)
    sent = {"split": "test", "upload": str(theirs.pk)}
    response = client.post(at(draft, "data-add"), sent, headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_large_data_wait_for_a_job_and_the_page_says_so(
    client: Client,
    draft: Draft,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    from touchstone.core import tasks
    from touchstone.drafts import inspections

    sent: list[Any] = []
    monkeypatch.setattr(inspections, "AT_ONCE_BYTES", 10)
    monkeypatch.setattr(tasks, "_send", lambda name, args, **_options: sent.append((name, args)))
    with django_capture_on_commit_callbacks(execute=True):
        put(client, draft, "test", labels__csv=LABELS)
    assert sent == [("touchstone.data_inspect", [str(draft.pk)])]
    assert "The data wait to be read" in text(client.get(at(draft, "data-found")))
    poll = client.get(at(draft, "data-found"), headers={"HX-Request": "true"})
    assert (poll.status_code, "HX-Refresh" in poll) == (204, False)
    inspections.inspection_run(draft_id=sent[0][1][0])
    assert client.get(at(draft, "data-found"), headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "No file has changed since." in text(client.get(at(draft, "data-found")))


def test_pictures_leaks_and_defects_are_shown(client: Client, draft: Draft) -> None:
    def npz(ids: list[str], x: Any) -> bytes:
        held = io.BytesIO()
        np.savez(held, id=np.array(ids, dtype=str), x=x)
        return held.getvalue()

    x = np.arange(3 * 64, dtype=np.uint8).reshape(3, 1, 8, 8)
    put(client, draft, "test", inputs__npz=npz(["a1", "a2", "a3"], x), labels__csv=LABELS)
    put(client, draft, "train", inputs__npz=npz(["a1", "b2"], x[[0, 2]]), labels__csv=b"id,label\na1,no\na1,no\n")
    page = text(client.get(at(draft, "data-found")))
    assert "2 inputs are byte for byte the same in test and train." in page
    assert "cannot be published" in page  # the id a1 stands in a public and a hidden split
    assert "1 id more than once: a1" in page
    src = page.split('<img src="')[1].split('"')[0]
    picture = client.get(src)
    assert (picture["Content-Type"], picture["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert b"".join(picture.streaming_content)[:4] == b"\x89PNG"
    stranger = Client()
    stranger.force_login(user_make("sam"))
    assert stranger.get(src).status_code == 404
    assert client.get(src.replace(src.split("/")[-1], "0" * 64 + ".png")).status_code == 404


def test_a_changed_file_makes_the_look_stale(client: Client, draft: Draft) -> None:
    from touchstone.drafts.splits import split_file_put

    put(client, draft, "test", labels__csv=LABELS)
    split_file_put(draft=draft, user=draft.owner, split="test", name="labels.csv", file=io.BytesIO(LABELS + b"a4,no\n"))
    assert "Files have changed since" in text(client.get(at(draft, "data-found")))
    client.post(at(draft, "data-found"))
    assert "Files have changed since" not in text(client.get(at(draft, "data-found")))


def test_removing_asks_and_says_what_stays(client: Client, draft: Draft) -> None:
    from touchstone.drafts.selectors import section_get

    put(client, draft, "test", labels__csv=LABELS, attributes__csv=ATTRIBUTES)
    url = at(draft, "data-remove")
    asked = text(client.get(url, {"split": "test", "file": "labels.csv"}))
    assert "The split and its other files stay." in asked
    assert draft.files.count() == 2
    client.post(url, {"split": "test", "file": "labels.csv"})
    assert [file.path for file in draft.files.all()] == ["data/test/attributes.csv"]
    assert "with 1 file (" in text(client.get(url, {"split": "test"}))
    client.post(url, {"split": "test", "version": "1"})
    assert [s["name"] for s in section_get(draft=draft, name="data").body["splits"]] == ["train"]
    assert not draft.files.exists()
    assert client.get(url, {"split": "test"}).status_code == 404


def test_the_card_keeps_all_text_and_counts_sections(client: Client, draft: Draft) -> None:
    from touchstone.drafts.selectors import section_get

    long = "We made these data to compare models of who repays a loan, paid by nobody."
    url = at(draft, "data-card")
    response = client.post(url, {"version": "1", "motivation": long, "uses": "None."}, follow=True)
    assert "<strong>1</strong> of 7 sections say something" in text(response)
    assert "Still to write: Composition, Collection" in text(response)
    assert section_get(draft=draft, name="data").body["data_card"]["uses"] == "None."
    assert len(section_get(draft=draft, name="data").body["splits"]) == 2
    conflict = client.post(url, {"version": "1", "motivation": "Other."})
    assert conflict.status_code == 409
    assert "Other." in conflict.content.decode()


def test_the_public_page_counts_what_one_may_download_alone(world: Any) -> None:
    facts = {"classes": {"yes": 2, "no": 1}, "attributes": {"gender": {"male": 2, "": 1}}}
    for split in world.public.splits.all():
        split.facts = facts
        split.save()
    world.public.data_card = "# Card\n\n## 1. Motivation\n\n" + "word " * 20
    world.public.save()
    page = text(world.client("stranger").get("/c/open-one/data/"))
    assert "1 of 7 sections" in page
    assert '<th scope="row">yes</th><td class="r">2 (66.7 %)</td>' in page
    assert "test: mostly" not in page
    organiser = text(world.client("organiser").get("/c/open-one/data/"))
    assert "test: mostly" in organiser
    assert "others see those of public splits alone" in organiser
