"""Replays: published results as competitions and prediction files, so that printed numbers can be met.

    python -m scripts.competitions.build_replay ffpp race OUT
    python -m scripts.competitions.build_replay compas OUT
    python -m scripts.competitions.build_replay compas-table [--source compas-scores-two-years.csv]

`ffpp`: eight confusion matrices of a deepfake detector on FaceForensics++, one attribute each.
`compas`: all 7,214 people with the COMPAS score itself (other than Low) as the prediction.
`compas-table`: write the committed table that the second is made from, out of the origin file.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.competitions.build_recidivism import CLASSES, read_people, read_source
from scripts.competitions.common import ROOT, SourceError, csv_bytes, fail

FIXTURES = ROOT / "tests" / "fixtures" / "replay"
COMPAS_TABLE = FIXTURES / "compas" / "compas.parquet"
#: Not the ids of the ready-made competition, and drawn apart from them: the two cannot be joined by id.
SEED = 20160524

DETECTION = ("pristine", "deepfake")


@dataclass(frozen=True)
class Replay:
    """A bundle folder, a prediction file for its one phase, and what must come out, by result key."""

    bundle: Path
    predictions: Path
    slug: str
    phase: str
    expected: dict[str, float]


def ffpp_cases() -> dict[str, dict[str, dict[str, object]]]:
    """The confusion matrices and printed values by attribute."""
    cases: dict[str, dict[str, dict[str, object]]] = json.loads((FIXTURES / "ffpp" / "cases.json").read_text())
    return cases["attributes"]


def build_ffpp(attribute: str, out: Path) -> Replay:
    """The replay of one attribute below `out`, an empty or missing folder."""
    case = ffpp_cases()[attribute]
    rows = []
    for group in ("privileged", "unprivileged"):
        for (label, prediction), count in zip(_CELLS, case[group].values(), strict=True):
            rows += [(label, prediction, group)] * int(str(count))
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    table = [(f"v{number:04d}", *rows[place]) for number, place in enumerate(order, start=1)]
    slug = f"replay-ffpp-{attribute.replace('_', '-')}"
    spec = _FFPP.format(slug=slug, attribute=attribute, title=attribute.replace("_", " "))
    bundle = _write_bundle(out / slug, spec, table, attribute)
    predictions = out / f"{slug}.csv"
    predictions.write_bytes(csv_bytes(("id", "prediction"), ((row[0], row[2]) for row in table)))
    printed = {key: float(str(value)) for key, value in case["printed"].items()}
    expected = {_KEYS[key].format(attribute=attribute): value for key, value in printed.items()}
    return Replay(bundle, predictions, slug, "replay", expected)


#: (label, prediction) of the cells in the order of cases.json.
_CELLS = (("deepfake", "deepfake"), ("deepfake", "pristine"), ("pristine", "deepfake"), ("pristine", "pristine"))
_KEYS = {
    "spd": "fairness.statistical_parity_difference[{attribute}]",
    "di": "fairness.disparate_impact[{attribute}]",
    "aod": "fairness.average_odds_difference[{attribute}]",
    "eod": "fairness.equal_opportunity_difference[{attribute}]",
    "balanced_accuracy": "performance.balanced_accuracy",
}


def build_compas(out: Path) -> Replay:
    """The COMPAS score as a submission, below `out`. The expected rates are those ProPublica printed."""
    columns = pq.read_table(COMPAS_TABLE).to_pydict()
    table = list(zip(columns["id"], columns["label"], columns["prediction"], columns["race"], strict=True))
    bundle = _write_bundle(out / "replay-compas", _COMPAS, table, "race", parquet=True)
    predictions = out / "replay-compas.csv"
    predictions.write_bytes(csv_bytes(("id", "prediction"), ((row[0], row[2]) for row in table)))
    expected = {
        "fairness.false_positive_rate[race=African-American]": 0.4485,
        "fairness.false_positive_rate[race=Caucasian]": 0.2345,
        "fairness.false_negative_rate[race=African-American]": 0.2799,
        "fairness.false_negative_rate[race=Caucasian]": 0.4772,
    }
    return Replay(bundle, predictions, "replay-compas", "replay", expected)


def write_compas_table(source: Path | None) -> None:
    """Write the committed table: a new id, label, race and the score's verdict for each person, nothing else."""
    people = read_people(read_source(source))
    order = np.random.default_rng(SEED).permutation(len(people))
    chosen = [people[place] for place in order]
    columns = {
        "id": [f"c{number:04d}" for number in range(1, len(people) + 1)],
        "label": [person.label for person in chosen],
        "race": [person.attributes[0] for person in chosen],
        "prediction": [CLASSES[int(person.score_text != "Low")] for person in chosen],
    }
    pq.write_table(pa.table(columns), COMPAS_TABLE, compression="zstd")


def _write_bundle(
    folder: Path, spec: str, table: list[tuple[str, ...]], attribute: str, *, parquet: bool = False
) -> Path:
    """competition.yml, a page, and one hidden split of labels and attributes."""
    split = folder / "data" / "test"
    split.mkdir(parents=True)
    (folder / "competition.yml").write_text(spec)
    (folder / "overview.md").write_text("# A replay\n\nPublished results, as one submission to a competition.\n")
    columns = {"labels": ("label", 1), "attributes": (attribute, 3)}
    for name, (column, place) in columns.items():
        values = {"id": [row[0] for row in table], column: [row[place] for row in table]}
        if parquet:
            pq.write_table(pa.table(values), split / f"{name}.parquet")
        else:
            (split / f"{name}.csv").write_bytes(csv_bytes(list(values), zip(*values.values(), strict=True)))
    return folder


_COMMON = """\
pages: [{{slug: overview, title: Overview, file: overview.md}}]
data: {{test: {{path: data/test, visibility: hidden}}}}
submission: {{kinds: [predictions]}}
phases:
  - {{slug: replay, split: test, opens: "2026-01-01T00:00Z", limits: {{total: 50}}, feedback: full}}
"""

_FFPP = (
    """\
touchstone: 1
slug: {slug}
title: "Replay: deepfake detector, {title}"
task: {{kind: binary, classes: [pristine, deepfake], positive: deepfake, favourable: deepfake}}
attributes: {{{attribute}: {{privileged: privileged, unprivileged: [unprivileged]}}}}
"""
    + _COMMON
    + """\
metrics:
  - {{use: performance.balanced_accuracy}}
  - {{use: fairness.statistical_parity_difference, attribute: {attribute}}}
  - {{use: fairness.disparate_impact, attribute: {attribute}}}
  - {{use: fairness.equal_opportunity_difference, attribute: {attribute}}}
  - {{use: fairness.average_odds_difference, attribute: {attribute}}}
leaderboards:
  - {{slug: main, rank_by: performance.balanced_accuracy}}
"""
)

_COMPAS = (
    """\
touchstone: 1
slug: replay-compas
title: "Replay: the COMPAS score"
task: {{kind: binary, classes: [no_recidivism, recidivism], positive: recidivism, favourable: no_recidivism}}
attributes: {{race: {{privileged: Caucasian, unprivileged: [African-American]}}}}
"""
    + _COMMON
    + """\
metrics:
  - {{use: performance.accuracy}}
  - {{use: fairness.false_positive_rate, attribute: race}}
  - {{use: fairness.false_negative_rate, attribute: race}}
  - {{use: fairness.statistical_parity_difference, attribute: race}}
leaderboards:
  - {{slug: main, rank_by: performance.accuracy}}
"""
).format()


def main() -> int:
    """Write one replay, or the committed table."""
    parser = argparse.ArgumentParser(description="Replays of published results")
    commands = parser.add_subparsers(dest="command", required=True)
    ffpp = commands.add_parser("ffpp", help="a confusion matrix of the deepfake detector")
    ffpp.add_argument("attribute", choices=list(ffpp_cases()))
    compas = commands.add_parser("compas", help="the COMPAS score as a submission")
    for command in (ffpp, compas):
        command.add_argument("out", type=Path)
    table = commands.add_parser("compas-table", help="rebuild the committed table")
    table.add_argument("--source", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "compas-table":
            write_compas_table(options.source)
            print(f"wrote {COMPAS_TABLE}")
            return 0
        replay = (
            build_compas(options.out) if options.command == "compas" else build_ffpp(options.attribute, options.out)
        )
    except SourceError as error:
        return fail(error)
    print(f"touchstone competition push {replay.bundle}")
    print(f"touchstone submit {replay.slug}/{replay.phase} {replay.predictions}")
    print(json.dumps(replay.expected, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
