"""competition.yml as typed models. Unknown keys are errors; nothing here reads a file.

Field names are the keys of the file. `description` texts go into the published JSON Schema.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from runners.spec.values import Duration, KeyProblems, Moment, Name, Size, Slug, SpecModel


class SubmissionKind(StrEnum):
    """How a submission answers (DESIGN §4)."""

    PREDICTIONS = "predictions"
    MODEL = "model"
    CONTAINER = "container"
    CODE = "code"
    ENDPOINT = "endpoint"


class TaskSpec(SpecModel):
    """What is predicted. `positive` is the class that rates are about, `favourable` the outcome people want."""

    kind: Literal["binary", "multiclass"]
    classes: tuple[str, ...] = Field(min_length=2, description="Class names, in the order of the model's outputs.")
    positive: str | None = Field(
        None, description="Binary only: the class TPR, FPR and AUC are about. Default: the last class."
    )
    favourable: str | None = Field(
        None, description="The outcome that is good for the person. Fairness metrics need it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> TaskSpec:
        problems = []
        if len(set(self.classes)) != len(self.classes):
            problems.append(("classes", "a class name stands twice"))
        if self.kind == "binary" and len(self.classes) != 2:
            problems.append(("classes", f"a binary task has two classes, not {len(self.classes)}"))
        for key, name in (("positive", self.positive), ("favourable", self.favourable)):
            if name is not None and name not in self.classes:
                problems.append((key, f"{name!r} is not among the classes {', '.join(self.classes)}"))
        if self.kind != "binary" and self.positive is not None:
            problems.append(("positive", "only a binary task has a positive class"))
        if problems:
            raise KeyProblems(*problems)
        return self

    @property
    def positive_index(self) -> int:
        """Index of the positive class; the last one unless declared."""
        return self.classes.index(self.positive) if self.positive else len(self.classes) - 1

    @property
    def favourable_index(self) -> int | None:
        return self.classes.index(self.favourable) if self.favourable else None


class SizesSpec(SpecModel):
    """Other sizes that an item may have: one length, from `least` to `most`, on each of `axes`."""

    axes: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="Axes of `shape`, counted from 0; several, as of a square image, share one length."
    )
    least: int = Field(ge=1, description="Smallest length.")
    most: int = Field(le=2**20, description="Largest length.")
    multiple_of: int = Field(1, ge=1, description="Every length is a multiple of this.")

    @model_validator(mode="after")
    def _consistent(self) -> SizesSpec:
        problems = []
        if len(set(self.axes)) != len(self.axes):
            problems.append(("axes", "an axis stands twice"))
        if self.least >= self.most:
            problems.append(("most", f"must be larger than least, which is {self.least}"))
        wrong = [key for key in ("least", "most") if getattr(self, key) % self.multiple_of]
        problems += [(key, f"must be a multiple of multiple_of, which is {self.multiple_of}") for key in wrong]
        if problems:
            raise KeyProblems(*problems)
        return self

    def problem(self, kind: str, shape: tuple[int, ...]) -> str:
        """What does not fit an input of this kind and shape, or nothing."""
        if kind == "tabular":
            return "tabular input has one size: its features"
        if max(self.axes) >= len(shape) or (kind == "image" and 0 in self.axes):
            possible = range(1 if kind == "image" else 0, len(shape))
            return f"axes may be {', '.join(map(str, possible))} for the shape {list(shape)}, not {list(self.axes)}"
        lengths = {shape[axis] for axis in self.axes}
        if len(lengths) > 1 or not all(self._fits(length) for length in lengths):
            text = f"from {self.least} to {self.most}, a multiple of {self.multiple_of}"
            return f"shape must have one length on the axes {list(self.axes)}, {text}; it is {list(shape)}"
        return ""

    def _fits(self, length: int) -> bool:
        return self.least <= length <= self.most and length % self.multiple_of == 0

    def allow(self, usual: tuple[int, ...], shape: tuple[int, ...]) -> bool:
        """Whether an item whose usual shape is `usual` may have this shape."""
        length = shape[self.axes[0]] if len(shape) == len(usual) else 0
        wanted = tuple(length if axis in self.axes else size for axis, size in enumerate(usual))
        return shape == wanted and self._fits(length)


class InputSpec(SpecModel):
    """One item as the model gets it: `shape` and `dtype`, values within `range`."""

    kind: Literal["tabular", "image", "array"]
    shape: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        min_length=1, description="Shape of one item, without the batch axis."
    )
    dtype: Literal["float32"] = "float32"
    range: tuple[float, float] = Field((0.0, 1.0), description="Smallest and largest legal value; attacks stay inside.")
    features: tuple[str, ...] = Field((), description="Tabular only: column names, in order.")
    output: Literal["probabilities", "logits"] = Field(
        "probabilities", description="What a queried model answers. Prediction files always hold probabilities."
    )
    sizes: SizesSpec | None = Field(
        None, description="Other sizes that a submission should take, for metrics of time over input size."
    )

    @model_validator(mode="after")
    def _consistent(self) -> InputSpec:
        problems = []
        if self.range[0] >= self.range[1]:
            problems.append(("range", f"the second number must be larger than the first, not {list(self.range)}"))
        if len(set(self.features)) != len(self.features):
            problems.append(("features", "a feature name stands twice"))
        if self.kind == "tabular" and (len(self.shape) != 1 or len(self.features) != self.shape[0]):
            found = f"features names {len(self.features)}, shape is {list(self.shape)}"
            problems.append(("shape", f"tabular input has the shape [number of features]; {found}"))
        if self.kind == "image" and (len(self.shape) != 3 or self.shape[0] not in (1, 3)):
            found = f"not {list(self.shape)}"
            problems.append(
                ("shape", f"an image has the shape [channels, height, width] with 1 or 3 channels, {found}")
            )
        if self.kind != "tabular" and self.features:
            problems.append(("features", "only tabular input has named features"))
        if self.sizes is not None and (problem := self.sizes.problem(self.kind, self.shape)):
            problems.append(("sizes", problem))
        if problems:
            raise KeyProblems(*problems)
        return self

    def allows(self, shape: tuple[int, ...]) -> bool:
        """Whether an item may have this shape: the usual one, or one that `sizes` allows."""
        return shape == self.shape or (self.sizes is not None and self.sizes.allow(self.shape, shape))


class ConceptSpec(SpecModel):
    term: str = Field(min_length=1)
    definition: str = Field(min_length=1)
    source: str = ""


class PageSpec(SpecModel):
    slug: Slug
    title: str = Field(min_length=1)
    file: str = Field(description="Markdown file inside the bundle.")


class DataSpec(SpecModel):
    """A data split: a folder of the bundle and who may see what of it."""

    path: str
    visibility: Literal["public", "inputs", "hidden"]
    leaves_platform: bool = Field(
        False, description="Whether inputs of this split may be sent to endpoints on participants' own machines."
    )


class AttributeSpec(SpecModel):
    """A column of the splits' attributes. `privileged` is compared with `unprivileged` (default: every other value)."""

    privileged: str = Field(min_length=1)
    unprivileged: tuple[str, ...] = ()
    protected: bool = True
    minimum: int = Field(30, ge=1, description="Groups with fewer items get the state too_few.")


class AggregateSpec(SpecModel):
    """How items of one cluster become one decision (frames of a video)."""

    by: Name
    rule: Literal["mean", "median", "max"] = "mean"


class AccessSpec(SpecModel):
    """Who may take part in a competition that they can see."""

    approval: bool = Field(False, description="Whether an organiser approves each participant before they can submit.")
    email_domains: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+(?:\.[a-z0-9-]+)+$", max_length=253)], ...] = Field(
        (),
        description="Domains of confirmed e-mail addresses that may take part, and see a private competition. "
        "Invited people may always. Empty: everybody who may see it.",
    )


class TeamSpec(SpecModel):
    """People who take part together, as one participant with one quota."""

    members: int = Field(1, ge=1, le=100, description="Most people of one participant; 1: no teams.")


class ResourceSpec(SpecModel):
    """Limits of one run."""

    cpus: float = Field(1.0, gt=0, le=256)
    memory: Size = 2**30
    gpus: int = Field(0, ge=0, le=64)
    time: Duration = Field(600.0, description="Wall clock for the whole run.")
    start: Duration = Field(60.0, description="From start to ready.")
    disk: Size = Field(2**28, description="Size of /tmp.")
    image: Size = Field(8 * 2**30, description="Largest image, unpacked.")
    log: Size = Field(2**20, description="Log bytes kept.")


class EndpointSpec(SpecModel):
    """What a run may ask of an endpoint, whose owner pays for every answer. Questions asked again count too."""

    queries: int = Field(100_000, ge=1, le=10**8, description="Most items asked in a run.")
    queries_per_item: int = Field(200, ge=1, le=10**6, description="Most items asked for each item of the splits.")
    items: int = Field(64, ge=1, le=256, description="Most items in one request.")
    rate: float = Field(20.0, gt=0, le=1000, description="Most requests a second.")
    timeout: Duration = Field(10.0, description="Of one request, from the look-up of the name to the last byte.")
    retries: int = Field(4, ge=0, le=10, description="How often a request that failed is sent again.")
    time: Duration | None = Field(None, description="Time of a whole run. Default, and at most: resources.time.")


class SubmissionSpec(SpecModel):
    kinds: tuple[SubmissionKind, ...] = Field(min_length=1)
    resources: ResourceSpec = Field(default_factory=lambda: ResourceSpec())
    endpoint: EndpointSpec = Field(
        default_factory=lambda: EndpointSpec(), description="Budgets of a run that asks an endpoint."
    )
    size: Size = Field(2**31, description="Largest artifact.")
    root_images: bool = Field(
        True, description="Whether an image may name root as its user. No image ever runs as root; false refuses it."
    )


class LimitSpec(SpecModel):
    """Submissions per participant. Faults of the platform never count."""

    per_day: int | None = Field(None, ge=1)
    total: int | None = Field(None, ge=1)


class FinalistsSpec(SpecModel):
    """Submissions of an earlier phase that are evaluated again in this one, when organisers start it."""

    phase: Slug = Field(description="The phase that participants choose from.")
    choose: int = Field(1, ge=1, le=20, description="How many each participant may choose. Default choice: their best.")


class PhaseSpec(SpecModel):
    slug: Slug
    title: str = ""
    split: str
    validation: str | None = Field(
        None,
        description="Another labelled split, asked as well: thresholds and mitigations are fitted on it.",
    )
    opens: Moment
    closes: Moment | None = None
    limits: LimitSpec = Field(default_factory=lambda: LimitSpec())
    feedback: Literal["full", "rounded", "ladder", "none"] = "full"
    logs: Literal["auto", "full", "sample", "none"] = Field(
        "auto",
        description="What participants see of their runs' logs: all, only what was written about the public sample, "
        "or nothing. auto: all, but only the sample's where inputs are hidden and feedback is not full.",
    )
    priority: int = Field(0, ge=-10, le=10, description="Runs of phases with a higher number start first.")
    finalists: FinalistsSpec | None = Field(
        None, description="Takes chosen submissions of another phase instead of new ones: a final ranking."
    )

    @model_validator(mode="after")
    def _ordered(self) -> PhaseSpec:
        if self.closes is not None and self.closes <= self.opens:
            text = f"the phase closes ({self.closes.isoformat()}) before or when it opens ({self.opens.isoformat()})"
            raise KeyProblems(("closes", text))
        return self


class MetricUse(BaseModel):
    """A metric with its parameters. Parameters are the other keys; the catalogue types them."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    use: str
    alias: Name | None = Field(None, alias="as")

    @property
    def parameters(self) -> dict[str, JsonValue]:
        return dict(self.model_extra or {})

    @property
    def prefix(self) -> str:
        """First part of the keys of the results."""
        return self.alias or self.use


class UtilitySpec(SpecModel):
    """A share of the trust score. The anchors are fixed: `worst` maps to 0, `best` to 1."""

    weight: float = Field(gt=0)
    worst: float | None = None
    best: float | None = None


def _utility(value: Any) -> Any:
    return {"weight": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class LeaderboardSpec(SpecModel):
    """`rank_by` is a result key, or `trust`: the weighted mean of anchored utilities."""

    slug: Slug
    title: str = ""
    phase: str | None = Field(None, description="Default: one board for each phase.")
    rank_by: str
    columns: tuple[str, ...] = Field((), description="Result keys shown. Default: all.")
    gates: tuple[str, ...] = Field((), description="Conditions a run must meet to be ranked, e.g. abs(KEY) <= 0.1.")
    utility: dict[
        str, Annotated[UtilitySpec, BeforeValidator(_utility, json_schema_input_type=float | UtilitySpec)]
    ] = Field(default_factory=dict)
    entry: Literal["best", "last"] = "best"


class CompetitionSpec(SpecModel):
    """The whole of competition.yml."""

    touchstone: Literal[1]
    slug: Slug
    title: str = Field(min_length=1, max_length=200)
    summary: str = Field("", max_length=500)
    visibility: Literal["public", "unlisted", "private"] = "public"
    licence: str = ""
    pages: tuple[PageSpec, ...] = ()
    terms: str = Field("", description="Markdown file with the terms participants accept on joining.")
    data_card: str = Field("", description="Markdown file: source, licence, sha256, known limits.")
    starting_kit: str = Field("", description="Folder offered as a zip.")
    image: str = Field("", description="PNG, JPEG or WebP file shown with the title, at most 2 MiB.")
    task: TaskSpec
    input: InputSpec | None = None
    concepts: tuple[ConceptSpec, ...] = ()
    data: dict[Name, DataSpec] = Field(min_length=1)
    surrogates: dict[Name, str] = Field(
        default_factory=dict,
        max_length=16,
        description="Names and ONNX files of models that examples are made against, for robustness.transfer. "
        "Participants do not get them.",
    )
    attributes: dict[Name, AttributeSpec] = Field(default_factory=dict)
    aggregate: AggregateSpec | None = None
    submission: SubmissionSpec
    access: AccessSpec = Field(default_factory=lambda: AccessSpec())
    teams: TeamSpec = Field(default_factory=lambda: TeamSpec())
    phases: tuple[PhaseSpec, ...] = Field(min_length=1)
    metrics: tuple[MetricUse, ...] = Field(min_length=1)
    leaderboards: tuple[LeaderboardSpec, ...] = Field(min_length=1)
