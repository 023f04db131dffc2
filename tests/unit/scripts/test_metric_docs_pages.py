"""The pages about metrics: nothing is missing on any of them, and every example passes the checks of the spec."""

import re

import pytest
import yaml

from runners import registry
from runners.measure import measure
from runners.spec import check_folder
from scripts.metric_docs import examples, files, measured, other_pages, pages, parameters, words
from tests.factories.runner_models import group_context

METRICS = registry.metrics()
SECTIONS = ("Formula", "Range and direction", "Interval", "Needs", "Cost", "Parameters", "Limits", "Source")
ATTRIBUTES = tuple(examples.ATTRIBUTES)
BASE = {
    "touchstone": 1, "slug": "mini", "title": "Mini",
    "task": {"kind": "binary", "classes": ["no", "yes"], "positive": "yes", "favourable": "no"},
    "input": {"kind": "image", "shape": [1, 28, 28], "range": [0, 1]},
    "data": {
        "open": {"path": "data/open", "visibility": "public"}, "test": {"path": "data/test", "visibility": "hidden"},
    },
    "submission": {"kinds": ["model"]},
    "phases": [{"slug": "main", "split": "test", "opens": "2026-01-01T00:00Z"}],
    "metrics": [],
    "leaderboards": [{"slug": "main", "rank_by": "base"}],
}  # fmt: skip


def sections(text):
    """What stands below each heading of a page."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", METRICS)
def test_page_of_a_metric_says_everything(name):
    info = METRICS[name]
    page = pages.page(info, None)
    found = sections(page)
    assert all(getattr(info, key).strip() for key in ("formula", "interval", "limits", "reference", "summary"))
    assert all(found[section] for section in SECTIONS)
    assert words.range_text(info.range) in found["Range and direction"].lower()
    assert words.direction(info.direction) in found["Range and direction"]
    assert all(f"`{need}`: {pages.NEEDS[need]}" in found["Needs"] for need in info.needs)
    assert ("For 100 items" in found["Cost"]) == (info.queries is not None)
    assert all(pages.key_of(info, column) in page for column in info.columns)


@pytest.mark.parametrize("info", [*registry.attacks().values(), *registry.defences().values()], ids=lambda i: i.name)
def test_page_of_an_attack_or_defence_says_everything(info):
    make = other_pages.attack_page if isinstance(info, registry.AttackInfo) else other_pages.defence_page
    found = sections(make(info, None))
    assert info.limits
    assert info.summary in make(info, None).replace("\\*", "*")
    assert all(found[section] for section in ("Cost", "Parameters", "In competition.yml", "Limits", "Source"))


def test_every_parameter_has_a_meaning():
    known = [*METRICS.values(), *registry.attacks().values(), *registry.defences().values()]
    lacking = set()
    for info in known:
        told = parameters.table(info.parameters.model_json_schema(), info.function.__doc__ or "", info.name)
        lacking |= {f"{info.name}: {line}" for line in told[2:] if line.endswith("|  |")}
    assert lacking == set()


@pytest.fixture
def folder(tmp_path):
    """A competition's folder whose splits nobody reads."""
    for split in ("open", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
    (tmp_path / "surrogates").mkdir()
    for name in ("plain", "robust"):
        (tmp_path / "surrogates" / f"{name}.onnx").write_bytes(b"nobody reads it")
    return tmp_path


def _defects(folder, parts):
    """What is wrong with a competition that has all these parts, each metric under a name of its own."""
    document = {**BASE, "attributes": {}, "metrics": [{"use": "performance.accuracy", "as": "base"}]}
    for number, part in enumerate(parts):
        document["attributes"] |= part.get("attributes", {})
        document["metrics"] += [{**use, "as": f"m{number}"} for use in part["metrics"]]
        document |= {key: part[key] for key in ("phases", "input", "surrogates") if key in part}
        if part.get("task", {}).get("favourable"):
            document["task"] = part["task"]
    if not document["attributes"]:
        del document["attributes"]
    (folder / "competition.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return [(defect.where, defect.message) for defect in check_folder(folder, data=False).defects]


def test_every_example_passes_the_checks_of_the_spec(folder):
    parts = [yaml.safe_load(examples.yaml_of(examples.fragment(info))) for info in METRICS.values()]
    assert _defects(folder, parts) == []


@pytest.mark.parametrize(
    "name", ["fairness.disparate_impact", "fairness.reject_option", "performance.f1", "robustness.attack"]
)
def test_example_passes_by_itself(folder, name):
    assert _defects(folder, [yaml.safe_load(examples.yaml_of(examples.fragment(METRICS[name])))]) == []


def test_a_wrong_example_would_be_found(folder):
    part = examples.fragment(METRICS["fairness.disparate_impact"])
    part["metrics"][0]["attribute"] = "height"
    assert _defects(folder, [part])


def test_examples_of_attacks_and_defences_pass_too(folder):
    parts = []
    for make, known in ((other_pages.attack_page, registry.attacks()), (other_pages.defence_page, registry.defences())):
        for info in known.values():
            (block,) = re.findall(r"```yaml\n(.*?)```", make(info, None), re.DOTALL)
            parts.append(yaml.safe_load(block))
    assert _defects(folder, parts) == []


def test_index_names_every_page_once():
    links = re.findall(r"\]\(([a-z0-9_/]+\.md)\)", other_pages.index())
    wanted = [f"{m.pillar}/{name.partition('.')[2]}.md" for name, m in METRICS.items()]
    wanted += [f"attacks/{name}.md" for name in registry.attacks()]
    wanted += [f"defences/{name}.md" for name in registry.defences()]
    assert sorted(links) == sorted(["guide.md", *wanted])


def test_schema_becomes_a_row():
    schema = {
        "properties": {
            "eps": {"type": "number", "exclusiveMinimum": 0},
            "kinds": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "default": ["a"]},
            "odd": {"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}], "default": None},
        },
        "required": ["eps"],
    }
    rows = parameters.table(schema, "Text.\n\nArgs:\n    odd: what it is,\n        and more.\n    eps: said here.")
    assert rows[2:] == [
        "| `eps` | number | required | > 0 | said here. |",
        "| `kinds` | list of `a`, `b` | `a` | at least 1 | corruptions |",
        "| `odd` | whole number | none | ≥ 2 | what it is, and more. |",
    ]
    assert parameters.table({}) == ["It takes no parameters."]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (-0.25, "−0.250"), (0.00012, "0.00012"), (12.34, "12.3"), (2234000.0, "2,234,000")],
)
def test_numbers_as_people_write_them(value, text):
    assert words.number(value) == text


def test_ranges_and_ends():
    assert [words.range_text(r) for r in ((0.0, 1.0), (0.0, None), (None, 1.0), (None, None))] == [
        "0 to 1", "0 and up", "1 and below", "any number",
    ]  # fmt: skip
    assert words.joined(["a", "b", "c"]) == "a, b and c"
    assert words.interval(0.1, None) == ""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty docs/metrics with the results of one metric."""
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results.json")
    few = {"performance.accuracy": METRICS["performance.accuracy"], "fairness.accuracy": METRICS["fairness.accuracy"]}
    monkeypatch.setattr(registry, "metrics", lambda: few)
    ctx = group_context([[[30, 20], [10, 40]], [[20, 30], [10, 40]]])
    (result,) = measure("performance.accuracy", "performance.accuracy", {}, ctx)
    row = {"who": "one <of>", "results": [{"key": "", "value": result.value, "low": result.low, "high": result.high}]}
    entry = {"metric": "performance.accuracy", "data": "d", "parameters": {}, "rows": [row]}
    data = {"d": {"about": "two hundred items", "lines": {"one <of>": "the only one"}}}
    measured.save(tmp_path / "results.json", {"measured": {"data": data}, "metrics": {"performance.accuracy": entry}})
    return tmp_path


def test_files_are_written_compared_and_cleared_away(place):
    assert measured.load(place / "results.json")["metrics"]["performance.accuracy"]["rows"][0]["who"] == "one <of>"
    assert len(files.stale(write=True)) == 4 + len(registry.attacks()) + len(registry.defences())
    assert files.stale(write=False) == []
    (place / "performance" / "accuracy.md").write_text("old")
    (place / "performance" / "gone.md").write_text("of a metric that is no more")
    (place / "guide.md").write_text("by hand")
    assert files.stale(write=False) == ["performance/accuracy.md", "performance/gone.md"]
    files.stale(write=True)
    assert files.stale(write=False) == []
    assert (place / "guide.md").exists()


def test_page_tells_the_result_in_words(place):
    files.stale(write=True)
    found = sections((place / "performance" / "accuracy.md").read_text())["A result"]
    assert (
        "Measured on two hundred items; with the defaults of its parameters. Submissions: `one <of>`: the only one."
        in found
    )
    assert "Accuracy: `one <of>` has 0.650 (0.582 to 0.713)." in found
    picture = (place / "figures" / "performance.accuracy.svg").read_text()
    assert "one &lt;of&gt;" in picture
    assert "0.650 (0.582 to 0.713)" in picture
