"""The world that the examples of the REST interface speak of: the same names, and the same ids.

Each example can be sent as it stands; tests do, and give the same ids to what they make up.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from touchstone.accounts.models import User
    from touchstone.competitions.models import Competition, Participation

#: Secrets and ids as the examples have them.
INVITATION = "example-invitation-0001"
DEVICE = "Vf0cK3r8mJx2bqLZp5wN7sTtYhUoAeDgC1iR4kXvB6Q"
SENT = b"id,prediction\np00,no\np01,yes\n"
_PREFIX = "0190d3a4-7c1e-7b52-9f0e-5d3f6a1c2b"


def key(number: int) -> str:
    """The id with that number, two hex digits."""
    return f"{_PREFIX}{number:02x}"


SUBMISSION, WAITING, OTHER, CODE = key(0x01), key(0x02), key(0x03), key(0x04)
UPLOAD, BEGUN, BUNDLE = key(0x10), key(0x11), key(0x13)
CHOSEN = key(0x06)
TRUST = key(0x30)
ANNOUNCEMENT, LINK, TEAM_LINK = 7001, 7001, 7002  # beyond what the sequences give
WEBHOOK, MESSAGE = key(0x30), key(0x31)
DRAFT, RERUN, MATRIX, SNAPSHOT = key(0x20), key(0x21), key(0x22), key(0x23)


@dataclass
class ExampleWorld:
    """`tokens` by who asks; `garments` is a competition by its bundle, `shapes` one with finals and models."""

    people: dict[str, User]
    tokens: dict[str, str]
    garments: Competition
    shapes: Competition
    mine: Participation


def example_world(folder: Path) -> ExampleWorld:
    """Made once; those who ask roll back what they change."""
    from tests.factories.server import participation_make, user_make
    from touchstone.submissions.endpoints import credential_add

    people = {
        "participant": user_make("paula"), "organiser": user_make("olga"), "stranger": user_make("stan"),
        "staff": user_make("sven", is_staff=True), "mate": user_make("mia"),
    }  # fmt: skip
    garments = _garments(folder / "garments", people["organiser"])
    mine = participation_make(garments, people["participant"], display_name="Loom")
    _submissions(garments, mine)
    _people(garments, mine, people)
    _uploads(people["participant"], people["organiser"], folder)
    _access(people["participant"], garments)
    _webhooks(people["participant"])
    credential_add(user=people["participant"], name="old", header="Authorization", secret="example-only")
    shapes = _shapes(people["organiser"], people["participant"])
    _organising(garments, shapes, people)
    return ExampleWorld(people, _tokens(people), garments, shapes, mine)


def _tokens(people: dict[str, User]) -> dict[str, str]:
    """One of each, with every scope; the participant's is the one that the examples revoke."""
    from touchstone.accounts.models import ApiToken
    from touchstone.accounts.services import token_create

    scopes = ["read", "submit", "organise"]
    made = {name: token_create(user=user, name="laptop", scopes=scopes)[1] for name, user in people.items()}
    staff = ApiToken.objects.get(user=people["staff"])
    staff.scopes = [*scopes, "admin"]
    staff.save(update_fields=["scopes"])
    return made


def _access(user: User, competition: Competition) -> None:
    """A program that was approved and has not fetched its token, and a job that is trusted."""
    from touchstone.accounts.models import DeviceGrant, TrustedPublisher
    from touchstone.accounts.tokens import token_digest
    from touchstone.core.clock import now

    DeviceGrant.objects.create(
        device=token_digest(raw=DEVICE), code="0" * 64, client="touchstone on laptop", scopes=["read", "submit"],
        state=DeviceGrant.State.APPROVED, user=user, expires_at=now() + timedelta(minutes=5),
    )  # fmt: skip
    TrustedPublisher.objects.create(
        pk=TRUST, user=user, competition=competition, issuer="https://gitlab.com", repository="group/model",
        repository_id="55", owner_id="8", workflow=".gitlab-ci.yml",
    )  # fmt: skip


def _garments(folder: Path, owner: User) -> Competition:
    from tests.unit.api.bundle_maker import write_bundle
    from touchstone.competitions.imports import competition_import

    extra = "teams: {members: 5}\n"
    made = competition_import(user=owner, archive=write_bundle(folder, slug="garments", extra=extra)).competition
    made.opened_at = made.created_at
    made.save(update_fields=["opened_at"])
    return made


def _submissions(competition: Competition, mine: Participation) -> None:
    from tests.factories.server import participation_make, run_make, submission_make, user_make
    from touchstone.competitions.models import Phase
    from touchstone.evaluations.models import RunStatus

    phase = Phase.objects.select_related("competition", "split").get(competition=competition, slug="now")
    other = participation_make(competition, user_make("otto"), display_name="Otto")
    _score(run_make(submission_make(mine, phase, id=SUBMISSION, name="Baseline", message="first try")), 0.75)
    _score(run_make(submission_make(other, phase, id=OTHER)), 0.5)
    run_make(submission_make(mine, phase, id=WAITING), RunStatus.QUEUED)


def _score(run: Any, value: float) -> None:
    from tests.factories.server import hello, metric, result_make
    from touchstone.evaluations.models import Node
    from touchstone.evaluations.services import node_create, node_register, result_accept, run_claim

    node = Node.objects.filter(name="node-1").first()
    if node is None:
        node, _secret = node_create(name="node-1")
        node_register(node=node, hello=hello("node-1"))
    claimed = run_claim(node=node, queue="cpu", kinds=["predictions", "model", "code"])
    assert claimed is not None
    run.refresh_from_db()
    results = (metric(value=value, low=value - 0.1, high=value + 0.1, title="Accuracy"),)
    result_accept(node=node, result=result_make(run, results=results))


def _people(competition: Competition, mine: Participation, people: dict[str, User]) -> None:
    from tests.factories.server import participation_make, user_make
    from touchstone.competitions.models import Announcement, Invitation, Member
    from touchstone.core.clock import now

    participation_make(competition, user_make("nina"), display_name="Nina", status="pending")
    Member.objects.create(participation=mine, competition=competition, user=people["mate"])
    links = {LINK: (INVITATION, "participant", None), TEAM_LINK: ("another", "teammate", mine)}
    for number, (secret, role, team) in links.items():
        Invitation.objects.create(
            pk=number, competition=competition, participation=team, role=role, expires_at=now() + timedelta(days=14),
            digest=hashlib.sha256(secret.encode()).hexdigest(), invited_by=people["organiser"],
        )  # fmt: skip
    Announcement.objects.create(
        pk=ANNOUNCEMENT, competition=competition, author=people["organiser"], title="A new public sample",
        markdown="It has **twelve** people.",
    )  # fmt: skip


def _webhooks(participant: User) -> None:
    """One of the participant's, with a message that arrived."""
    from touchstone.core.sealing import seal
    from touchstone.hooks.models import Delivery, Webhook
    from touchstone.hooks.signing import secret_make

    hook = Webhook.objects.create(
        pk=WEBHOOK, owner=participant, url="https://ci.example.org/touchstone", secret=seal(secret_make()),
        events=["submission.scored", "submission.failed"],
    )  # fmt: skip
    status = Delivery.Status.DELIVERED
    Delivery.objects.create(pk=MESSAGE, webhook=hook, event="submission.scored", body="{}", status=status, attempts=1)


def _uploads(participant: User, organiser: User, folder: Path) -> None:
    """A whole one and one just begun, of the participant; two whole ones of the organiser, one of them a bundle."""
    from tests.unit.api.bundle_maker import write_bundle, zip_of
    from touchstone.core.clock import now
    from touchstone.submissions.models import Upload
    from touchstone.submissions.services import upload_complete, upload_part_put

    bundle = zip_of(write_bundle(folder / "ceramics", slug="ceramics"))
    for name, user, data in (
        (UPLOAD, participant, SENT), (BEGUN, participant, SENT + b"p02,no\n"), (key(0x12), organiser, SENT),
        (BUNDLE, organiser, bundle),
    ):  # fmt: skip
        upload = Upload.objects.create(
            pk=name, user=user, name="predictions.csv", size=len(data), sha256=hashlib.sha256(data).hexdigest(),
            part_size=2**23, expires_at=now() + timedelta(days=1),
        )  # fmt: skip
        if name != BEGUN:
            upload_part_put(upload=upload, number=1, data=data)
            upload_complete(upload=upload)


def _shapes(owner: User, participant: User) -> Competition:
    """Models, phases with finalists, and finals that are through. Its splits are dummies."""
    from tests.factories.server import competition_make, participation_make, user_make

    def phase(slug: str, split: str, **more: Any) -> dict[str, Any]:
        return {"slug": slug, "split": split, "opens": "2020-01-01T00:00Z"} | more

    made = competition_make(
        owner, slug="shapes", title="Shapes", input={"kind": "array", "shape": [2]},
        submission={"kinds": ["predictions", "model", "code"], "resources": {"time": 100, "start": 10}},
        data={name: {"path": f"data/{name}", "visibility": "hidden"} for name in ("test", "private")},
        phases=[
            phase("main", "test"),
            phase("finals", "private", opens="2999-01-01T00:00Z", finalists={"phase": "main", "choose": 2}),
            phase("trial", "test"), phase("trial-finals", "private", finalists={"phase": "trial", "choose": 1}),
        ],
    )  # fmt: skip
    otter = participation_make(made, user_make("otter"), display_name="Otter")
    _model(otter, 0x04)
    _model(participation_make(made, user_make("heron"), display_name="Heron"), 0x05)
    _model(participation_make(made, participant, display_name="Loom"), 0x06)
    _model(otter, 0x07, phase="trial")
    _finals(made)
    return made


def _finals(competition: Competition) -> None:
    from touchstone.competitions.models import Phase
    from touchstone.evaluations.models import Run, RunStatus
    from touchstone.submissions.finals import finals_start

    phase = Phase.objects.select_related("competition", "split").get(competition=competition, slug="trial-finals")
    finals_start(phase=phase, by=competition.owner)
    Run.objects.filter(submission__phase=phase).update(status=RunStatus.FAILED)


def _model(participation: Participation, number: int, phase: str = "main") -> None:
    """A scored model, on the board."""
    from tests.factories.server import run_make, submission_make
    from touchstone.competitions.models import Phase
    from touchstone.core.storage import blob_put
    from touchstone.evaluations.models import RunStatus
    from touchstone.leaderboards.services import entries_update

    blob = blob_put(file=io.BytesIO(f"model {number}".encode()))
    found = Phase.objects.select_related("competition", "split").get(competition=participation.competition, slug=phase)
    files = [{"name": "model.onnx", "sha256": blob.sha256, "size": blob.size}]
    submission = submission_make(participation, found, kind="model", files=files, id=key(number))
    run = run_make(submission, RunStatus.SCORED, attempt=1)
    run.results.create(
        position=0, key="performance.accuracy", metric="performance.accuracy", pillar="performance", title="Accuracy",
        value=0.5 + number / 100, direction="maximise", state="ok",
    )  # fmt: skip
    entries_update(run=run)


def _organising(garments: Competition, shapes: Competition, people: dict[str, User]) -> None:
    from touchstone.competitions.models import Phase
    from touchstone.drafts.models import Draft
    from touchstone.drafts.services import draft_create, section_save
    from touchstone.evaluations.models import Rerun
    from touchstone.leaderboards.models import Leaderboard
    from touchstone.leaderboards.snapshots import snapshot_take
    from touchstone.transfers.models import Matrix
    from touchstone.transfers.services import matrix_cancel, matrix_create

    olga = people["organiser"]
    draft = draft_create(user=olga, title="", competition=garments)
    _rekey(Draft, draft.pk, DRAFT)
    renamed = Draft.objects.select_related("owner", "competition").get(pk=DRAFT)
    renamed.editors.add(people["mate"])
    about = renamed.sections.get(name="about")
    section_save(
        draft=renamed, user=olga, name="about", body=about.body | {"summary": "Shirts."}, version=about.version
    )
    Rerun.objects.create(pk=RERUN, competition=garments, asked_by=olga, reason="A metric was mended.")
    phase = Phase.objects.select_related("competition", "split").get(competition=shapes, slug="main")
    matrix = matrix_create(user=olga, phase=phase, parameters={"attack": "pgd", "eps": 0.1})
    _rekey(Matrix, matrix.pk, MATRIX)
    matrix_cancel(user=olga, matrix=Matrix.objects.select_related("phase__competition").get(pk=MATRIX))
    board = Leaderboard.objects.select_related("phase__competition").get(phase__slug="now", competition=garments)
    kept = snapshot_take(leaderboard=board, user=olga)
    _rekey(type(kept), kept.pk, SNAPSHOT)


def _rekey(model: Any, old: Any, new: str) -> None:
    """Give a row the id that the examples know it by, and with it what points at it: references are checked later."""
    model.objects.filter(pk=old).update(id=new)
    for relation in model._meta.related_objects:
        rows = relation.related_model._default_manager.filter(**{relation.field.name: old})
        rows.update(**{relation.field.name: new})
