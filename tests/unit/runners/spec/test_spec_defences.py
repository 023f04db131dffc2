"""Defences and lists of attacks in competition.yml are checked by name before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runners.spec import check_folder

METRIC = "  - {use: performance.accuracy}\n"
HEAD = "  - {use: robustness.attack, attack: pgd, eps: 0.1, "
WORST = "  - {use: robustness.worst_case, eps: 0.1, "

CASES = [
    (HEAD + "defence: jpg}\n", "unknown_defence", ".defence", "no defence named jpg", "jpeg"),
    (HEAD + "defence: jpeg, defence_parameters: {quality: 0}}\n", "parameter", ".defence_parameters.quality", "1", ""),
    (HEAD + "defence: jpeg, defence_parameters: {window: 3}}\n", "unknown_parameter", ".defence_parameters.window",
     "the defence jpeg has no parameter", "quality"),
    (WORST + "attacks: [pgd, pdg]}\n", "unknown_attack", ".attacks[1]", "no attack named pdg", "pgd"),
    (WORST + "attacks: []}\n", "parameter", ".attacks", "at least 1", ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "where", "message", "hint"), CASES)
def test_wrong_names_and_parameters_are_told(
    broken: Callable[..., Path], line: str, code: str, where: str, message: str, hint: str
) -> None:
    report = check_folder(broken(METRIC, METRIC + line))

    assert [(d.code, d.where) for d in report.defects] == [(code, f"metrics[1]{where}")]
    assert message in report.defects[0].message
    assert hint in report.defects[0].hint


def test_right_ones_are_read(broken: Callable[..., Path]) -> None:
    lines = (
        HEAD + "defence: median_smoothing, defence_parameters: {window: 5}}\n"
        + WORST + "attacks: [pgd, hop_skip_jump], attack_parameters: {pgd: {steps: 5}}}\n"
        + "  - {use: robustness.conditions, attack: hop_skip_jump, queries: 500, eps: 3, defence: jpeg}\n"
        + "  - {use: robustness.bias, attribute: race, attack: fgsm, eps: 0.1}\n"
        + "  - {use: robustness.corruptions, kinds: [fog, snow], severities: [5]}\n"
        + "  - {use: robustness.overfitting_gap, attribute: race}\n"
    )  # fmt: skip
    report = check_folder(broken(METRIC, METRIC + lines))

    assert [d.text() for d in report.defects] == []
