"""The page of matrices: empty, running, done, and what it refuses."""

from __future__ import annotations

import json

import pytest

from tests.factories.server import participation_make, phase_of, run_make, submission_make
from touchstone.evaluations.models import RunStatus
from touchstone.transfers.models import Matrix
from touchstone.transfers.services import matrix_create

pytestmark = pytest.mark.django_db
ASKED = {"attack": "pgd", "norm": "linf", "eps": "0.1", "items": "50"}
PAGE = "/c/open-one/transfer/"


@pytest.fixture
def organiser(world):
    return world.client("organiser")


@pytest.fixture
def models(world):
    """Two scored models with names that need care, in the phase that is open."""
    phase = phase_of(world.public)
    phase = world.public.phases.get(slug="main")
    found = []
    for name in ("Ann & Co", "<b>Bo</b>"):
        participation = participation_make(world.public, display_name=name)
        found.append(submission_make(participation, phase, kind="model"))
        run_make(found[-1], RunStatus.SCORED)
    return found


@pytest.fixture
def matrix(world, models):
    phase = world.public.phases.select_related("competition").get(slug="main")
    return matrix_create(
        user=world.organiser, phase=phase, parameters={"attack": "pgd", "eps": 0.1}, submissions=[m.pk for m in models]
    )


def test_without_one_it_says_what_it_takes(organiser) -> None:
    html = organiser.get(PAGE).content.decode()
    assert "No matrix yet" in html
    assert 'value="pgd" selected' in html


def test_while_it_runs_it_tells_how_far_it_is(organiser, matrix) -> None:
    html = organiser.get(PAGE).content.decode()
    assert "0 of 2 runs ended" in html
    assert 'hx-trigger="every 4s"' in html
    assert "Ann &amp; Co" in html
    assert "&lt;b&gt;Bo&lt;/b&gt;" in html
    part = organiser.get(PAGE, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="matrices"')
    assert "<html" not in part


def test_numbers_come_with_shade_and_interval(organiser, matrix) -> None:
    common = {"metric": "robustness.transfer", "pillar": "robustness", "title": "t", "direction": "maximise"}
    for entry, value in zip(matrix.entries.all(), (0.95, 0.1), strict=True):
        type(entry.run).objects.filter(pk=entry.run.pk).update(status=RunStatus.SCORED)
        for position, key in enumerate(["accuracy[source=s0]", "accuracy[source=s1]", "clean_accuracy"]):
            entry.run.results.create(
                position=position, key=f"transfer.{key}", value=value, low=0.05, high=0.99, n=9, state="ok", **common
            )
    html = organiser.get(PAGE).content.decode()
    assert html.count('class="r heat-0 own"') == html.count('class="r heat-7 own"') == 1
    assert html.count("0.950") == html.count("0.100") == 3
    assert "0.050 – 0.990" in html
    assert "hx-trigger" not in html.partition('id="matrices"')[2].partition("<section")[0]


def test_asking_cancelling_and_taking_home(world, organiser, models) -> None:
    refused = organiser.post(PAGE, {"phase": "main", **ASKED, "eps": "nothing"})
    assert refused.status_code == 422
    alone = organiser.post(PAGE, {"phase": "main", **ASKED})
    assert alone.status_code == 422  # nobody is on the board
    assert "two submissions or more" in alone.content.decode()
    assert not Matrix.objects.exists()

    phase = world.public.phases.select_related("competition").get(slug="main")
    made = matrix_create(
        user=world.organiser, phase=phase, parameters={"attack": "pgd", "eps": 0.1}, submissions=[m.pk for m in models]
    )
    table = b"".join(organiser.get(f"{PAGE}{made.pk}.csv")).decode()
    assert table.splitlines()[0].startswith("source,source_submission,target,")
    assert len(json.loads(organiser.get(f"{PAGE}{made.pk}.json").content)["rows"]) == 4
    done = organiser.post(f"{PAGE}{made.pk}/cancel/", follow=True)
    assert "Cancelled" in done.content.decode()
    assert world.client("participant").post(f"{PAGE}{made.pk}/cancel/").status_code == 404
    assert organiser.get(f"/c/secret-one/transfer/{made.pk}.csv").status_code == 404
