"""Phases of a draft: times in a zone, the picture of them, gaps and overlaps in words; and how forms are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.http import QueryDict
from django.test import Client

from tests.factories.server import user_make
from touchstone.web.views.wizard.fields import moved, number, posted, words
from touchstone.web.views.wizard.merge import differences, merged
from touchstone.web.views.wizard.timeline import stored, timeline, typed

BERLIN, ZULU = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("text", "zone", "found"),
    [
        ("2026-07-01T12:00", BERLIN, "2026-07-01T10:00Z"),
        ("2026-01-01T12:00:30", BERLIN, "2026-01-01T11:00:30Z"),
        ("2026-07-01T12:00+05:00", BERLIN, "2026-07-01T07:00Z"),
        (" someday ", ZULU, "someday"),
        ("", ZULU, ""),
    ],
)
def test_times_are_stored_in_utc_and_what_is_none_stays(text: str, zone: ZoneInfo, found: str) -> None:
    assert stored(text, zone) == found


def test_times_are_shown_in_the_zone_and_come_back_the_same() -> None:
    for value in ("2026-07-01T10:00Z", "2026-01-01T00:00:30Z"):
        assert stored(typed(value, BERLIN), BERLIN) == value
    assert typed("2026-07-01T10:00Z", BERLIN) == "2026-07-01T12:00"
    assert typed("someday", BERLIN) == "someday"
    assert typed(None, BERLIN) == ""


def _phase(slug: str, opens: str, closes: str | None = None) -> dict[str, Any]:
    return {"slug": slug, "opens": opens, "closes": closes}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (_phase("b", "2026-01-11T00:00Z", "2026-01-20T00:00Z"), "follows “a” at once, at 2026-01-11 00:00 UTC"),
        (_phase("b", "2026-01-14T00:00Z"), "nothing is open for 3 days"),
        (_phase("b", "2026-01-10T19:00Z"), "are both open for 5 hours from 2026-01-10 19:00 UTC"),
        (_phase("b", "2026-01-11T00:30Z"), "nothing is open for 30 minutes"),
    ],
)
def test_what_lies_between_phases_is_said(second: dict[str, Any], said: str) -> None:
    shown = timeline([second, _phase("a", "2026-01-01T00:00Z", "2026-01-11T00:00Z")], zone=ZULU, at=_at(5))
    assert shown is not None
    (words_between,) = shown.words
    assert said in words_between
    assert [bar.title for bar in shown.bars] == ["a", "b"]


def _at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def test_the_picture_spans_all_phases() -> None:
    phases = [
        _phase("a", "2026-01-01T00:00Z", "2026-01-11T00:00Z"),
        _phase("b", "2026-01-11T00:00Z", "2026-01-21T00:00Z"),
    ]
    shown = timeline(phases, zone=ZULU, at=_at(6))
    assert shown is not None
    assert [(bar.x, bar.width) for bar in shown.bars] == [("0.00%", "50.00%"), ("50.00%", "50.00%")]
    assert shown.now == "25.00%"
    assert [tick.text for tick in shown.ticks] == ["2026-01-01", "2026-01-11", "2026-01-21"]


def test_endless_phases_and_those_without_times() -> None:
    shown = timeline([_phase("a", "2026-01-01T00:00Z"), _phase("b", "2026-02-01T00:00Z")], zone=ZULU, at=_at(2))
    assert shown is not None
    assert "never closes" in shown.words[0]
    assert [bar.endless for bar in shown.bars] == [True, True]
    assert timeline([{"slug": "x", "opens": "soon"}], zone=ZULU, at=_at(1)) is None
    single = timeline([_phase("a", "2026-01-05T00:00Z", "2026-01-06T00:00Z")], zone=ZULU, at=_at(1))
    assert single is not None
    assert (single.words, single.now) == ([], "")


def test_forms_become_lists_and_mappings() -> None:
    query = "phases[1].slug=b&phases[0].slug=a&phases[0].limits.total=5&phases[x].slug=no&phases=no&other[0].a=1"
    post = QueryDict(query)
    assert posted(post, "phases") == [{"slug": "a", "limits": {"total": "5"}}, {"slug": "b"}]
    assert posted(QueryDict("a.b=x\r\ny"), "a") == {"b": "x\ny"}
    assert posted(QueryDict(""), "a") == {}


def test_numbers_words_and_buttons() -> None:
    assert [number(text) for text in ("", " 5 ", "-2", "0.5", "5 GiB", "1e5")] == [None, 5, -2, 0.5, "5 GiB", "1e5"]
    assert words("a, b\n\nc") == ["a", "b", "c"]
    assert moved([1, 2, 3], {"down": "x[0]"}, "x") == [2, 1, 3]
    assert moved([1, 2, 3], {"up": "x[0]"}, "x") == [1, 2, 3]
    assert moved([1, 2, 3], {"remove": "x[7]"}, "x") == [1, 2, 3]
    assert moved([1, 2, 3], {"remove": "y[1]"}, "x") == [1, 2, 3]


def test_two_bodies_are_compared_part_by_part() -> None:
    theirs = {"phases": [{"slug": "a", "limits": {"total": 1}}, {"slug": "b"}], "n": 1, "same": [1]}
    mine = {"phases": [{"slug": "b"}, {"slug": "a", "limits": {"total": 2}}], "n": 1, "same": [1], "new": {"x": 1}}
    found = differences(theirs, mine)
    assert [(item.where, item.theirs, item.mine) for item in found] == [
        ("phases › a › limits › total", "1", "2"), ("new", "", '{\n  "x": 1\n}'),
    ]  # fmt: skip
    assert merged(theirs, mine, {"choice-0": "theirs", "choice-1": "theirs"}) == {
        "phases": [{"slug": "b"}, {"slug": "a", "limits": {"total": 1}}], "n": 1, "same": [1],
    }  # fmt: skip
    assert merged(theirs, mine, {}) == mine


def test_a_list_that_one_emptied_is_chosen_entry_by_entry() -> None:
    theirs, mine = {"metrics": [{"use": "a", "attribute": "sex"}, {"use": "a", "attribute": "race"}]}, {"metrics": []}
    assert [item.where for item in differences(theirs, mine)] == ["metrics › a sex", "metrics › a race"]
    assert merged(theirs, mine, {"choice-1": "theirs"}) == {"metrics": [{"use": "a", "attribute": "race"}]}
    assert merged(theirs, mine, {}) == {"metrics": []}


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(user_make("wanda"))
    return client


@pytest.fixture
def path(client: Client) -> str:
    from touchstone.accounts.models import User
    from touchstone.drafts.services import draft_create

    return f"/drafts/{draft_create(user=User.objects.get(), title='x').pk}/phases/"


def _saved(path: str) -> Any:
    from touchstone.drafts.models import DraftSection

    return DraftSection.objects.get(name="phases", draft_id=path.split("/")[2]).body["phases"]


def test_phases_are_saved_with_what_was_said_only(client: Client, path: str) -> None:
    fields = {
        "version": 0, "zone": "Europe/Berlin", "phases[0].title": "Main phase", "phases[0].slug": "",
        "phases[0].split": "test", "phases[0].opens": "2026-07-01T12:00", "phases[0].closes": "",
        "phases[0].limits.per_day": "5", "phases[0].limits.total": "", "phases[0].feedback": "rounded",
        "phases[0].logs": "auto", "phases[0].priority": "0",
        "phases[1].slug": "final", "phases[1].opens": "bad", "phases[1].closes": "2026-09-01T00:00",
        "phases[1].finalists.phase": "main-phase", "phases[1].finalists.choose": "2", "phases[1].feedback": "none",
        "phases[2].title": "", "phases[2].slug": "", "phases[2].feedback": "full",
    }  # fmt: skip
    assert client.post(path, fields).status_code == 302
    assert _saved(path) == [
        {
            "slug": "main-phase", "title": "Main phase", "split": "test", "opens": "2026-07-01T10:00Z",
            "limits": {"per_day": 5}, "feedback": "rounded",
        },
        {
            "slug": "final", "split": "", "opens": "bad", "closes": "2026-08-31T22:00Z", "feedback": "none",
            "finalists": {"phase": "main-phase", "choose": 2},
        },
    ]  # fmt: skip
    html = client.get(path).content.decode()
    assert "a time with a zone" in html
    assert 'value="bad"' in html
    assert '<svg class="phase-picture"' in html
    assert "Opens (UTC)" in html
    html = client.get(f"{path}?zone=Europe/Berlin").content.decode()
    assert 'value="2026-07-01T12:00"' in html
    assert "Opens (Europe/Berlin)" in client.get(path).content.decode()
    assert "Opens (UTC)" in client.get(f"{path}?zone=Mars/Olympus").content.decode()


def test_saving_unchanged_phases_changes_nothing(client: Client, path: str) -> None:
    """What the form cannot show otherwise would get lost: an unknown split, a kind of feedback of another version."""
    from touchstone.accounts.models import User
    from touchstone.drafts.models import Draft
    from touchstone.drafts.services import section_save

    phases = [
        {
            "slug": "a", "title": "A", "split": "gone", "validation": "val", "opens": "2026-01-01T00:00Z",
            "closes": "2026-01-02T00:00:30Z", "limits": {"per_day": 1, "total": 2}, "feedback": "ladder",
            "logs": "none", "priority": 3, "finalists": {"phase": "other", "choose": 3},
        }
    ]  # fmt: skip
    section_save(
        draft=Draft.objects.get(), user=User.objects.get(), name="phases", body={"phases": phases}, version=0
    )  # fmt: skip
    fields = _fields(client.get(path).content.decode())
    client.post(path, fields)
    assert _saved(path) == phases


def _fields(html: str) -> dict[str, str]:
    """What a browser would send of the step's form, as it came."""
    import re

    form = html.split('id="step-form"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        fields[name] = chosen[1] if chosen else ""
    return fields


def test_what_never_closes_is_drawn_until_today_at_least() -> None:
    old = timeline([_phase("a", "2026-01-01T00:00Z")], zone=ZULU, at=_at(20))
    new = timeline([_phase("a", "2026-01-09T00:00Z")], zone=ZULU, at=_at(2))
    assert old is not None
    assert old.now
    assert new is not None
    assert not new.now
    assert len({tick.text for tick in new.ticks}) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"phases.kinds[0]": "x", "remove": "phases[0]"}, {"submission[0]": "x"}, {"submission.resources": "x"},
        {"submission.resources.memory.x": "1", "submission.size.x": "1"},
    ],
)  # fmt: skip
def test_fields_that_no_form_has_are_no_error(client: Client, path: str, fields: dict[str, str]) -> None:
    for step in (path, path.replace("/phases/", "/rules/")):
        assert client.post(step, {**fields, "version": "0"}).status_code == 302
        assert client.get(step).status_code == 200
