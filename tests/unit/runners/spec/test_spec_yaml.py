"""Only plain data comes out of a YAML file, and hostile files stay small."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runners.spec.yamlfile import MAX_BYTES, parse_yaml, read_yaml


def test_scalars_are_typed_as_in_yaml_1_2() -> None:
    document = parse_yaml(
        "[1, -2, 0.5, 1e3, yes, no, on, true, ~, '1', 2026-01-01T00:00:00Z, 0777, .5, 1_000]", file="f"
    )

    assert document.defects == []
    assert document.data == [
        1,
        -2,
        0.5,
        1000.0,
        "yes",
        "no",
        "on",
        True,
        None,
        "1",
        "2026-01-01T00:00:00Z",
        777,
        0.5,
        "1_000",
    ]


def test_lines_are_those_of_keys_and_items() -> None:
    document = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", file="f")
    paths = [("a",), ("b",), ("b", 0), ("b", 1, "c"), ("b", 1, "d"), ("b", 1, "missing")]
    assert [document.line(path) for path in paths] == [1, 2, 3, 4, 5, 4]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate_key", 3),
        ("a: &x 1\n", "anchor", 1),
        ("a: 1\nb: *x\n", "alias", 2),
        ("a: !!binary aGk=\n", "tag", 1),
        ("a: 1\n---\nb: 2\n", "documents", 2),
        ("%YAML 1.1\n---\na: yes\n", "directive", 2),
        ("a: .nan\n", "number", 1),
        ("a: 1e999\n", "number", 1),
        ("[1, 2]: 3\n", "key", 1),
        ("a: [1\nb: 2\n", "yaml", 2),
        ("a: 1\n\tb: 2\n", "yaml", 2),
        ("a: 1\nb: \x07\n", "yaml", 2),
        ('a: "x\\0"\n', "character", 1),
        ('a: 1\n"\\ud800": 2\n', "character", 2),
        ("", "empty", 1),
        ("[" * 1000, "too_large", 1),
        ("a: " + "[" * 30 + "]" * 30, "too_large", 1),
    ],
)
def test_what_is_not_plain_is_a_defect(text: str, code: str, line: int) -> None:
    defects = parse_yaml(text, file="f").defects
    assert (code, line) in {(defect.code, defect.line) for defect in defects}


def test_an_alias_bomb_does_not_grow() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    document = parse_yaml("\n".join(lines), file="f")
    assert {"alias", "anchor"} <= {defect.code for defect in document.defects}
    assert document.data["a11"] == [None] * 9


def test_many_values_stop_early() -> None:
    started = time.monotonic()
    document = parse_yaml("[" + "1," * 200_000 + "]", file="f")
    assert [defect.code for defect in document.defects] == ["too_large"]
    assert time.monotonic() - started < 30


def test_files_too_large_or_of_another_encoding(tmp_path: Path) -> None:
    large, latin = tmp_path / "large.yml", tmp_path / "latin.yml"
    large.write_bytes(b"a: " + b"x" * MAX_BYTES)
    latin.write_bytes("a: 1\nb: é\n".encode("latin-1"))

    assert [defect.code for defect in read_yaml(large).defects] == ["too_large"]
    assert [(defect.code, defect.line) for defect in read_yaml(latin).defects] == [("encoding", 2)]
