"""A small world: two competitions, and a person of each role. Django is imported inside: settings come first.

`world` is the fixture of tests/unit/web and tests/unit/api/test_api_access.py; `ROLES` are the columns of the tables
that say who gets what.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from touchstone.accounts.models import User
    from touchstone.competitions.models import Competition, Participation
    from touchstone.evaluations.models import Run

#: `partner` is another member of the participant's team, `helper` another organiser, and staff runs the platform.
ROLES = ("anonymous", "stranger", "participant", "partner", "organiser", "helper", "staff")

METRICS = [
    {"use": "performance.accuracy"},
    {"use": "performance.log_loss"},
    {
        "use": "robustness.attack",
        "as": "hsj",
        "attack": "hop_skip_jump",
        "norm": "l2",
        "eps": 1.0,
        "items": 8,
        "queries": 100,
    },
]


@dataclass
class World:
    """`public` is open to all, `private` only to its organisers and the team; `run` is the participant's, scored.

    `sealed` has not been opened yet.
    """

    organiser: User
    helper: User
    participant: User
    partner: User
    stranger: User
    staff: User
    public: Competition
    private: Competition
    sealed: Competition
    participation: Participation
    run: Run

    def user(self, role: str) -> User | None:
        return None if role == "anonymous" else getattr(self, role)

    def client(self, role: str, **defaults: Any) -> Client:
        from django.test import Client

        client = Client(**defaults)
        user = self.user(role)
        if user is not None:
            client.force_login(user)
        return client


def changes(**more: Any) -> dict[str, Any]:
    """What differs from the factory's competition: all kinds of split, three phases, all kinds of submission."""
    from touchstone.core.clock import now

    moment = now()
    at = {"past": moment - timedelta(days=9), "ago": moment - timedelta(days=3), "soon": moment + timedelta(days=3)}
    times = {key: value.isoformat() for key, value in at.items()}
    return {
        "summary": "Two rows & <tags>",
        "input": {"kind": "tabular", "shape": [1], "features": ["a"]},
        "concepts": [{"term": "accuracy", "definition": "Share of right answers.", "source": "a book"}],
        "attributes": {"gender": {"privileged": "male"}},
        "data": {
            "train": {"path": "data/train", "visibility": "public"},
            "validation": {"path": "data/validation", "visibility": "inputs"},
            "test": {"path": "data/test", "visibility": "hidden"},
        },
        "submission": {"kinds": ["predictions", "model", "code", "container"], "size": "1MiB"},
        "metrics": METRICS,
        "phases": [
            {"slug": "warm-up", "split": "validation", "opens": times["past"], "closes": times["ago"]},
            {
                "slug": "main", "title": "Main phase", "split": "test", "opens": times["ago"], "closes": times["soon"],
                "limits": {"per_day": 3, "total": 4},
            },
            {"slug": "later", "split": "test", "opens": times["soon"]},
        ],
        "leaderboards": [
            {
                "slug": "main", "title": "Accuracy", "rank_by": "performance.accuracy",
                "gates": ["performance.log_loss <= 5"],
            }
        ],
    } | more  # fmt: skip


def report_for(run: Run, value: float = 0.873) -> list[Any]:
    from tests.factories.server import metric

    return [
        metric(value=value, low=value - 0.012, high=value + 0.011, n=2000, title="Accuracy"),
        metric("performance.log_loss", 0.4, low=0.3, high=0.5, n=2000, unit="nat", title="Log loss"),
        metric(
            "hsj.robust_accuracy", None, metric="robustness.attack", pillar="robustness", direction="maximise",
            state="not_applicable", reason="a prediction file cannot be queried",
        ),
    ]  # fmt: skip


def score(run: Run, value: float = 0.873, **fields: Any) -> Run:
    """Take a queued run through a node, as the platform does."""
    from tests.factories.server import node_make, result_make
    from touchstone.evaluations.models import Run
    from touchstone.evaluations.services import result_accept, run_claim

    node = node_make()
    claimed = run_claim(node=node, queue="cpu", kinds=["predictions", "model", "code", "container"])
    assert claimed is not None
    assert claimed.run == str(run.pk)
    run = Run.objects.get(pk=run.pk)
    fields = {
        "stages": {"fetch": 0.2, "metric:performance.accuracy": 61.0},
        "log": "<script>alert(1)</script>",
    } | fields
    if "verdict" not in fields:
        fields["results"] = tuple(report_for(run, value))
    result_accept(node=node, result=result_make(run, **fields))
    run.refresh_from_db()
    return run


def team_up(participation: Participation, user: User) -> None:
    """Another member."""
    from touchstone.competitions.models import Member

    Member.objects.create(participation=participation, competition=participation.competition, user=user)


@pytest.fixture
def world(db: None) -> World:
    from tests.factories.server import competition_make, participation_make, run_make, submission_make, user_make
    from touchstone.competitions.models import Phase

    organiser, participant, stranger = user_make("olga"), user_make("paul"), user_make("stan")
    helper, partner, staff = user_make("hugo"), user_make("pia"), user_make("sven", is_staff=True)
    public = competition_make(organiser, slug="open-one", **changes())
    private = competition_make(organiser, slug="secret-one", **changes(visibility="private"))
    sealed = competition_make(organiser, slug="sealed-one", **changes())
    sealed.opened_at = None
    sealed.save()
    public.pages = [
        {"slug": "overview", "title": "Overview", "markdown": "# Overview\n\nHello **there**"},
        {"slug": "faq", "title": "FAQ", "markdown": "Ask."},
    ]
    public.terms, public.data_card = "Be *fair*.", "# Card\n\nFrom a shelf."
    public.save()
    for competition in (public, private, sealed):
        competition.organisers.add(helper)
    team_up(participation_make(private, participant), partner)
    participation = participation_make(public, participant, display_name="Team <b>Paul</b>")
    team_up(participation, partner)
    phase = Phase.objects.get(competition=public, slug="main")
    run = score(run_make(submission_make(participation, phase, message="first try")))
    return World(organiser, helper, participant, partner, stranger, staff, public, private, sealed, participation, run)
