"""What the server's answers look like, as frozen dataclasses. Times are aware datetimes in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from touchstone_client.board_types import Board as Board
from touchstone_client.board_types import BoardColumn as BoardColumn
from touchstone_client.board_types import BoardRow as BoardRow
from touchstone_client.board_types import Score as Score
from touchstone_client.board_types import Standing as Standing

#: Version of the JSON that `--json` prints. It rises when a key changes its meaning or goes.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Server:
    """A server as its answers tell of it. `at`: its clock; empty fields are not told."""

    version: str = ""
    minimum_client: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Me:
    """Who the token belongs to and what it may do."""

    username: str
    email: str
    scopes: tuple[str, ...]
    token: str | None = None
    token_expires_at: datetime | None = None


@dataclass(frozen=True)
class Token:
    """An API token. `secret` is only known in the answer that made it."""

    public: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    secret: str = ""


@dataclass(frozen=True)
class Phase:
    """A time window of a competition. `state` is upcoming, open or closed; limits are None where there is none."""

    slug: str
    title: str
    state: str
    split: str
    opens: datetime
    closes: datetime | None
    per_day: int | None
    total: int | None
    feedback: str


@dataclass(frozen=True)
class SplitFile:
    """A file of a data split that this person may download."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Split:
    name: str
    visibility: str
    digest: str
    n_items: int
    files: tuple[SplitFile, ...] = ()


@dataclass(frozen=True)
class BoardName:
    """Names a leaderboard: `COMPETITION/PHASE/BOARD`."""

    phase: str
    slug: str
    title: str


@dataclass(frozen=True)
class CompetitionSummary:
    slug: str
    title: str
    summary: str
    visibility: str
    current_phase: str | None
    joined: bool
    organiser: bool
    phases: tuple[Phase, ...]
    url: str = ""


@dataclass(frozen=True)
class Competition(CompetitionSummary):
    """A competition in full. `spec` parts are as in competition.yml, with defaults filled in."""

    version: int = 1
    kinds: tuple[str, ...] = ()
    max_size: int = 0
    task: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    aggregate: dict[str, Any] | None = None
    root_images: bool = True
    metrics: tuple[dict[str, Any], ...] = ()
    resources: dict[str, Any] = field(default_factory=dict)
    splits: tuple[Split, ...] = ()
    leaderboards: tuple[BoardName, ...] = ()
    terms: str = ""
    data_card: str = ""
    starting_kit: str = ""


@dataclass(frozen=True)
class Participation:
    """`status`: active; or pending, until an organiser approves; or removed."""

    competition: str
    display_name: str
    joined_at: datetime
    status: str = "active"


@dataclass(frozen=True)
class PushOutcome:
    """What an import did. Pushing the same bundle again gives `changed` False."""

    competition: str
    created: bool
    changed: bool
    version: int
    url: str = ""


@dataclass(frozen=True)
class Part:
    number: int
    sha256: str
    size: int


@dataclass(frozen=True)
class PartUrl:
    """Where a part may be PUT without a token, for an hour."""

    number: int
    url: str


@dataclass(frozen=True)
class Upload:
    """A resumable upload. Part numbers start at 1; every part but the last has `part_size` bytes.

    `direct`: the parts may go straight to the server's file storage, by `urls`.
    """

    id: str
    name: str
    size: int
    sha256: str
    part_size: int
    expires_at: datetime
    completed_at: datetime | None = None
    parts: tuple[Part, ...] = ()
    direct: bool = False
    urls: tuple[PartUrl, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why a run ended as it did: what happened, why, and the next step."""

    what: str
    why: str
    next: str
    fault: str = "nobody"


@dataclass(frozen=True)
class Submission:
    """A submission and the state of its run. `queue_position` counts from 1 and is None outside the queue.

    `stages`: seconds of each stage of the last attempt, in their order. `provenance`: what a CI service's token said
    about the job that sent it (commit, repository, ref, run_url, …).
    """

    id: str
    competition: str
    phase: str
    kind: str
    status: str
    final: bool
    participant: str
    message: str
    created_at: datetime
    attempt: int = 0
    name: str = ""
    image: str = ""
    endpoint: dict[str, Any] | None = None
    source: str = ""
    files: tuple[SplitFile, ...] = ()
    queue_position: int | None = None
    estimated_start: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    verdict: str = ""
    code: str = ""
    nodes_online: int | None = None
    estimated_seconds: float | None = None
    explanation: Explanation | None = None
    stages: dict[str, float] = field(default_factory=dict)
    not_enforced: tuple[str, ...] = ()
    url: str = ""
    provenance: dict[str, Any] | None = None


@dataclass(frozen=True)
class Event:
    """One line of a run's history. `sequence` rises by one within a run."""

    sequence: int
    attempt: int
    at: datetime
    kind: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EventPage:
    """Events after a sequence number, and where the run stands. Ask again with `after=next_after`."""

    items: tuple[Event, ...]
    next_after: int
    status: str
    final: bool
    queue_position: int | None = None


@dataclass(frozen=True)
class PushedImage:
    """An image in the platform's registry. `image` is its name by digest, `size` its compressed bytes."""

    image: str
    tag: str
    size: int
    pushed_at: datetime


@dataclass(frozen=True)
class ImagePlace:
    """Where one pushes images of a competition to. `host` is empty where there is no registry.

    `why_not` says why nothing can be pushed now; `used` and `quota` are bytes.
    """

    host: str
    prefix: str
    why_not: str
    used: int
    quota: int
    items: tuple[PushedImage, ...]


@dataclass(frozen=True)
class MetricValue:
    """One number of one run. `low` and `high` bound a 95 % interval; `reason` says why `value` is None.

    `verdict`: whether a number under attack may be believed (sound, suspect, broken, unchecked); else empty. `doubts`:
    the checks that speak against it.
    """

    key: str
    title: str
    metric: str
    pillar: str
    value: float | None
    direction: str
    state: str
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = ""
    reason: str = ""
    verdict: str = ""
    doubts: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """Results as far as the phase's feedback shows them; `note` says what is held back and why."""

    submission: str
    status: str
    final: bool
    feedback: str
    items: tuple[MetricValue, ...]
    note: str = ""


@dataclass(frozen=True)
class Quota:
    """Submissions left. None means no limit."""

    competition: str
    phase: str
    per_day: int | None
    used_today: int
    remaining_today: int | None
    total: int | None
    used_total: int
    remaining_total: int | None
    resets_at: datetime | None
    failures_per_day: int | None = None
    failed_today: int = 0


@dataclass(frozen=True)
class Queue:
    """What waits in a queue. `slots` and `busy` are runs at once, prediction files apart; `usual_wait` in seconds."""

    name: str
    nodes_online: int
    slots: int
    busy: int
    waiting: int
    waiting_quick: int = 0
    oldest: datetime | None = None
    usual_wait: float | None = None


@dataclass(frozen=True)
class Node:
    """A node as it described itself, and how it does. `memory` in bytes."""

    name: str
    state: str
    queues: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    engines: tuple[dict[str, Any], ...] = ()
    cpus: int | None = None
    memory: int | None = None
    gpus: tuple[dict[str, Any], ...] = ()
    slots: int = 1
    calibration: float | None = None
    version: str = ""
    seen_at: datetime | None = None
    quarantine_reason: str = ""
    faults: tuple[dict[str, Any], ...] = ()
    runs: tuple[dict[str, Any], ...] = ()
