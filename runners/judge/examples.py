"""Examples against surrogate models: made before the submission is started, each surrogate in a sandbox of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runners.context import MetricContext
from runners.contract import RunSpec, SurrogateRef
from runners.engines.base import Engine
from runners.errors import ParticipantFault, ScorerFault
from runners.example_store import ExampleStore, content_key
from runners.judge.recorder import Recorder
from runners.judge.submission import MODEL_FILE, place_file
from runners.metrics.robustness.crafting import Order, craft, order_of
from runners.models.opening import open_model
from runners.models.served import ServedModel
from runners.registry import MetricValue, metrics, parse_parameters, undefined
from runners.spec.models import SubmissionKind
from runners.surrogates import Examples


@dataclass(frozen=True)
class Made:
    """Implements `runners.surrogates.Surrogates`."""

    found: Mapping[tuple[str, str], Examples | MetricValue]

    def examples(self, name: str, key: str) -> Examples | MetricValue:
        return self.found[name, key]


@dataclass(frozen=True)
class Workshop:
    """Where surrogates are asked. `files`: folder of their files. `store`: what earlier runs of this node made."""

    engine: Engine
    files: Path
    workdir: Path
    gpus: tuple[str, ...] = ()
    store: ExampleStore | None = None


def ordered(spec: RunSpec) -> list[tuple[str, Order]]:
    """What the metrics of a run want: surrogates and orders, each pair once.

    Raises:
        ScorerFault: wrong parameters, or a surrogate that the competition does not have.
    """
    known, there = metrics(), {ref.name for ref in spec.surrogates}
    found: dict[tuple[str, str], Order] = {}
    for use in spec.metrics:
        info = known.get(use.use)
        if info is None or "surrogates" not in info.needs:
            continue
        typed = parse_parameters(info, use.parameters)
        order = order_of(typed)
        for name in typed["surrogates"]:
            if name not in there:
                hint = f"There is {', '.join(sorted(there))}." if there else "Add `surrogates` to the competition."
                raise ScorerFault(f"{use.use}: the competition has no surrogate {name!r}.", hint=hint)
            found[name, order.key] = order
    return [(name, order) for (name, _), order in found.items()]


def make_examples(spec: RunSpec, ctx: MetricContext, shop: Workshop, record: Recorder) -> Made | None:
    """All that the metrics of a run ordered; None where it has no surrogates, or nothing is ordered.

    Made before the submission is started: it takes none of its time and memory, and cannot disturb the making.

    Raises:
        ScorerFault: wrong parameters, or a surrogate that is `required` failed.
        RetryableError: from the engine.
    """
    wanted = ordered(spec) if spec.surrogates else []
    if not wanted:
        return None
    found: dict[tuple[str, str], Examples | MetricValue] = {}
    with record.stage("surrogates"):
        for number, ref in enumerate(spec.surrogates):
            record.progress("surrogates", number / len(spec.surrogates))
            orders = [order for name, order in wanted if name == ref.name]
            made = _Source(spec, ref, ctx, shop, record).make(orders)
            found |= {(ref.name, order.key): examples for order, examples in zip(orders, made, strict=True)}
        record.progress("surrogates", 1.0)
    return Made(found)


@dataclass(frozen=True)
class _Source:
    """One surrogate."""

    spec: RunSpec
    ref: SurrogateRef
    ctx: MetricContext
    shop: Workshop
    record: Recorder

    def make(self, orders: Sequence[Order]) -> list[Examples | MetricValue]:
        """Take what is stored, and make the rest with the model open once."""
        kept = {order.key: self._stored(order) for order in orders}
        missing = [order for order in orders if kept[order.key] is None]
        fresh = self._fresh(missing) if missing else {}
        return [fresh[order.key] if order.key in fresh else _there(kept[order.key]) for order in orders]

    def _fresh(self, orders: Sequence[Order]) -> dict[str, Examples | MetricValue]:
        name = self.ref.name
        self.record.note(f"Examples are made against the surrogate {name}.")
        made: dict[str, Examples | MetricValue] = {}
        try:
            with self._open() as model:
                for order in orders:
                    made[order.key] = self._one(model, order)
        except ParticipantFault as fault:
            text = f"the surrogate {name} failed: {fault.message}"
            if self.ref.required:
                raise ScorerFault(f"No examples could be made: {text}", hint=fault.hint) from fault
            made |= {order.key: undefined(text, state="failed") for order in orders if order.key not in made}
        return made

    def _one(self, model: ServedModel, order: Order) -> Examples | MetricValue:
        if order.plan.info.requires not in model.access:
            reason = model.reasons.get("gradients", "")
            text = f"the attack {order.plan.info.name} needs gradients, and the surrogate {self.ref.name} gives none"
            if self.ref.required:
                raise ScorerFault(f"No examples could be made: {text}: {reason}.", hint="Name an attack by queries.")
            return undefined(f"{text}: {reason}", state="not_applicable")
        examples = craft(replace(self.ctx, progress=self.record.progress), model, order)
        if self.shop.store is not None and self._key(order):
            self.shop.store.put(self._key(order), examples)
        return examples

    def _stored(self, order: Order) -> Examples | None:
        key = self._key(order)
        return self.shop.store.get(key) if self.shop.store is not None and key else None

    def _key(self, order: Order) -> str:
        """What the examples are known by; nothing where the split is not known by its content."""
        spec = self.spec
        if spec.input is None or not spec.split.digest:
            return ""
        return content_key(
            surrogate=self.ref.file.sha256, split=spec.split.digest, order=order.key,
            input=spec.input.model_dump(mode="json"), classes=list(spec.task.classes),
        )  # fmt: skip

    def _open(self) -> ServedModel:
        spec, shop = self.spec, self.shop
        if spec.input is None:
            raise RuntimeError("the caller checks that there is an input")
        folder, work = shop.workdir / "surrogates" / self.ref.name, shop.workdir / "surrogate"
        for place in (folder, work):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        place_file(shop.files / self.ref.file.name, folder / MODEL_FILE)
        return open_model(
            shop.engine, kind=SubmissionKind.MODEL, folder=folder, input=spec.input, task=spec.task,
            resources=spec.resources, run=spec.run, attempt=spec.attempt, workdir=work,
            deadline=time.monotonic() + spec.resources.time, gpus=shop.gpus, part="surrogate",
        )  # fmt: skip


def _there(examples: Examples | None) -> Examples:
    if examples is None:
        raise RuntimeError("what is not stored is made")
    return examples
