"""Before anything is measured: the public sample is tried, and what the run will ask and take is told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import JsonValue

from runners.context import MetricContext
from runners.contract import RunSpec
from runners.data import Split
from runners.forecast import Forecast, Speed, forecast
from runners.judge.livelog import LiveLog
from runners.judge.recorder import Recorder
from runners.judge.sample import Estimate, Pace, duration, gradient_pace, too_slow, try_sample
from runners.models.served import ServedModel
from runners.registry import Need

#: Needs that the split or the competition serves or does not, whatever the model answers.
_OF_THE_DATA: tuple[Need, ...] = ("attributes", "favourable", "binary", "surrogates")


@dataclass(frozen=True)
class Ahead:
    """What is ahead of a run. `forecasts`: of its metrics. `split`, `also`: items of the split, and of validation."""

    forecasts: tuple[Forecast, ...]
    split: int
    also: int = 0

    @property
    def items(self) -> int:
        """Items asked before the metrics."""
        return self.split + self.also

    @property
    def asked(self) -> int:
        """Items asked in all, as a rule."""
        return self.items + sum(one.forward for one in self.forecasts)


def ahead_of(spec: RunSpec, ctx: MetricContext, model: ServedModel, *, also: int) -> Ahead:
    """What a run will ask. `ctx`: what is known of the split; `also`: items of the validation split."""
    lacking: list[Need] = [need for need in _OF_THE_DATA if ctx.missing((need,))]
    found = forecast(
        spec.metrics, items=ctx.n, access=model.access, lacking=lacking if also else [*lacking, "validation"]
    )
    return Ahead(tuple(found), ctx.n, also)


def smoke(
    spec: RunSpec, split: Split, sample: Split | None, model: ServedModel, ahead: Ahead, log: LiveLog, record: Recorder
) -> Pace | None:
    """The public sample first: does it answer, fit in memory, and how fast? None where there is nothing to try."""
    if split.inputs is None:
        raise RuntimeError("the caller checks that there are inputs")
    if spec.split.visibility == "public":
        record.note("All data of this phase are public, so the submission is asked them at once.")
        return None  # and all of the log is public
    if sample is None or sample.inputs is None or sample.inputs.shape[0] == 0 or spec.sample is None:
        log.end_of_public()
        record.note("The competition has no public sample that the submission could be tried on first.")
        return None
    if spec.sample.visibility != "public":
        log.end_of_public()
        record.note(
            "The competition's sample is not public, so the log of its questions is no more open than the rest."
        )
    with record.stage("sample"):
        pace = try_sample(model, sample.inputs, split.inputs, limit=spec.resources.time, asked=ahead.asked)
        if any(one.backward for one in ahead.forecasts):
            pace = replace(pace, gradient=gradient_pace(model, sample.inputs, pace, limit=spec.resources.time))
    if spec.sample.visibility == "public":
        log.end_of_public()
    return pace


def estimate(ahead: Ahead, pace: Pace, *, elapsed: float) -> Estimate:
    """What the whole run takes: `elapsed` so far, the items of the splits, and the questions that metrics declare.

    At the best every question that is sure to be asked is asked at the densest, a gradient no slower than an answer.
    """
    speed = Speed(pace.usual, pace.gradient)
    asking = sum(speed.seconds(one) for one in ahead.forecasts)
    least = sum(one.least for one in ahead.forecasts)
    return Estimate(
        expected=elapsed + ahead.items * pace.usual + asking,
        hoped=elapsed + ahead.items * pace.best + least * pace.densest,
    )


def foresee(
    spec: RunSpec, ahead: Ahead, model: ServedModel, pace: Pace, record: Recorder, *, elapsed: float
) -> Estimate:
    """Say how long the run will take, and what each metric asks."""
    found = estimate(ahead, pace, elapsed=elapsed)
    limit = spec.resources.time
    data: dict[str, JsonValue] = {"estimated_seconds": round(found.expected, 3), "limit_seconds": limit}
    peak = model.peak_memory()
    used = ""
    if peak is not None:
        data |= {"peak_memory": peak, "memory_limit": spec.resources.memory}
        used = f" It has used {peak / 2**20:.0f} of {spec.resources.memory / 2**20:.0f} MiB of memory so far."
    late = " It may not end in time." if found.expected > limit else ""
    record.note(
        f"The sample was answered; the whole run will take about {duration(found.expected)} "
        f"of at most {duration(limit)}.{late}{used}",
        data,
    )
    tell(ahead, Speed(pace.usual, pace.gradient), record, run=found.expected, limit=limit)
    return found


def end_if_hopeless(found: Estimate, limit: float) -> None:
    """Raises `ParticipantFault` where the run cannot end in time."""
    fault = too_slow(found, limit)
    if fault is not None:
        raise fault


def catch_up(spec: RunSpec, ahead: Ahead, record: Recorder, *, elapsed: float) -> None:
    """Tell what metrics will ask where no sample told the pace: it is that of the split's own items."""
    if ahead.split:
        speed = Speed(record.seconds["predict"] / ahead.split)
        run = elapsed + sum(map(speed.seconds, ahead.forecasts))
        tell(ahead, speed, record, run=run, limit=spec.resources.time)


def tell(ahead: Ahead, speed: Speed, record: Recorder, *, run: float, limit: float) -> None:
    """Note what every metric that asks will ask and take on this node; `run`: expected seconds of the whole run."""
    if not ahead.forecasts:
        return
    seconds = [speed.seconds(one) for one in ahead.forecasts]
    parts = [f"{one.text}, about {duration(took)}" for one, took in zip(ahead.forecasts, seconds, strict=True)]
    assumed = speed.gradient is None and any(one.backward for one in ahead.forecasts)
    said = " A gradient was not timed and is taken for three answers." if assumed else ""
    record.note(
        f"What metrics will ask: {'; '.join(parts)}; all of the run: about {duration(run)} of at most "
        f"{duration(limit)}.{said}",
        {
            "forecast": [
                one.json() | {"seconds": round(took, 3)} for one, took in zip(ahead.forecasts, seconds, strict=True)
            ],
            "seconds": round(sum(seconds), 3),
            "run_seconds": round(run, 3),
            "limit_seconds": limit,
            "gradient": "assumed" if assumed else "measured" if speed.gradient is not None else "none",
        },
    )
