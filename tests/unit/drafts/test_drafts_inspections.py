"""Looks into a draft's data: what is looked at, when a job does it, and what happens when it dies."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.server import user_make

if TYPE_CHECKING:
    from touchstone.drafts.models import Draft

_DATA = Path(__file__).parents[3] / "competitions" / "recidivism" / "data"


@pytest.fixture
def draft(db: None) -> Draft:
    from touchstone.drafts.services import draft_create, section_save
    from touchstone.drafts.splits import split_file_put

    owner = user_make("dora")
    draft = draft_create(user=owner, title="Recidivism")
    body = {"splits": [{"name": "sample", "visibility": "public"}]}
    section_save(draft=draft, user=owner, name="data", body=body, version=0)
    for path in sorted((_DATA / "sample").iterdir()):
        with path.open("rb") as file:
            split_file_put(draft=draft, user=owner, split="sample", name=path.name, file=file)
    return draft


def test_the_report_suggests_the_task(draft: Draft) -> None:
    from touchstone.drafts.inspections import inspection_request, split_found
    from touchstone.drafts.proposals import task_proposal

    look = inspection_request(draft=draft, user=draft.owner)
    assert (look.state, look.attempts, look.report_digest) == ("done", 1, look.digest)
    found = split_found(draft=draft)
    assert found["sample"]["classes"]["values"] == [["no_recidivism", 28], ["recidivism", 22]]
    proposal = task_proposal(found)
    assert proposal["task"] == {"kind": "binary", "classes": ["no_recidivism", "recidivism"]}
    assert (proposal["input"]["shape"], proposal["input"]["range"]) == ([6], [0.0, 1.0])
    assert proposal["input"]["features"][0] == "age"
    # Who has the advantage is no question to data, as little as what is good for people.
    assert {name: entry["privileged"] for name, entry in proposal["attributes"].items()} == {
        "race": "", "sex": "", "age_group": "",
    }  # fmt: skip


def test_a_stranger_has_nothing_looked_at(draft: Draft) -> None:
    from touchstone.core.errors import NotFound
    from touchstone.drafts.inspections import inspection_get, inspection_request

    with pytest.raises(NotFound):
        inspection_request(draft=draft, user=user_make("sam"))
    assert inspection_get(draft=draft) is None


def test_a_lost_job_is_sent_again_and_given_up_after_three(
    draft: Draft, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    from touchstone.core import tasks
    from touchstone.core.clock import now
    from touchstone.drafts import inspections

    sent: list[Any] = []
    monkeypatch.setattr(inspections, "AT_ONCE_FILES", 0)
    monkeypatch.setattr(tasks, "_send", lambda name, args, **_options: sent.append((name, *args)))
    look = inspections.inspection_request(draft=draft, user=draft.owner)
    assert inspections.inspections_sweep() == 0  # it was asked for just now

    def age(**fields: Any) -> None:
        type(look).objects.filter(pk=look.pk).update(wanted_at=now() - timedelta(minutes=5), **fields)

    age(state="running", lease_until=now() + timedelta(minutes=5))
    assert inspections.inspections_sweep() == 0  # somebody is at it
    age(lease_until=now() - timedelta(seconds=1), attempts=2)
    with django_capture_on_commit_callbacks(execute=True):
        assert inspections.inspections_sweep() == 1
    assert sent[-1] == ("touchstone.data_inspect", str(draft.pk))
    age(attempts=3)
    assert inspections.inspections_sweep() == 0
    look.refresh_from_db()
    assert look.state == "failed"
    assert "ended three times" in look.message


def test_a_process_that_breaks_off_leaves_the_last_report(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    from touchstone.core.limited import Ended
    from touchstone.drafts import inspections

    inspections.inspection_request(draft=draft, user=draft.owner)
    monkeypatch.setattr(inspections, "run_limited", lambda *_a, **_k: Ended(-9, b"", b"killed"))
    look = inspections.inspection_request(draft=draft, user=draft.owner)
    assert look.state == "failed"
    assert "too much memory" in look.message
    assert look.report["splits"]["sample"]["n"] == 50


def test_what_takes_long_leaves_the_request_for_a_job(
    draft: Draft, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    from touchstone.core import tasks
    from touchstone.core.limited import LimitedTimeout
    from touchstone.drafts import inspections

    sent: list[str] = []
    looked: list[float] = []

    def slow(*_args: Any, seconds: float, **_more: Any) -> None:
        looked.append(seconds)
        raise LimitedTimeout("too slow")

    monkeypatch.setattr(tasks, "_send", lambda name, args, **_options: sent.append(name))
    monkeypatch.setattr(inspections, "run_limited", slow)
    with django_capture_on_commit_callbacks(execute=True):
        look = inspections.inspection_request(draft=draft, user=draft.owner)
    assert (look.state, sent) == ("waiting", [inspections.TASK])
    inspections.inspection_run(draft_id=draft.pk)
    look.refresh_from_db()
    assert (look.state, looked) == ("failed", [20, 900])


def test_who_comes_second_does_nothing(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    from touchstone.drafts import inspections

    inspections.inspection_request(draft=draft, user=draft.owner)
    monkeypatch.setattr(inspections, "_look", lambda *_args: pytest.fail("looked twice"))
    inspections.inspection_run(draft_id=draft.pk)


def test_a_zip_may_not_hold_what_has_no_place(draft: Draft) -> None:
    from touchstone.core.errors import UserError
    from touchstone.drafts.splits import split_file_put

    with pytest.raises(UserError, match="not a whole zip"):
        split_file_put(
            draft=draft, user=draft.owner, split="sample", name="x.zip", file=io.BytesIO(b"PK\x03\x04broken")
        )
    with pytest.raises(UserError, match="has no split 'other'"):
        split_file_put(draft=draft, user=draft.owner, split="other", name="labels.csv", file=io.BytesIO(b"id"))
    assert draft.files.count() == 3
