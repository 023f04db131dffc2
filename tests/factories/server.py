"""Rows and bundles for tests of the server. Small, valid, and made through the same models as the real ones."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runners.contract import EngineReport, MetricResult, NodeHello, RunResult, Verdict
from runners.spec.models import CompetitionSpec, SubmissionKind
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, DataSplit, Member, Participation, Phase
from touchstone.core.clock import now
from touchstone.core.storage import blob_put
from touchstone.evaluations.models import Lane, Node, Run, RunStatus
from touchstone.evaluations.services import node_create, node_register
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.services import boards_sync
from touchstone.submissions.models import Submission

_numbers = itertools.count(1)
PASSWORD = "correct-horse-battery"


def user_make(name: str = "", **fields: Any) -> User:
    name = name or f"user{next(_numbers)}"
    return User.objects.create_user(username=name, email=f"{name}@example.org", password=PASSWORD, **fields)


def spec_dict(slug: str = "tiny", **changes: Any) -> dict[str, Any]:
    """competition.yml as a dict: binary, predictions and models, one open phase."""
    spec: dict[str, Any] = {
        "touchstone": 1,
        "slug": slug,
        "title": f"Tiny {slug}",
        "task": {"kind": "binary", "classes": ["no", "yes"], "favourable": "no"},
        "data": {"test": {"path": "data/test", "visibility": "hidden"}},
        "submission": {"kinds": ["predictions"]},
        "phases": [{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z"}],
        "metrics": [{"use": "performance.accuracy"}, {"use": "performance.log_loss"}],
        "leaderboards": [{"slug": "main", "rank_by": "performance.accuracy"}],
    }
    return spec | changes


def competition_make(owner: User | None = None, *, slug: str = "", **changes: Any) -> Competition:
    """A competition with its splits, phases and boards, as an import would make it. Split files are dummies."""
    slug = slug or f"tiny-{next(_numbers)}"
    spec = CompetitionSpec.model_validate(spec_dict(slug, **changes))
    competition = Competition.objects.create(
        slug=slug, title=spec.title, visibility=spec.visibility, owner=owner or user_make(), source="touchstone: 1\n",
        spec=spec.model_dump(mode="json", by_alias=True), bundle_digest="0" * 64,
    )  # fmt: skip
    splits = {name: _split(competition, name, part.visibility) for name, part in spec.data.items()}
    for position, phase in enumerate(spec.phases):
        Phase.objects.create(
            competition=competition, slug=phase.slug, title=phase.title or phase.slug, position=position,
            split=splits[phase.split], opens=phase.opens, closes=phase.closes, per_day=phase.limits.per_day,
            total=phase.limits.total, feedback=phase.feedback, logs=phase.logs, priority=phase.priority,
        )  # fmt: skip
    boards_sync(phases=competition.phases.all(), spec=spec)
    return competition


def _split(competition: Competition, name: str, visibility: str) -> DataSplit:
    files = []
    for file in ("inputs.csv", "labels.csv"):
        info = blob_put(file=io.BytesIO(f"id,{file}\na,no\nb,yes\n".encode()))
        files.append({"name": file, "sha256": info.sha256, "size": info.size})
    ids = blob_put(file=io.BytesIO(json.dumps(["a", "b"]).encode())).sha256
    return DataSplit.objects.create(
        competition=competition, name=name, visibility=visibility, files=files, digest="1" * 64, n_items=2, ids=ids
    )


def phase_of(competition: Competition) -> Phase:
    return Phase.objects.select_related("competition", "split").filter(competition=competition)[0]


def board_of(competition: Competition) -> Leaderboard:
    return Leaderboard.objects.select_related("phase__competition").filter(competition=competition)[0]


def participation_make(competition: Competition, user: User | None = None, **fields: Any) -> Participation:
    user = user or user_make()
    fields = {"display_name": user.username} | fields
    made = Participation.objects.create(competition=competition, user=user, **fields)
    Member.objects.create(competition=competition, participation=made, user=user)
    return made


def submission_make(participation: Participation, phase: Phase | None = None, **fields: Any) -> Submission:
    phase = phase or phase_of(participation.competition)
    blob = blob_put(file=io.BytesIO(f"id,prediction\na,no\nb,yes\nx{next(_numbers)},no\n".encode()))
    files = [{"name": "predictions.csv", "sha256": blob.sha256, "size": blob.size}]
    created = fields.pop("created_at", None)
    made = Submission.objects.create(
        **{"participation": participation, "phase": phase, "kind": "predictions", "files": files} | fields
    )
    if created is not None:
        Submission.objects.filter(pk=made.pk).update(created_at=created)
        made.created_at = created
    return made


def run_make(submission: Submission, status: RunStatus = RunStatus.QUEUED, **fields: Any) -> Run:
    """A run put straight into a state, with the fields that go with it."""
    moment = now()
    defaults: dict[str, Any] = {"status": status, "seed": 7, "deadline": moment + timedelta(minutes=5)}
    defaults |= {"kind": submission.kind, "share": submission.participation.user_id}
    defaults["lane"] = Lane.QUICK if submission.kind == "predictions" else Lane.LONG
    if status not in (RunStatus.RECEIVED, RunStatus.CHECKING):
        defaults["queued_at"] = moment
    run = Run.objects.create(submission=submission, **defaults | fields)
    if run.rerun_id is None:
        submission.run = run
        submission.save(update_fields=["run"])
    return run


def queued_run(competition: Competition | None = None, user: User | None = None, **fields: Any) -> Run:
    """A run that waits in the queue, with everything it needs."""
    competition = competition or competition_make()
    return run_make(submission_make(participation_make(competition, user)), **fields)


def node_make(name: str = "", *, engine: bool = True, **capabilities: Any) -> Node:
    node, _ = node_create(name=name or f"node-{next(_numbers)}")
    node_register(node=node, hello=hello(node.name, engine=engine, **capabilities))
    return node


def hello(name: str, *, engine: bool = True, **capabilities: Any) -> NodeHello:
    report = EngineReport(name="bubblewrap", ok=engine, not_enforced=("disk",))
    kinds = tuple(SubmissionKind) if report.ok else (SubmissionKind.PREDICTIONS,)
    defaults: dict[str, Any] = {
        "queues": ("cpu",), "engines": (report,), "kinds": kinds, "cpus": 2, "memory": 2**30, "slots": 8,
    }  # fmt: skip
    return NodeHello(**{"name": name, **defaults, **capabilities})


def metric(key: str = "performance.accuracy", value: float | None = 0.5, **fields: Any) -> MetricResult:
    known = {"performance.accuracy": "maximise", "performance.log_loss": "minimise"}
    defaults: dict[str, Any] = {
        "key": key, "metric": key.partition("[")[0], "pillar": key.partition(".")[0], "value": value,
        "direction": known.get(key, "zero"), "state": "ok" if value is not None else "undefined", "title": key,
        "reason": "" if value is not None else "nothing to divide by",
    }  # fmt: skip
    return MetricResult(**defaults | fields)


def result_make(run: Run, value: float | None = 0.5, *, verdict: Verdict = Verdict.OK, **fields: Any) -> RunResult:
    """What a node would report about the present attempt of `run`."""
    results = (metric(value=value, low=None, high=None), metric("performance.log_loss", 0.7))
    return RunResult(
        **{
            "run": str(run.pk), "attempt": run.attempt, "verdict": verdict,
            "results": results if verdict is Verdict.OK else (),
        } | fields
    )  # fmt: skip


def at(text: str) -> datetime:
    """`2026-01-31T12:00` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bundle_folder(folder: Path, slug: str = "tiny", *, rows: int = 40, **changes: Any) -> Path:
    """A competition's folder as an organiser writes it; `changes` replace top-level keys of competition.yml."""
    spec = spec_dict(slug, **{"terms": "terms.md", "starting_kit": "kit", **changes})
    place = folder / slug
    (place / "data/test").mkdir(parents=True)
    (place / "kit").mkdir()
    (place / "competition.yml").write_text(json.dumps(spec, indent=1))  # JSON is YAML
    (place / "terms.md").write_text("Play fair.\n")
    (place / "kit/README.md").write_text("Send a CSV with id and prediction.\n")
    labels = "".join(f"item{i},{'yes' if i % 2 else 'no'}\n" for i in range(rows))
    (place / "data/test/labels.csv").write_text(f"id,label\n{labels}")
    return place


def zipped(folder: Path) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    buffer.seek(0)
    return buffer
