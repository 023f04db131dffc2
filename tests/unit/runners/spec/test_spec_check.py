"""Broken competitions: each defect is told with its key path, its line and a next step, all at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.spec import SpecError, check_folder, load_competition
from runners.spec.__main__ import main

Broken = Callable[..., Path]

PHASE = "    opens: 2026-01-01T00:00Z\n"
SECOND = "  - {slug: second, split: test, opens: 2026-02-01T00:00Z}\n"
METRIC = "  - {use: performance.accuracy}\n"
RANK = "    rank_by: performance.accuracy\n"
INPUT = "input: {kind: tabular, shape: [2], features: [a, b]}\n"

# (pairs of replacements, code, where, line, a part of the message, a part of the hint)
CASES = [
    (["title: Mini", "titel: Mini"], "unknown_key", "titel", 3, "no key named `titel`", "title"),
    (["title: Mini\n", ""], "missing_key", "", 1, "`title` is missing", "title"),
    (["title: Mini", "title: 5"], "type", "title", 3, "expected text, found the number 5", "quotes"),
    (["touchstone: 1", "touchstone: 2"], "type", "touchstone", 1, "expected 1", "1"),
    (["slug: mini", "slug: Mini Comp"], "type", "slug", 2, "a-z, 0-9", "my-name"),
    (["visibility: hidden", "visibility: secret"], "type", "data.test.visibility", 7, "'hidden'", "public"),
    (["favourable:", "favorable:"], "unknown_key", "task.favorable", 4, "favorable", "favourable"),
    (['"no"}', "maybe}"], "value", "task.favourable", 4, "'maybe' is not among the classes", ""),
    (['["no", "yes"]', '[0, "yes"]'], "type", "task.classes[0]", 4, "expected text", "quotes"),
    (['"yes"]', '"yes", "perhaps"]'], "value", "task.classes", 4, "two classes, not 3", ""),
    (["kinds: [predictions]", "kinds: [prediction]"], "type", "submission.kinds[0]", 11, "prediction", "predictions"),
    (["kinds: [predictions]", "kinds: [code]"], "missing_key", "submission.kinds", 11, "`input`", "input"),
    (
        ["kinds: [predictions]", "kinds: [predictions, endpoint]"],
        "leak",
        "phases[0].split",
        14,
        "the inputs of test may not leave the platform",
        "leaves_platform: true in data.test",
    ),
    (
        ["kinds: [predictions]", "kinds: [predictions]\n  endpoint: {rate: 0}"],
        "type",
        "submission.endpoint.rate",
        12,
        "more than 0",
        "",
    ),
    (["kinds: [predictions]", "kinds: []"], "type", "submission.kinds", 11, "at least 1", "Add"),
    (
        ["kinds: [predictions]", "kinds: [predictions]\n  resources: {memory: 4 gigs}"],
        "value",
        "submission.resources.memory",
        12,
        "4 gigs",
        "",
    ),
    (
        ["kinds: [predictions]", "kinds: [predictions]\n  resources: {cpus: true}"],
        "type",
        "submission.resources.cpus",
        12,
        "expected a number, found true",
        "quotes",
    ),
    ([PHASE, "    opens: 2026-01-01\n"], "type", "phases[0].opens", 15, "a time with a zone", "2026-01-31T23:59Z"),
    ([PHASE, "    opens: 2026-01-01T00:00\n"], "value", "phases[0].opens", 15, "needs a zone", ""),
    ([PHASE, "    opens: 20260101\n"], "type", "phases[0].opens", 15, "a time with a zone", "2026"),
    (
        [PHASE, PHASE + "    closes: 2025-01-01T00:00Z\n"],
        "value",
        "phases[0].closes",
        16,
        "before or when it opens",
        "",
    ),
    (
        [PHASE, PHASE + "    feedback: ladder\n"],
        "unavailable",
        "phases[0].feedback",
        16,
        "not available",
        "rounded or none",
    ),
    ([PHASE, PHASE + "    limits: {per_day: 0}\n"], "type", "phases[0].limits.per_day", 16, "at least 1", ""),
    ([PHASE, PHASE + SECOND], "overlap", "phases[1].opens", 16, "never closes", "close at or before"),
    ([PHASE, PHASE + SECOND.replace("2026-02", "2026-01")], "overlap", "phases[1].opens", 16, "still open", "main"),
    (
        [PHASE, PHASE + "    closes: 2026-01-02T00:00Z\n" + SECOND.replace("second", "main")],
        "duplicate",
        "phases[1].slug",
        17,
        "already that of phases[0]",
        "another",
    ),
    (["split: test", "split: tset"], "unknown_split", "phases[0].split", 14, "tset", "test"),
    (["accuracy}", "acuracy}"], "unknown_metric", "metrics[0].use", 17, "performance.acuracy", "performance.accuracy"),
    (["attribute: race", "attribute: rase"], "unknown_attribute", "metrics[1].attribute", 18, "rase", "race"),
    (["attribute: race", "atribute: race"], "unknown_parameter", "metrics[1].atribute", 18, "atribute", "attribute"),
    (["attribute: race", "attribute: 5"], "parameter", "metrics[1].attribute", 18, "the number 5", ""),
    ([', favourable: "no"', ""], "missing_favourable", "metrics[1]", 18, "good for people", "favourable"),
    ([METRIC, METRIC * 2], "duplicate", "metrics[1]", 18, "performance.accuracy", "as:"),
    (
        [METRIC, METRIC + "  - {use: performance.accuracy, as: again, alias: x}\n"],
        "unknown_parameter",
        "metrics[1].alias",
        18,
        "`alias`",
        "as",
    ),
    (
        [RANK, "    rank_by: performance.acc\n"],
        "unknown_result",
        "leaderboards[0].rank_by",
        21,
        "performance.acc",
        "performance.accuracy",
    ),
    ([RANK, "    rank_by: trust\n"], "missing_utility", "leaderboards[0].rank_by", 21, "utility", "utility"),
    (
        [RANK, RANK + "    columns: [performance.accuracy, x]\n"],
        "unknown_result",
        "leaderboards[0].columns[1]",
        22,
        "result x",
        "",
    ),
    (
        [RANK, RANK + "    utility: {nothing: 2}\n"],
        "unknown_result",
        "leaderboards[0].utility.nothing",
        22,
        "nothing",
        "",
    ),
    ([RANK, RANK + "    phase: final\n"], "unknown_phase", "leaderboards[0].phase", 22, "final", "main"),
    (["<= 0.5", "== 0.5"], "gate", "leaderboards[0].gates[0]", 22, "not a condition", "<="),
    (["[race])", "[rase])"], "unknown_result", "leaderboards[0].gates[0]", 22, "[rase]", "[race]"),
    (
        ["title: Mini", "title: Mini\nterms: terms.md"],
        "missing_file",
        "terms",
        4,
        "no file terms.md",
        "competition.yml",
    ),
    (["title: Mini", "title: Mini\nterms: /etc/passwd"], "path", "terms", 4, "not a path relative", "inside"),
    (["title: Mini", "title: Mini\ndata_card: ../x.md"], "path", "data_card", 4, "leaves", "inside"),
    (["title: Mini", "title: Mini\nstarting_kit: kit"], "missing_file", "starting_kit", 4, "does not exist", ""),
    (
        ["title: Mini", "title: Mini\nstarting_kit: data"],
        "leak",
        "starting_kit",
        4,
        "give away the hidden split test",
        "Move",
    ),
    (
        ["path: data/test", "path: data/tset"],
        "missing_file",
        "data.test.path",
        7,
        "data/tset does not exist",
        "open, test",
    ),
    (["path: data/test", "path: data/open"], "nested", "data.test.path", 7, "is also that of open", "own"),
    (["slug: mini", "slug: mini\nslug: mini"], "duplicate_key", "slug", 3, "first in line 2", "Keep one"),
    (["title: Mini", "title: &a Mini"], "anchor", "title", 3, "&a", "anchor"),
    (["title: Mini", "title: !!python/object:os.system Mini"], "tag", "title", 3, "not allowed", "tag"),
    (["title: Mini", "title: [Mini"], "yaml", "", 4, "expected", "brackets"),
]


@pytest.mark.parametrize(("pairs", "code", "where", "line", "message", "hint"), CASES)
def test_each_defect_names_place_and_next_step(
    broken: Broken, pairs: list[str], code: str, where: str, line: int, message: str, hint: str
) -> None:
    report = check_folder(broken(*pairs))

    assert report.spec is None
    assert not report.ok
    found = [d for d in report.defects if (d.code, d.where, d.line, d.file) == (code, where, line, "competition.yml")]
    assert len(found) == 1, [defect.text() for defect in report.defects]
    assert message in found[0].message
    assert hint in found[0].hint


# Defects that follow from another must not be told as well.
ALONE = [
    ["title: Mini", "titel: Mini"], ["[\"no\", \"yes\"]", "[0, \"yes\"]"], ["accuracy}", "acuracy}"],
    ["  race: {privileged: White}", "  race: {privileged: White, minimum: none}"],
    ["split: test", "split: tset"], [PHASE, "    opens: 2026-01-01\n"], ["path: data/test", "path: data/tset"],
]  # fmt: skip


@pytest.mark.parametrize("pairs", ALONE)
def test_one_mistake_is_told_once(broken: Broken, pairs: list[str]) -> None:
    expected = 2 if pairs[1] == "titel: Mini" else 1  # an unknown key and a missing one
    defects = check_folder(broken(*pairs)).defects
    assert len(defects) == expected, [defect.text() for defect in defects]


def test_defects_of_all_parts_come_at_once_in_order(broken: Broken) -> None:
    folder = broken(
        "title: Mini", "titel: Mini", "visibility: hidden", "visibility: secret", PHASE, PHASE + SECOND,
        "accuracy}", "acuracy}", "<= 0.5", "near 0.5",
    )  # fmt: skip
    (folder / "data/open/labels.csv").write_text("id,label\no1,maybe\n")

    defects = check_folder(folder).defects

    assert [(d.code, d.line) for d in defects if d.file == "competition.yml"] == [
        ("missing_key", 1), ("unknown_key", 3), ("type", 7), ("overlap", 16), ("unknown_metric", 18), ("gate", 23),
    ]  # fmt: skip
    assert ("unknown_class", "data/open/labels.csv") in {(d.code, d.file) for d in defects}


def test_a_sound_folder_is_read(sound: Path) -> None:
    report = check_folder(sound)

    assert report.defects == []
    assert report.spec == load_competition(sound)
    assert report.splits["test"].as_dict() == {
        "n_items": 3, "classes": {"no": 2, "yes": 1}, "attributes": {"race": {"": 1, "Black": 1, "White": 1}},
        "n_clusters": None, "parts": ["labels", "attributes"],
    }  # fmt: skip


def test_phases_may_touch(broken: Broken) -> None:
    folder = broken(PHASE, PHASE + "    closes: 2026-02-01T00:00Z\n" + SECOND)
    assert check_folder(folder).defects == []


def test_a_phase_inside_a_longer_one_does_not_hide_the_next_overlap(broken: Broken) -> None:
    third = "  - {slug: third, split: test, opens: 2026-04-01T00:00Z}\n"
    closing = SECOND.replace("Z}", "Z, closes: 2026-03-01T00:00Z}")
    folder = broken(PHASE, PHASE + "    closes: 2027-01-01T00:00Z\n" + closing + third)
    assert [d.where for d in check_folder(folder).defects] == ["phases[1].opens", "phases[2].opens"]


def test_groups_in_keys_must_occur(broken: Broken) -> None:
    metric = "  - {use: fairness.false_positive_rate, attribute: race}\n"
    good = '    columns: ["fairness.false_positive_rate[race=Black]"]\n'
    assert check_folder(broken(METRIC, METRIC + metric, RANK, RANK + good)).defects == []

    defects = check_folder(broken(METRIC, METRIC + metric, RANK, RANK + good.replace("Black", "Blak"))).defects

    assert [(d.code, d.where, d.hint) for d in defects] == [
        ("unknown_group", "leaderboards[0].columns[0]", "Did you mean Black?")
    ]


def test_trust_with_shorthand_utility_passes(broken: Broken) -> None:
    utility = "    rank_by: trust\n    columns: [trust]\n    utility: {performance.accuracy: 2}\n"
    assert check_folder(broken(RANK, utility)).defects == []


def test_unbounded_results_need_anchors(broken: Broken) -> None:
    folder = broken(
        METRIC, METRIC + "  - {use: performance.log_loss}\n",
        RANK, "    rank_by: trust\n    utility: {performance.log_loss: 1}\n",
    )  # fmt: skip
    assert [(d.code, d.where) for d in check_folder(folder).defects] == [
        ("anchors", "leaderboards[0].utility.performance.log_loss")
    ]


def test_links_are_not_followed(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "real.md").write_text("text")
    (sound / "terms.md").symlink_to(tmp_path / "real.md")
    text = (sound / "competition.yml").read_text()
    (sound / "competition.yml").write_text(text.replace("title: Mini", "title: Mini\nterms: terms.md"))
    (sound / "data/test/labels.csv").unlink()
    (sound / "data/test/labels.csv").symlink_to(sound / "data/open/labels.csv")

    defects = check_folder(sound).defects

    assert ("path", "terms") in {(d.code, d.where) for d in defects}
    assert ("link", "data/test/labels.csv") in {(d.code, d.file) for d in defects}


def test_a_missing_file_names_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "competition.yaml").write_text("touchstone: 1\n")
    (defect,) = check_folder(tmp_path).defects
    assert (
        defect.text()
        == "competition.yml: there is no competition.yml in this folder — Rename competition.yaml to competition.yml."
    )


def test_load_raises_with_all_defects(broken: Broken) -> None:
    with pytest.raises(SpecError) as caught:
        load_competition(broken("title: Mini", "titel: Mini"))
    assert [defect.code for defect in caught.value.defects] == ["missing_key", "unknown_key"]
    assert "competition.yml:3 titel: competition.yml has no key named `titel` — Did you mean title?" in str(
        caught.value
    )


def test_the_command_prints_defects_and_exits_7(broken: Broken, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(broken("title: Mini", "title: 5"))]) == 7
    assert capsys.readouterr().out == (
        "competition.yml:3 title: expected text, found the number 5 — Put the value in quotes.\n1 defect\n"
    )


def test_the_command_exits_0_for_a_sound_folder(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(sound)]) == 0
    assert "mini: no defects" in capsys.readouterr().out


ATTACK = "  - {use: robustness.attack, as: one, attack: fgsm, eps: 0.1, check_items: 0}\n"


@pytest.fixture
def asking(broken: Broken) -> Path:
    """A sound folder whose submissions are asked."""
    folder = broken("  kinds: [predictions]\n", f"  kinds: [model]\n{INPUT}", METRIC, METRIC + ATTACK)
    for name in ("open", "test"):
        rows = "".join(f"{name[0]}{i},0.1,0.2\n" for i in (1, 2, 3))
        (folder / "data" / name / "inputs.csv").write_text(f"id,a,b\n{rows}")
    return folder


def test_the_command_tells_what_metrics_will_ask(asking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(asking)]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  phase main, what metrics ask a submission, as a rule (at least):",
        "    one (fgsm): 12 forward and 3 backward passes (3)",
    ]
    assert main(["check", str(asking), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["asks"]["main"]
    assert (told["result"], told["least"], told["forward"], told["backward"]) == ("one", 3, 12, 3)
    assert main(["check", str(asking), "--no-data"]) == 0
    assert "ask" not in capsys.readouterr().out


def test_files_of_predictions_are_asked_nothing(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(sound), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["asks"] == {}


def test_what_metrics_ask_is_left_out_where_nobody_knows(
    asking: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "runners.forecast", None)
    assert main(["check", str(asking)]) == 0
    assert "not installed" in capsys.readouterr().out
    assert main(["check", str(asking), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["asks"] is None
