"""The wizard's metrics: the catalogue, the form of each, their order, their cost, and the fairness guide."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from runners.spec.catalogue_file import catalogue
from tests.factories.wizard import client, owner, section_put, step_url
from touchstone.accounts.models import User
from touchstone.drafts.metric_parameters import Choices
from touchstone.drafts.models import DataInspection
from touchstone.drafts.selectors import draft_defects, section_get
from touchstone.drafts.services import draft_create
from touchstone.web.metric_forms import MetricForm
from touchstone.web.parameter_texts import help_text

__all__ = ["client", "owner"]

pytestmark = pytest.mark.django_db
METRICS = sorted(catalogue()["metrics"])


@pytest.fixture
def draft(owner):
    made = draft_create(user=owner, title="Loans")
    section_put(made, owner, "task", {
        "task": {"kind": "binary", "classes": ["refused", "granted"], "favourable": "granted"},
        "attributes": {"sex": {"privileged": "male", "unprivileged": ["female"]}, "race": {"privileged": "white"}},
    })  # fmt: skip
    section_put(made, owner, "rules", {"submission": {"kinds": ["predictions", "model"], "resources": {"time": "10m"}}})
    return made


def _metrics(draft):
    return section_get(draft=draft, name="metrics").body["metrics"]


def _url(draft, name="metrics", *more):
    return step_url(draft, name, *more)


def _fields(html):
    """What a browser would send of the form as it is shown."""
    form = html[html.index('<form id="metric-form"') :]
    sent = {}
    for tag in re.findall(r"<input[^>]*>", form):
        given = dict(re.findall(r'(\w[\w-]*)="([^"]*)"', tag))
        if given.get("type") == "checkbox" and " checked" not in tag:
            continue
        sent.setdefault(given["name"], []).append(given.get("value", "on" if given.get("type") == "checkbox" else ""))
    for name, inner in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', form, flags=re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', inner) or re.search(r'<option value="([^"]*)"', inner)
        sent[name] = [chosen[1]]
    return sent


@pytest.mark.parametrize("pillar", sorted({name.partition(".")[0] for name in METRICS}))
def test_every_metric_has_a_form_with_help(pillar):
    choices = Choices(attributes=("sex",), surrogates=("small",))
    values = {"attack": "pgd", "attacks": ["square"], "defence": "jpeg"}
    for metric in [name for name in METRICS if name.startswith(f"{pillar}.")]:
        form = MetricForm(metric, choices=choices, values=values)
        for parameter in form.parameters:
            assert help_text(metric, parameter), (metric, parameter.name)
            assert f'name="{parameter.name}"' in str(form[parameter.name])
        assert sum(len(fields) for _title, fields in form.groups) == len(form.parameters) + 1


@pytest.mark.parametrize("metric", ["fairness.disparate_impact", "performance.accuracy", "efficiency.latency"])
def test_added_as_it_is_shown(client, draft, metric):
    page = client.get(_url(draft, "metric-add", metric))
    assert page.status_code == 200
    answer = client.post(_url(draft, "metric-add", metric), _fields(page.content.decode()))
    assert (answer.status_code, answer["Location"]) == (302, _url(draft))
    expected = {"use": metric, **({"attribute": "sex"} if metric.startswith("fairness") else {})}
    assert _metrics(draft) == [expected]
    assert not draft_defects(draft=draft)["metrics"]


def test_a_second_use_of_a_metric_gets_a_name(client, draft, owner):
    section_put(draft, owner, "metrics", {"metrics": [{"use": "efficiency.latency"}]})
    assert 'name="as" value="latency_2"' in client.get(_url(draft, "metric-add", "efficiency.latency")).content.decode()
    shown = _fields(client.get(_url(draft, "metric-add", "fairness.disparate_impact")).content.decode())
    assert (shown["attribute"], shown["as"]) == (["sex"], [""])
    section_put(draft, owner, "metrics", {"metrics": [{"use": "fairness.disparate_impact", "attribute": "sex"}]})
    shown = _fields(client.get(_url(draft, "metric-add", "fairness.disparate_impact")).content.decode())
    assert (shown["attribute"], shown["as"]) == (["race"], [""])


def test_an_attack_brings_its_fields(client, draft):
    url = _url(draft, "metric-add", "robustness.attack")
    page = client.get(url).content.decode()
    assert 'name="steps"' not in page
    sent = {**_fields(page), "attack": "pgd", "eps": "0.1", "act": "show"}
    part = client.post(url, sent, headers={"HX-Request": "true"})
    html = part.content.decode()
    assert part.status_code == 200
    assert html.startswith("<form")
    assert 'name="eps" value="0.1"' in html
    assert 'name="steps" value="20"' in html
    assert "field-error" not in html
    assert "about 492\u202f000 questions" in html or "questions" in html
    assert _metrics(draft) == []
    client.post(url, {**_fields(html), "steps": "7"})
    assert _metrics(draft) == [{"use": "robustness.attack", "attack": "pgd", "eps": 0.1, "steps": 7}]


def test_mistakes_stand_beside_their_field_with_what_was_typed(client, draft):
    url = _url(draft, "metric-add", "efficiency.latency")
    answer = client.post(url, {"version": "0", "batch_sizes": "1, eight", "repeats": "5", "as": "1st", "act": "save"})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="1, eight"' in html
    for name, says in {"batch_sizes": "eight", "repeats": "at least 30", "as": "begin with a letter"}.items():
        assert says in html[html.index(f'id="id_{name}_error"') :][:400]
    assert _metrics(draft) == []


def test_changed_moved_removed_and_taken_back(client, draft, owner):
    uses = [{"use": "performance.accuracy"}, {"use": "efficiency.latency"}, {"use": "made.up"}]
    section_put(draft, owner, "metrics", {"metrics": uses})
    page = client.get(_url(draft)).content.decode()
    assert "there is no metric named made.up" in page
    section_put(
        draft, owner, "metrics", {"metrics": [*uses[:2], {**uses[2], "use": "fairness.base_rate", "attribute": "x"}]}
    )
    assert "id_attribute" in (shown := client.get(_url(draft, "metric-edit", 2)).content.decode())
    assert "attributes has no entry named x" in shown[shown.index('id="id_attribute"') :]
    assert "x (not declared)" in shown
    section_put(draft, owner, "metrics", {"metrics": uses})
    version = section_get(draft=draft, name="metrics").version
    client.post(_url(draft), {"version": version, "act": "up-1"})
    assert [use["use"] for use in _metrics(draft)] == ["efficiency.latency", "performance.accuracy", "made.up"]
    client.post(_url(draft), {"version": version + 1, "act": "remove-2"})
    client.post(_url(draft), {"version": version + 2, "act": "up-0"})
    assert len(_metrics(draft)) == 2
    shown = _fields(client.get(_url(draft, "metric-edit", 0)).content.decode())
    client.post(_url(draft, "metric-edit", 0), {**shown, "repeats": "50"})
    assert _metrics(draft)[0] == {"use": "efficiency.latency", "repeats": 50}
    section = section_get(draft=draft, name="metrics")
    client.post(_url(draft, "undo", "metrics"), {"version": section.version})
    assert _metrics(draft)[0] == {"use": "efficiency.latency"}
    assert client.get(_url(draft, "metric-edit", 9)).status_code == 404
    assert client.get(_url(draft, "metric-add", "made.up")).status_code == 404


def test_two_at_once_lose_nothing(client, draft, owner):
    page = _fields(client.get(_url(draft, "metric-add", "performance.f1")).content.decode())
    section_put(draft, owner, "metrics", {"metrics": [{"use": "performance.accuracy"}]})
    answer = client.post(_url(draft, "metric-add", "performance.f1"), page)
    assert answer.status_code == 409
    assert b"performance.f1" in answer.content


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("", "performance.accuracy", "fairness.disparate_impact"),
        ("?pillar=fairness", "fairness.disparate_impact", "performance.accuracy"),
        ("?q=four+fifths", None, "performance.accuracy"),
        ("?q=disparate+IMPACT", "fairness.disparate_impact", "fairness.theil_index"),
        ("?pillar=all&fit=all", "performance.accuracy", "robustness.attack"),
        ("?pillar=all&fit=any", "robustness.attack", None),
        ("?pillar=all&groups=yes", "robustness.bias", "robustness.attack"),
        ("?pillar=all&varies=no", "performance.accuracy", "efficiency.latency"),
        ("?pillar=all&cost=asks", "efficiency.latency", "performance.accuracy"),
        ("?q=nothing-at-all", None, "performance.accuracy"),
    ],
)
def test_search(client, draft, query, there, gone):
    html = client.get(_url(draft) + query, headers={"HX-Request": "true"}).content.decode()
    assert html.strip().startswith('<div id="found">')
    if there:
        assert reverse("web:draft-metric-add", args=[draft.pk, there]) in html
    if gone:
        assert reverse("web:draft-metric-add", args=[draft.pk, gone]) not in html


def test_the_bill(client, draft, owner):
    attack = {"use": "robustness.attack", "attack": "fgsm", "eps": 0.1, "check_items": 0}
    section_put(draft, owner, "metrics", {"metrics": [{"use": "performance.accuracy"}, attack]})
    html = client.get(_url(draft)).content.decode()
    # Each of 1000 items once for the answers; FGSM asks four times, once with a gradient.
    assert "about 5\u202f000" in html[html.index('id="cost"') :]
    assert "about 4\u202f000 questions, 1\u202f000 of them with a gradient, about 12 s" in html
    assert "a number that you may change" in html
    assert "more than the" not in html
    html = client.get(_url(draft) + "?items=10000&ms=100").content.decode()
    assert "That is more than the 10 min that a run may take." in html
    DataInspection.objects.create(draft=draft, report={"splits": {"test": {"n": 20}}}, wanted_at=draft.created_at)
    section_put(draft, owner, "phases", {"phases": [{"slug": "main", "split": "test"}]})
    assert "the 20 items of the split test" in client.get(_url(draft)).content.decode()


def test_page_costs_the_same_queries_for_many_metrics(client, draft, owner, django_assert_max_num_queries):
    section_put(draft, owner, "metrics", {"metrics": [{"use": name, "attribute": "sex"} for name in METRICS]})
    client.get(_url(draft))
    with django_assert_max_num_queries(16):
        assert client.get(_url(draft)).status_code == 200


HARMS = ("selection", "deserving", "errors", "score")


@pytest.mark.parametrize("labels", ["yes", "unsure", "no"])
@pytest.mark.parametrize("rule", ["none", "four_fifths"])
def test_what_the_guide_proposes_is_sound(client, draft, labels, rule):
    url, given = _url(draft, "fairness"), {"harm": HARMS, "labels": labels, "rule": rule, "attribute": ["sex", "race"]}
    html = client.get(url, given).content.decode()
    assert "Chouldechova" in html
    assert "sex = female gets “granted” as often as sex = male." in html
    names = re.findall(r'name="add" value="([^"]*)"', html)
    assert ("fairness.disparate_impact:race" in names) == (rule == "four_fifths")
    assert ("fairness.base_rate_difference:sex" in names) == (labels != "yes")
    assert "intersections" in names
    client.post(url, {**given, "add": names, "version": "0"})
    assert len(_metrics(draft)) == len(names)
    assert draft_defects(draft=draft)["metrics"] == []
    assert "chosen already" in client.get(url, given).content.decode()


def test_the_guide_without_attributes_or_answers(client, owner):
    draft = draft_create(user=owner, title="Bare")
    assert "No attribute is declared yet" in client.get(_url(draft, "fairness")).content.decode()
    assert "Nothing to propose yet" in client.get(_url(draft, "fairness"), {"harm": "errors"}).content.decode()
    client.post(_url(draft, "fairness"), {"harm": "errors", "add": "fairness.equal_opportunity_difference:sex"})
    assert _metrics(draft) == []


def test_strangers_find_nothing(draft):
    stranger = Client()
    stranger.force_login(User.objects.create_user("sam", "sam@example.org", "x"))
    for url in (_url(draft), _url(draft, "fairness"), _url(draft, "metric-add", "performance.f1")):
        assert stranger.get(url).status_code == 404
        assert Client().get(url).status_code == 302
