"""The platform's own judge on this machine, on public data: `touchstone test`. Needs `touchstone-client[local]`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from touchstone_client.artifact import Artifact, build_image, sendable
from touchstone_client.describing import Description
from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.images import image_digest
from touchstone_client.types import MetricValue

if TYPE_CHECKING:
    from runners.contract import EngineReport, RunEvent, RunResult, RunSpec
    from runners.engines.base import Engine

ENGINES = ("auto", "docker", "bubblewrap")
#: What the judge needs beside what the client always has.
_NEEDED = (
    "numpy",
    "pyarrow",
    "PIL",
    "torch",
    "onnx",
    "onnxruntime",
    "scipy",
    "pandas",
    "sklearn",
    "structlog",
    "psutil",
)
_ADVICE = (
    "Start a Docker engine that you may use (`docker version` must answer, and touchstone/base:1 and "
    "touchstone/runtime:1 be there), or on Linux allow unprivileged user namespaces "
    "(sysctl kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)."
)


@dataclass(frozen=True)
class Trial:
    """How it went here. `verdict` is `ok`, or what went wrong; `not_enforced`: limits that this engine lacks."""

    kind: str
    name: str
    competition: str
    split: str
    engine: str
    verdict: str
    message: str = ""
    hint: str = ""
    code: str = ""
    results: tuple[MetricValue, ...] = ()
    stages: dict[str, float] | None = None
    peak_memory: int | None = None
    not_enforced: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.verdict == "ok"


def check_installed() -> None:
    """Raises `ClientError` where the judge cannot run here for want of packages."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing or find_spec("runners.judge") is None:
        raise ClientError(
            "Submissions cannot be run here yet",
            why=f"the judge needs {', '.join(missing) or 'its own modules'}",
            hint="pip install 'touchstone-client[local]' (it brings torch: some hundred megabytes); "
            "touchstone validate needs none of it",
            code="missing_extra",
        )


def trial_split(description: Description, wanted: str = "") -> str:
    """The split to try on: the one named, else `sample`, else the smallest public one. Raises `ClientError`."""
    public = [s for s in description.competition.splits if s.visibility == "public" and s.files]
    names = [split.name for split in public]
    if wanted and wanted not in names:
        raise ClientError(
            f"{wanted!r} cannot be tried on",
            why=f"public splits with labels: {', '.join(names) or 'none'}",
            code="no_such_split",
            exit_code=ExitCode.USAGE,
        )
    if not names:
        raise ClientError(
            f"{description.competition.slug} has no public data to try on",
            hint="touchstone validate checks without running",
            code="no_public_data",
        )
    return wanted or ("sample" if "sample" in names else min(public, key=lambda split: split.n_items).name)


def try_submission(
    artifact: Artifact,
    description: Description,
    *,
    data: Path,
    split: str,
    engine: str = "auto",
    metrics: tuple[str, ...] = (),
    emit: Callable[[RunEvent], None] | None = None,
) -> Trial:
    """Run it as a node does, in a sandbox with the competition's limits, and measure it on the split in `data`.

    `metrics`: only those whose name or alias is here. Raises `ClientError` where it cannot be run at all.
    """
    check_installed()
    _quiet()
    from runners.errors import RetryableError
    from runners.judge import LocalFiles, evaluate

    with tempfile.TemporaryDirectory(prefix="touchstone-test-") as place, _prepared(artifact, Path(place)) as image:
        chosen, report = _engine(engine, artifact)
        spec = _spec(artifact, description, split, image=image, metrics=metrics)
        workdir = Path(place) / "work"
        workdir.mkdir()
        try:
            result = evaluate(
                spec=spec, files=LocalFiles(split=data, sample=None, submission=Path(place) / "files"),
                engine=chosen, workdir=workdir, emit=emit or _silent,
            )  # fmt: skip
        except RetryableError as error:
            raise ClientError(
                "The engine of this machine failed", why=error.message, code=error.code or "engine_failed",
                hint="Run it again; touchstone doctor looks at it.",
            ) from error  # fmt: skip
    return _trial(artifact, description, split, result, report)


def _silent(event: RunEvent) -> None:
    """Nobody is watching."""


def _quiet() -> None:
    """The judge's own diary is for operators."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@contextmanager
def _prepared(artifact: Artifact, place: Path) -> Iterator[str]:
    """The files of the submission below `place`, or the image to run, which is then yielded."""
    folder = place / "files"
    folder.mkdir()
    if artifact.kind == "container" and artifact.path is not None and artifact.path.is_dir():
        yield build_image(artifact.path)
    elif artifact.image:
        yield image_digest(artifact.image)
    else:
        # An endpoint's folder is a program like one of code; what is tried is the program.
        shown = Artifact("code", artifact.path) if artifact.kind == "endpoint" else artifact
        with sendable(shown) as file:
            if file is None:
                raise ClientError(
                    "An address cannot be tried here", hint="Give the folder of its program.", code="usage",
                    exit_code=ExitCode.USAGE,
                )  # fmt: skip
            from runners.judge.submission import place_file

            place_file(file, folder / file.name)
            yield ""


def _engine(name: str, artifact: Artifact) -> tuple[Engine | None, EngineReport | None]:
    if artifact.kind == "predictions":
        return None, None
    from runners.engines import choose_engine

    chosen, reports = choose_engine(name)
    if chosen is None:
        problems = [f"{report.name}: {problem}" for report in reports for problem in report.problems or ("not here",)]
        raise ClientError(
            "No sandbox on this machine passed its self-test, so foreign code is not run", why="; ".join(problems),
            hint=_ADVICE, code="no_engine",
        )  # fmt: skip
    if artifact.kind == "container" and not chosen.takes_images:
        raise ClientError(
            f"The engine {chosen.name} runs no images", why="Docker does not answer here, or did not pass its test",
            hint="Start Docker, then: touchstone test … --engine docker", code="no_images",
        )  # fmt: skip
    return chosen, next((report for report in reports if report.name == chosen.name), None)


def _spec(artifact: Artifact, description: Description, split: str, *, image: str, metrics: tuple[str, ...]) -> RunSpec:
    from runners.contract import RunSpec, SplitRef, SubmissionRef
    from runners.spec.models import AggregateSpec, AttributeSpec, InputSpec, MetricUse, ResourceSpec, TaskSpec

    told = description.competition
    kind: Any = "code" if artifact.kind == "endpoint" else artifact.kind
    uses = tuple(MetricUse.model_validate(metric) for metric in told.metrics)
    if metrics:
        uses = tuple(use for use in uses if use.use in metrics or use.alias in metrics)
        if not uses:
            named = ", ".join(str(metric.get("as") or metric.get("use")) for metric in told.metrics)
            raise ClientError(
                "No such metric", why=f"there are: {named}", code="no_such_metric", exit_code=ExitCode.USAGE
            )
    return RunSpec(
        run="local", attempt=1, competition=told.slug, phase="local",
        submission=SubmissionRef(id="local", kind=kind, image=image), task=TaskSpec.model_validate(told.task),
        input=InputSpec.model_validate(told.input) if told.input else None,
        attributes={name: AttributeSpec.model_validate(value) for name, value in told.attributes.items()},
        aggregate=AggregateSpec.model_validate(told.aggregate) if told.aggregate else None,
        resources=ResourceSpec.model_validate(told.resources), metrics=uses,
        split=SplitRef(name=split, visibility="public", digest="local", files=()), seed=0,
    )  # fmt: skip


def _trial(
    artifact: Artifact, description: Description, split: str, result: RunResult, report: EngineReport | None
) -> Trial:
    results = tuple(
        MetricValue(
            key=item.key, title=item.title, metric=item.metric, pillar=item.pillar, value=item.value,
            direction=item.direction, state=item.state, low=item.low, high=item.high, n=item.n, unit=item.unit,
            reason=item.reason, parameters=dict(item.parameters),
        )
        for item in result.results
    )  # fmt: skip
    return Trial(
        kind=artifact.kind, name=artifact.name, competition=description.competition.slug, split=split,
        engine=report.name if report is not None else "", verdict=result.verdict.value, message=result.message,
        hint=result.hint, code=result.code, results=results, stages=dict(result.stages),
        peak_memory=result.peak_memory, not_enforced=report.not_enforced if report is not None else (),
    )  # fmt: skip
