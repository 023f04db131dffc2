"""The wizard's leaderboards: their form, what the validator says of them, and the preview."""

import re

import pytest
from django.test import Client

from tests.factories.wizard import client, owner, section_put, step_url
from touchstone.accounts.models import User
from touchstone.drafts.models import DataInspection
from touchstone.drafts.selectors import draft_defects, section_get
from touchstone.drafts.services import draft_create

__all__ = ["client", "owner"]

pytestmark = pytest.mark.django_db
USES = [
    {"use": "performance.accuracy"}, {"use": "performance.log_loss"},
    {"use": "fairness.statistical_parity_difference", "attribute": "sex"}, {"use": "efficiency.latency"},
]  # fmt: skip
A, S = "performance.accuracy", "fairness.statistical_parity_difference[sex]"
FORM = {"slug": "main", "title": "", "phase": "", "rank_by": A, "entry": "best", "version": "0", "act": "save"}


@pytest.fixture
def draft(owner):
    made = draft_create(user=owner, title="Loans")
    section_put(made, owner, "metrics", {"metrics": USES})
    section_put(made, owner, "task", {
        "task": {"kind": "binary", "classes": ["no", "yes"], "favourable": "yes"},
        "attributes": {"sex": {"privileged": "male", "unprivileged": ["female"]}},
    })  # fmt: skip
    return made


def _boards(draft):
    return section_get(draft=draft, name="boards").body["leaderboards"]


def _url(draft, name="boards", *more):
    return step_url(draft, name, *more)


def _rows(html):
    """Rank and name of each row of the preview."""
    rows = re.findall(r'<td class="rank num">([^<]*)</td><th scope="row">([^<]*)', html)
    return [(rank, name.strip()) for rank, name in rows]


def test_empty_steps_say_what_comes_next(client, owner, draft):
    assert "Begin with one that ranks" in client.get(_url(draft)).content.decode()
    bare = draft_create(user=owner, title="Bare")
    assert "Choose metrics first" in client.get(_url(bare)).content.decode()
    assert "No results to show yet" in client.get(_url(bare, "board-add")).content.decode()


def test_a_board_is_added_as_it_is_shown(client, draft):
    page = client.get(_url(draft, "board-add")).content.decode()
    assert f'<option value="{A}" selected' in page
    assert "example numbers, not results" in page
    answer = client.post(_url(draft, "board-add"), FORM)
    assert (answer.status_code, answer["Location"]) == (302, _url(draft))
    assert _boards(draft) == [{"slug": "main", "rank_by": A}]
    assert draft_defects(draft=draft)["boards"] == []


WHOLE = {
    **FORM, "title": "Trust", "rank_by": "trust", "columns": ["trust", S, A], "entry": "last", f"weight:{A}": "2",
    f"worst:{A}": "0.5", f"best:{A}": "", f"weight:{S}": "1", "gate_key": [A, S, "", ""],
    "gate_op": [">=", "abs <=", ">=", ">="], "gate_bound": ["0.5", "0.3", "", ""],
}  # fmt: skip
STORED = {
    "slug": "main", "title": "Trust", "rank_by": "trust", "columns": ["trust", S, A], "entry": "last",
    "gates": [f"{A} >= 0.5", f"abs({S}) <= 0.3"], "utility": {A: {"weight": 2, "worst": 0.5}, S: {"weight": 1}},
}  # fmt: skip


def test_a_whole_board_there_and_back(client, draft):
    client.post(_url(draft, "board-add"), WHOLE)
    assert _boards(draft) == [STORED]
    assert draft_defects(draft=draft)["boards"] == []
    page = client.get(_url(draft, "board-edit", 0)).content.decode()
    for text in (f"abs({S}) &lt;= 0.3", f'name="weight:{A}" value="2"', f'name="worst:{A}" value="0.5"'):
        assert text in page
    version = section_get(draft=draft, name="boards").version
    client.post(_url(draft, "board-edit", 0), {**WHOLE, "version": version, f"weight:{S}": "", "gate_key": [A, ""]})
    assert _boards(draft)[0]["utility"] == {A: {"weight": 2, "worst": 0.5}}
    assert _boards(draft)[0]["gates"] == [f"{A} >= 0.5"]


def test_what_cannot_be_read_is_kept_and_nothing_saved(client, draft):
    typed = {**WHOLE, f"weight:{A}": "much", "gate_bound": ["half", "0.3", "", ""]}
    answer = client.post(_url(draft, "board-add"), typed)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="much"' in html
    assert 'value="half"' in html
    assert "Write numbers, not “much”" in html
    assert "not “half”" in html
    assert _boards(draft) == []


def test_defects_stand_beside_their_fields(client, draft, owner):
    board = {
        "slug": "Bad slug", "rank_by": "no.such", "columns": ["gone.key"], "gates": ["nonsense", "gone.gate > 1"],
        "utility": {"performance.log_loss": {"weight": 1}},
    }  # fmt: skip
    section_put(draft, owner, "boards", {"leaderboards": [board]})
    defects = draft_defects(draft=draft)["boards"]
    assert {defect.where for defect in defects} >= {"leaderboards[0].slug"}
    page = client.get(_url(draft, "board-edit", 0)).content.decode()
    assert 'id="f-leaderboards-0-slug-error"' in page
    section_put(draft, owner, "boards", {"leaderboards": [{**board, "slug": "good"}]})
    page = client.get(_url(draft, "board-edit", 0)).content.decode()
    for where in ("rank-by", "columns", "gates-0", "gates-1", "utility-performance-log-loss"):
        assert f'id="f-leaderboards-0-{where}-error"' in page
    assert "no.such" in page
    assert 'name="gate_text" value="nonsense"' in page
    assert "gone.key" in page


def test_the_preview_follows_what_is_typed(client, draft):
    ask = {**FORM, "act": "preview"}
    part = client.post(_url(draft, "board-add"), ask, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<section id="preview"')
    first = _rows(part)
    assert [rank for rank, _name in first] == ["1", "2", "3", "4", "5"]
    gated = client.post(_url(draft, "board-add"), {**ask, "gate_key": A, "gate_op": ">=", "gate_bound": "0.8"})
    rows = _rows(gated.content.decode())
    assert gated.status_code == 200
    assert rows[-1][0] == "–"
    assert f"gate {A} &gt;= 0.8" in gated.content.decode()
    turned = client.post(_url(draft, "board-add"), {**ask, "rank_by": "efficiency.latency"})
    assert _rows(turned.content.decode()) != first
    assert re.search(r"(up|down) \d", turned.content.decode())
    assert _boards(draft) == []


def test_groups_of_the_data_are_offered(client, draft, owner):
    section_put(draft, owner, "metrics", {"metrics": [{"use": "fairness.selection_rate", "attribute": "sex"}]})
    page = client.get(_url(draft, "board-add")).content.decode()
    assert 'value="fairness.selection_rate[sex=female]"' in page
    found = {"splits": {"test": {"attributes": {"sex": {"values": [["other", 9]]}}}}}
    DataInspection.objects.create(draft=draft, report=found, wanted_at=draft.created_at)
    page = client.get(_url(draft, "board-add")).content.decode()
    assert 'value="fairness.selection_rate[sex=other]"' in page
    assert "[sex=female]" not in page


def test_weights_move_ranks_and_tell_how_far_they_can_go(client, draft):
    ask = {**WHOLE, "act": "preview", "gate_key": ""}
    html = client.post(_url(draft, "board-add"), ask).content.decode()
    assert "How much hangs on each weight" in html
    assert "Trust<code" in html
    none = client.post(_url(draft, "board-add"), {**FORM, "rank_by": "trust", "act": "preview"}).content.decode()
    assert "give at least one result a weight" in none


def test_moved_and_removed(client, draft, owner):
    section_put(draft, owner, "boards", {"leaderboards": [{"slug": "a", "rank_by": A}, {"slug": "b", "rank_by": A}, 7]})
    assert client.get(_url(draft)).status_code == 200
    version = section_get(draft=draft, name="boards").version
    client.post(_url(draft), {"version": version, "act": "remove-2"})
    client.post(_url(draft), {"version": version + 1, "act": "down-0"})
    assert [board["slug"] for board in _boards(draft)] == ["b", "a"]
    assert client.get(_url(draft, "board-edit", 2)).status_code == 404


def test_real_results_are_ranked_anew_for_organisers_alone(world):
    """Who edits the draft without organising the competition sees examples: boards may be hidden from them."""
    made = draft_create(user=world.organiser, title="", competition=world.public)
    made.editors.add(world.stranger)
    page = world.client("organiser").get(_url(made, "board-edit", 0)).content.decode()
    assert "real results" in page
    assert _rows(page)
    page = world.client("stranger").get(_url(made, "board-edit", 0)).content.decode()
    assert "example numbers, not results" in page
    assert "real results" not in page


def test_strangers_find_nothing(draft):
    stranger = Client()
    stranger.force_login(User.objects.create_user("sam", "sam@example.org", "x"))
    for url in (_url(draft), _url(draft, "board-add")):
        assert stranger.get(url).status_code == 404
        assert Client().get(url).status_code == 302
