"""From a bundle this repository has never seen to the right scores, by the command line, Celery and a real node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from livekit import (
    Live,
    answers,
    build_image,
    code,
    competition,
    ended,
    publish,
    push,
    remove_image,
    scores,
    submit_code,
)

from scripts.competitions.build_replay import Replay, build_compas, build_ffpp, ffpp_cases


def _replay(live: Live, replay: Replay) -> dict[str, float | None]:
    """Push, join and submit with the `touchstone` command; the scores."""
    live.person("organiser", organise=True)
    live.person("replayer")
    pushed = live.cli("competition", "push", str(replay.bundle), token=live.tokens["organiser"])
    assert pushed.returncode == 0, pushed.stderr
    joined = live.cli("competitions", "join", replay.slug, "--accept-terms", token=live.tokens["replayer"])
    assert joined.returncode == 0, joined.stderr
    target = f"{replay.slug}/{replay.phase}"
    done = live.cli("submit", target, str(replay.predictions), "--wait", "--json", token=live.tokens["replayer"])
    assert done.returncode == 0, done.stderr
    return {item["key"]: item["value"] for item in json.loads(done.stdout)["results"]["items"]}


def test_compas_rates_are_those_published(live: Live, tmp_path: Path) -> None:
    replay = build_compas(tmp_path)

    found = _replay(live, replay)

    assert replay.expected
    assert {key: round(found[key] or 0, 4) for key in replay.expected} == replay.expected


@pytest.mark.parametrize("attribute", list(ffpp_cases()))
def test_confusion_matrices_give_the_printed_values(live: Live, tmp_path: Path, attribute: str) -> None:
    replay = build_ffpp(attribute, tmp_path)

    found = _replay(live, replay)

    accuracy = "performance.balanced_accuracy"
    printed = {key: value for key, value in replay.expected.items() if key != accuracy}
    assert len(printed) == 4
    assert {key: round(found[key] or 0, 2) for key in printed} == printed
    assert found[accuracy] == pytest.approx(replay.expected[accuracy], abs=0.0005)


def test_pushing_again_changes_nothing(live: Live, tmp_path: Path) -> None:
    replay = build_ffpp("race", tmp_path)
    organiser = live.person("organiser", organise=True)
    push(organiser, replay.bundle)

    again = push(organiser, replay.bundle)

    assert (again.created, again.changed) == (False, False)


def test_same_idempotency_key_submits_once(live: Live, tmp_path: Path) -> None:
    slug = publish(live, tmp_path)
    client = live.person()
    client.join(slug, accept_terms=True)
    file = tmp_path / "answers.csv"
    file.write_text(answers(wrong=4))

    sent = [client.submit(slug, "open", file, kind="predictions", idempotency_key="once") for _ in range(3)]

    assert len({item.id for item in sent}) == 1
    assert len(list(client.submissions(slug))) == 1
    assert ended(client, sent[0]).status == "scored"
    assert scores(client, sent[0])["performance.accuracy"] == pytest.approx(0.9)
    assert client.quota(slug).used_total == 1


def test_code_is_run_in_the_sandbox(live: Live, sandbox: str, tmp_path: Path) -> None:
    slug = publish(live, tmp_path)
    client = live.person()
    client.join(slug, accept_terms=True, display_name="Coder")

    done = ended(client, submit_code(client, slug, code(tmp_path / "code")))

    assert done.status == "scored", done.explanation
    assert scores(client, done)["performance.accuracy"] == 1.0
    board = client.leaderboard(slug, "open", "main")
    assert [row.participant for row in board.rows] == ["Coder"]


def test_container_is_run_by_the_engine(live: Live, docker_node: str, tmp_path: Path) -> None:
    slug = publish(live, tmp_path)
    client = live.person()
    client.join(slug, accept_terms=True)
    image = build_image(tmp_path / "image", "FROM touchstone/base:1\nCOPY main.py /app/main.py\n")

    done = ended(client, client.submit(slug, "open", image=image, kind="container"))
    remove_image(image)

    assert done.status == "scored", done.explanation
    assert scores(client, done)["performance.accuracy"] == 1.0


def test_container_archive_is_taken_in(live: Live, docker_node: str, tmp_path: Path) -> None:
    slug = publish(live, tmp_path)
    client = live.person()
    client.join(slug, accept_terms=True)
    image = build_image(tmp_path / "image", "FROM touchstone/base:1\nCOPY main.py /app/main.py\n")
    archive = tmp_path / "image.tar"
    subprocess.run([docker_node, "save", "--output", str(archive), image], check=True, timeout=300)
    remove_image(image)  # the node has to take it from the archive

    done = ended(client, client.submit(slug, "open", archive, kind="container"))

    assert done.status == "scored", done.explanation
    assert scores(client, done)["performance.accuracy"] == 1.0


def test_what_a_kind_cannot_give_is_not_applicable_and_says_why(live: Live, tmp_path: Path) -> None:
    attack = {"use": "robustness.attack", "as": "pgd", "attack": "pgd", "norm": "linf", "eps": 0.1, "items": 8}
    slug = publish(live, tmp_path, competition(metrics=[{"use": "performance.accuracy"}, attack]))
    client = live.person()
    client.join(slug, accept_terms=True)
    file = tmp_path / "answers.csv"
    file.write_text(answers())

    done = ended(client, client.submit(slug, "open", file, kind="predictions"))

    found = [item for item in client.results(done.id).items if item.metric == "robustness.attack"]
    assert found
    assert {(item.value, item.state) for item in found} == {(None, "not_applicable")}
    assert all(item.reason for item in found)
