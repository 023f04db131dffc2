"""A run over a submission that is asked where it is: nothing of it is started, and little of it can be known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from pydantic import JsonValue

from runners.context import FloatArray, MetricContext, SubmissionFacts
from runners.contract import EndpointRef, RunSpec, Verdict
from runners.data import Split
from runners.errors import ParticipantFault, ScorerFault
from runners.judge.asking import batch_items
from runners.judge.consistency import TOLERANCE
from runners.judge.foresee import ahead_of, catch_up
from runners.judge.recorder import Recorder
from runners.judge.stages import ask_split
from runners.judge.validation import ask_validation
from runners.models._usage import Usage
from runners.models.base import BudgetSpent
from runners.models.endpoint import UNKNOWABLE, EndpointModel, allowance, open_endpoint
from runners.outbound import Reach
from runners.spec.models import InputSpec
from runners.statistics.intervals import wilson

#: Items that are asked again when all is done.
_DRIFT_ITEMS = 32
#: A share of changed answers whose interval begins above this is no accident of a few items.
_DRIFT_SHARE = 0.02
DRIFT = "endpoint_drift"


@dataclass(frozen=True)
class Given:
    """What was loaded. `ctx`: what is known of the split before any answer."""

    split: Split
    sample: Split | None
    validation: Split | None
    ctx: MetricContext


@dataclass
class Visit:
    """An endpoint that is being asked. `facts` is filled in place."""

    spec: RunSpec
    given: Given
    model: EndpointModel
    record: Recorder
    facts: dict[str, JsonValue]
    started: float

    def ask(self) -> MetricContext:
        """The context with the endpoint's answers.

        Raises `ParticipantFault` where it is late, gone or answers nonsense, or failed so often that what it may be
        asked is used up.
        """
        spec, given, record = self.spec, self.given, self.record
        validation = given.validation
        ahead = ahead_of(spec, given.ctx, self.model, also=0 if validation is None else validation.n)
        self.model.least = {one.prefix: one.least for one in ahead.forecasts}
        try:
            self._sample()
            ctx = ask_split(spec, given.split, given.ctx, self.model, record)
            catch_up(spec, ahead, record, elapsed=time.monotonic() - self.started)
            ctx = replace(ctx, facts=SubmissionFacts(uncounted=UNKNOWABLE), remaining=self.model.remaining)
            if validation is not None:
                ctx = replace(ctx, validation=ask_validation(validation, ctx, self.model, record))
        except BudgetSpent as spent:
            hint = "Answer each request the first time: what has to be asked again counts."
            raise ParticipantFault(
                Verdict.CRASH, f"The endpoint failed so often that {spent}.", hint=hint, code="endpoint_budget"
            ) from spent
        return ctx

    def look_for_drift(self, ctx: MetricContext) -> None:
        """Ask some items again at the end: an endpoint that changed meanwhile was not one thing that was measured."""
        x, before = ctx.inputs, ctx.probabilities
        if x is None or before is None:
            raise RuntimeError("the endpoint was asked")
        count = _drift_items(len(x))
        rows = ctx.rng("judge.drift").choice(len(x), size=count, replace=False)
        self.model.usage.kept = 0  # they were kept for this
        with self.record.stage("drift"):
            try:
                after = self.model.predict(np.ascontiguousarray(x[rows]))
            except (ParticipantFault, BudgetSpent) as error:
                self.facts["drift"] = {"asked": 0, "reason": f"it could not be asked again: {error}"[:300]}
                self.record.note(f"Whether the endpoint changed during the run is not known: {error}")
                return
        found = drift(before[rows], after)
        self.facts["drift"] = found
        if found["flagged"]:
            self.facts["flags"] = [DRIFT]
            self.record.note(
                f"The endpoint changed during the run: {found['differed']} of {count} items that were asked again at "
                f"the end had another answer. Its results are of more than one model.", {"flag": DRIFT, "drift": found},
            )  # fmt: skip

    def log(self) -> bytes:
        """What the platform noted of the requests."""
        return self.model.logs()

    def _sample(self) -> None:
        """The first questions are public ones, where there are such that may leave the platform."""
        sample, at = self.given.sample, self.spec.endpoint
        if sample is None or sample.inputs is None or at is None or self.spec.sample is None or not len(sample.inputs):
            return
        if self.spec.sample.name not in at.splits:
            self.record.note("The public sample may not leave the platform, so the endpoint was not tried on it first.")
            return
        with self.record.stage("sample"):
            self.model.predict(np.ascontiguousarray(sample.inputs[: min(16, batch_items(sample.inputs))]))


@contextmanager
def asked_endpoint(
    spec: RunSpec, given: Given, reach: Reach, record: Recorder, facts: dict[str, JsonValue]
) -> Iterator[Visit]:
    """An endpoint that is ready. At the end, however that came, `facts` has what was asked and how it answered."""
    at, shape = _allowed(spec, given)
    items = given.ctx.n + (0 if given.validation is None else given.validation.n)
    usage = Usage(allowance(at, items), kept=_drift_items(given.ctx.n), stage=lambda: record.current)
    needed = items + usage.kept
    if needed > usage.most:
        raise ScorerFault(
            f"The competition lets an endpoint be asked {usage.most:,} items, and its splits alone need {needed:,}.",
            hint="Raise `submission.endpoint.queries` or `queries_per_item`.", code="endpoint_budget",
        )  # fmt: skip
    started = time.monotonic()
    longest = spec.resources.time if at.budget.time is None else min(at.budget.time, spec.resources.time)
    model: EndpointModel | None = None
    try:
        with record.stage("start"):
            model = open_endpoint(
                at, usage=usage, reach=reach, input=shape, task=spec.task, resources=spec.resources,
                deadline=started + longest,
            )  # fmt: skip
        yield Visit(spec, given, model, record, facts, started)
        model.ping()
    finally:
        if model is not None:
            model.close()
        facts.update(usage.facts())
        record.note(_told(usage), dict(facts))


def _allowed(spec: RunSpec, given: Given) -> tuple[EndpointRef, InputSpec]:
    """The endpoint, and what it is sent. Nothing leaves the platform that its organiser does not let go."""
    if spec.endpoint is None:
        raise RuntimeError("the server says where an endpoint is")
    if given.split.inputs is None or spec.input is None:
        raise ScorerFault(
            "The data split has no inputs, so an endpoint cannot be asked.",
            hint="Add inputs to the split, or accept predictions only.",
        )
    names = [part.name for part in (spec.split, spec.validation) if part is not None]
    kept = [name for name in names if name not in spec.endpoint.splits]
    if kept:
        raise ScorerFault(
            f"The split {kept[0]!r} may not leave the platform, so no endpoint can be asked about it.",
            hint="Set `leaves_platform: true` in `data`, or take `endpoint` from the kinds.", code="endpoint_split",
        )  # fmt: skip
    return spec.endpoint, spec.input


def _drift_items(n: int) -> int:
    return min(_DRIFT_ITEMS, n)


def drift(before: FloatArray, after: FloatArray) -> dict[str, JsonValue]:
    """How many answers differ, the share with its interval, and whether that is a model that changed."""
    moved = np.abs(before - after).max(axis=1)
    differed, asked = int((moved > TOLERANCE).sum()), len(moved)
    low, high = wilson(differed, asked) if asked else (0.0, 1.0)
    return {
        "asked": asked, "differed": differed, "share": round(differed / asked, 4) if asked else None,
        "low": round(low, 4), "high": round(high, 4), "largest": round(float(moved.max(initial=0.0)), 4),
        "flagged": low > _DRIFT_SHARE,
    }  # fmt: skip


def _told(usage: Usage) -> str:
    """The use of an endpoint in a sentence or two."""
    parts = ", ".join(f"{stage} {items:,}" for stage, items in usage.by_stage.items()) or "nothing"
    text = f"Asked {usage.items:,} of at most {usage.most:,} items ({parts}) in {usage.requests:,} requests"
    again = sum(usage.repeats.values())
    return f"{text}; {again:,} of them after one that failed." if again else f"{text}, none of them twice."
