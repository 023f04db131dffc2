"""What the server and a node say to each other: RunSpec in, RunResult out.

Frozen, typed, JSON in both directions, with a `schema_version`. Imports nothing heavy, so
the server, the client and the node share it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from runners.spec.models import (
    AggregateSpec,
    AttributeSpec,
    EndpointSpec,
    InputSpec,
    MetricUse,
    ResourceSpec,
    SubmissionKind,
    TaskSpec,
)

SCHEMA_VERSION = 1

#: A node could not fetch an image. Images and registries cause it as well as nodes: it speaks against nobody.
IMAGE_PULL = "image_pull"

State = Literal["ok", "undefined", "too_few", "not_applicable", "failed"]
Direction = Literal["maximise", "minimise", "zero", "one", "none"]


class Verdict(StrEnum):
    """How an attempt ended. Displayed by the priority of `VERDICT_PRIORITY`."""

    OK = "ok"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASH = "crash"
    INVALID_OUTPUT = "invalid_output"
    SCORER = "scorer"
    PLATFORM = "platform"


#: Our own faults are never mixed with the participant's: first match is shown.
VERDICT_PRIORITY = (
    Verdict.PLATFORM,
    Verdict.SCORER,
    Verdict.TIMEOUT,
    Verdict.MEMORY,
    Verdict.OUTPUT_LIMIT,
    Verdict.CRASH,
    Verdict.INVALID_OUTPUT,
    Verdict.OK,
)

PARTICIPANT_VERDICTS = frozenset(
    {Verdict.TIMEOUT, Verdict.MEMORY, Verdict.OUTPUT_LIMIT, Verdict.CRASH, Verdict.INVALID_OUTPUT}
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRef(_Frozen):
    """A file by content. `url` is signed for one attempt and absent in stored specs."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    url: str = ""


class SplitRef(_Frozen):
    """A data split as the node gets it: its files keep their relative names."""

    name: str
    visibility: Literal["public", "inputs", "hidden"]
    digest: str
    files: tuple[FileRef, ...]


class ImagePull(_Frozen):
    """Where a node gets an image that it lacks: a registry's reference by digest, and a key for just this pull.

    `username` and `password` are empty where the registry asks for none; they die with the attempt.
    """

    reference: str = Field(pattern=r"^[a-z0-9.:-]+/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$")
    username: str = ""
    password: str = ""


class SubmissionRef(_Frozen):
    """The artifact under evaluation. `image` names it by digest; `pull` says where it is, where it came by registry."""

    id: str
    kind: SubmissionKind
    files: tuple[FileRef, ...] = ()
    image: str = ""
    pull: ImagePull | None = None


class SurrogateRef(_Frozen):
    """An ONNX model that examples are made against. Results have it as `[source=name]`.

    `required`: a run without its examples is the organiser's fault; else only its own results are missing.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    file: FileRef
    required: bool = True


class EndpointRef(_Frozen):
    """A server of the participant's, and what may be asked of it. The secret dies with the attempt.

    `splits`: names of those whose inputs may be sent there. `header`, `secret`: what proves to it who asks; empty where
    it wants nothing. `credential_gone`: one was named, and its owner has deleted it since.
    """

    url: str = Field(repr=False)
    model: str = "model"
    header: str = ""
    secret: str = Field("", repr=False)
    credential_gone: bool = False
    splits: tuple[str, ...] = ()
    budget: EndpointSpec = Field(default_factory=lambda: EndpointSpec())


class RunSpec(_Frozen):
    """Everything one attempt needs. `attempt` is the fencing number."""

    schema_version: Literal[1] = 1
    run: str
    attempt: int = Field(ge=1)
    competition: str
    phase: str
    submission: SubmissionRef
    task: TaskSpec
    input: InputSpec | None
    attributes: dict[str, AttributeSpec]
    aggregate: AggregateSpec | None = None
    resources: ResourceSpec
    metrics: tuple[MetricUse, ...]
    split: SplitRef
    sample: SplitRef | None = None
    validation: SplitRef | None = None
    surrogates: tuple[SurrogateRef, ...] = ()
    endpoint: EndpointRef | None = None
    seed: int
    lease_seconds: int = 60


class MetricResult(_Frozen):
    """One number of one run. `value` is None unless `state` is ok; `reason` then says why.

    `key` is unique within a run: `<alias or metric>[.sub][[attribute][=group]]`.
    `low`, `high`: a 95 % interval in the metric's own unit, None where none can be given.
    `n`: the number of items (or clusters, or queries) that the value rests on.
    """

    key: str
    metric: str
    pillar: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = ""
    direction: Direction
    state: State = "ok"
    reason: str = ""
    title: str = ""
    details: dict[str, JsonValue] = Field(default_factory=dict)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float = 0.0


class EngineReport(_Frozen):
    """What a self-test found. `not_enforced` is shown on every run of this engine."""

    name: str
    ok: bool
    version: str = ""
    isolation: str = ""
    not_enforced: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class RunEvent(_Frozen):
    """One line of a run's history. `at` is an ISO 8601 time in UTC.

    A `log` whose data has `public: true` was written before the submission met any secret input.
    """

    at: str
    kind: Literal["stage", "progress", "log", "note"]
    message: str
    data: dict[str, JsonValue] = Field(default_factory=dict)


class RunResult(_Frozen):
    """What a node reports once per attempt."""

    schema_version: Literal[1] = 1
    run: str
    attempt: int
    verdict: Verdict
    code: str = ""
    message: str = ""
    hint: str = ""
    results: tuple[MetricResult, ...] = ()
    stages: dict[str, float] = Field(default_factory=dict)
    engine: EngineReport | None = None
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    peak_memory: int | None = None
    log: str = ""
    #: What the submission wrote until the public sample was answered: secret inputs had no part in it.
    sample_log: str = ""
    #: Seconds that the whole run was expected to take, judged by the sample; None where nothing was tried.
    estimated_seconds: float | None = None


class GpuInfo(_Frozen):
    """One device by the name that survives a restart. `memory` in bytes."""

    uuid: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    name: str = ""
    memory: int = 0


class NodeHello(_Frozen):
    """What a node tells about itself when it registers. `kinds`: the submissions it can evaluate.

    `slots`: runs at once. `calibration`: multiply-add operations a second of the calibration kernel, to compare nodes.
    """

    name: str
    queues: tuple[str, ...]
    engines: tuple[EngineReport, ...]
    kinds: tuple[SubmissionKind, ...] = ()
    cpus: int
    memory: int
    gpus: tuple[GpuInfo, ...] = ()
    slots: int = Field(1, ge=1)
    calibration: float | None = None
    version: str = ""


class EventBatch(_Frozen):
    """Events of one attempt, in order."""

    events: tuple[RunEvent, ...]


class Lease(_Frozen):
    """The answer to a renewal. `cancel` asks the node to stop at once."""

    seconds: int
    cancel: bool = False


def surrogate_seconds(resources: ResourceSpec, count: int) -> float:
    """What making examples against so many surrogates may take at most, on top of the run's own time."""
    return count * (resources.time + resources.start)


def dump(model: BaseModel) -> dict[str, Any]:
    """The JSON form of a contract model."""
    return model.model_dump(mode="json")
