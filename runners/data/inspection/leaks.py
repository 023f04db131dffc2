"""What two splits share that they should not: items, inputs with the same bytes, clusters such as videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from runners.attributes import Attribute
from runners.data.inspection.found import FoundInputs, Hashes, short

_EXAMPLES = 5
#: From this share of rows that stand twice within one split on, equal rows in two splits are no surprise.
_COMMON = 0.01


@dataclass(frozen=True)
class Traces:
    """What a split is compared by: Arrow ids, hashes of inputs with their ids, and clusters."""

    ids: Any
    inputs: FoundInputs | None
    clusters: Attribute | None
    cluster_name: str = "cluster"


def repeated(hashes: Hashes, ids: list[str]) -> dict[str, Any]:
    """Inputs of one split whose bytes another item has too: {count, examples: [[id, id]]}."""
    if not hashes.size:
        return {"count": 0, "examples": []}
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    at = np.flatnonzero(same)
    pairs = [[short(ids[order[i]]), short(ids[order[i + 1]])] for i in at[:_EXAMPLES]]
    return {"count": len(at), "examples": pairs}


def leaks_between(traces: Mapping[str, Traces]) -> list[dict[str, Any]]:
    """Of each two splits: {kind: input|id|cluster, splits, count, examples, chance}.

    `chance`: equal inputs are common within the splits already, as in tables of few columns.
    """
    found = []
    for a, b in combinations(sorted(traces), 2):
        one, two = traces[a], traces[b]
        for kind, count, examples, chance in (
            ("id", *_ids(one, two), False),
            ("input", *_inputs(one, two)),
            ("cluster", *_clusters(one, two), False),
        ):
            if count:
                found.append(
                    {"kind": kind, "splits": [a, b], "count": count, "examples": examples, "chance": chance,
                     "name": one.cluster_name if kind == "cluster" else ""}
                )  # fmt: skip
    return found


def _ids(one: Traces, two: Traces) -> tuple[int, list[Any]]:
    if one.ids is None or two.ids is None:
        return 0, []
    both = pc.unique(one.ids.filter(pc.is_in(one.ids, value_set=two.ids)))
    both = both.filter(pc.not_equal(both, ""))
    return len(both), [short(value) for value in both[:_EXAMPLES].to_pylist()]


def _inputs(one: Traces, two: Traces) -> tuple[int, list[Any], bool]:
    if one.inputs is None or two.inputs is None or one.inputs.shape != two.inputs.shape:
        return 0, [], False
    same, first, second = np.intersect1d(one.inputs.hashes, two.inputs.hashes, return_indices=True)
    pairs = [
        [short(one.inputs.ids[i]), short(two.inputs.ids[j])]
        for i, j in zip(first[:_EXAMPLES], second[:_EXAMPLES], strict=True)
    ]
    return same.size, pairs, _common(one.inputs) and _common(two.inputs)


def _common(inputs: FoundInputs) -> bool:
    if inputs.kind != "tabular" or not inputs.hashes.size:
        return False
    return bool(inputs.hashes.size - np.unique(inputs.hashes).size > _COMMON * inputs.hashes.size)


def _clusters(one: Traces, two: Traces) -> tuple[int, list[Any]]:
    if one.clusters is None or two.clusters is None:
        return 0, []
    both = pa.array(one.clusters.names, pa.string())
    shared = both.filter(pc.is_in(both, value_set=pa.array(two.clusters.names, pa.string()))).to_pylist()
    return len(shared), [short(value) for value in shared[:_EXAMPLES]]
