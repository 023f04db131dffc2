"""The GitHub Action and the GitLab component, their own lines run by bash against a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.ci_issuer import GITLAB, ci_issuer
from tests.factories.ci_jobs import COMPONENT, ROOT, Ran, Runner, action, component, inputs_used
from tests.unit.api.api_helpers import token_for
from tests.unit.api.bundle_maker import predictions_csv
from touchstone.accounts.trusts import trust_create
from touchstone.config.settings.issuers import issuer_settings
from touchstone.submissions.models import Submission

if TYPE_CHECKING:
    from touchstone.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN = {"competition": "small", "phase": "now", "path": "predictions.csv"}
#: Each would leave a file if any shell read it.
HOSTILE = [
    """$(touch RAN)`touch RAN`'; touch RAN; '"; touch RAN; "\ntouch RAN\n&& touch RAN""",
    "--help",
    "${{ github.token }}$[[ inputs.url ]]$TOUCHSTONE_TOKEN",
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A machine on which the action's first step has been run: the client, installed from the action's own commit."""
    made = Runner(tmp_path_factory.mktemp("runner"))
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("client", "runners"):
        shutil.copytree(ROOT / name, made.folder / "checkout" / name, ignore=skip)
    place = str(made.folder / "checkout/client/ci/github")
    done = made.github(action().runs.steps[0], {}, GITHUB_ACTION_PATH=place)
    assert done.code == 0, done.said
    (made.work / "predictions.csv").write_text(predictions_csv())
    # What the job works on is none of our modules.
    (made.work / "json.py").write_text("raise SystemExit('the job is not to run this')\n")
    return made


@pytest.fixture
def submit(
    runner: Runner, server: str, as_paula: User, score: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Run the action's last step as paula; meanwhile a node scores what arrives with `value`."""
    token = token_for(as_paula, "read", "submit")

    def call(value: float | None = 0.75, **given: str) -> Ran:
        with _Scoring(score, value):
            job = {"GITHUB_RUN_ID": "7", "GITHUB_JOB": "test", "GITHUB_REPOSITORY": "lab/model", "GITHUB_SHA": "c0ffee"}
            step = action().runs.steps[-1]
            return runner.github(step, {"url": server, "token": token, **GIVEN, **given}, **job)

    return call


class _Scoring:
    """A node that scores the next submission, as long as the block runs."""

    def __init__(self, score: Callable[..., str], value: float | None) -> None:
        self._over = False
        self._thread = Thread(target=self._work, args=(score, value))

    def __enter__(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()

    def _work(self, score: Callable[..., str], value: float | None) -> None:
        import time

        from django.db import connection

        try:
            while not self._over and value is not None:
                waiting = Submission.objects.filter(run__status="received").first()
                if waiting is not None:
                    score(str(waiting.pk), value)
                    return
                time.sleep(0.05)
        finally:
            connection.close()


def test_the_files_have_the_keys_that_their_services_know() -> None:
    made = action()
    assert inputs_used(made.model_dump()) == set(made.inputs)
    assert {output.value.split(".")[1] for output in made.outputs.values()} == {"submit"}
    spec, jobs = component()
    assert inputs_used(jobs) == set(spec.inputs)
    only = {"token"}, {"stage", "job-name", "job-image"}
    assert set(made.inputs) - only[0] == set(spec.inputs) - only[1], "both take the same"


def test_a_job_submits_waits_and_tells(submit: Callable[..., Ran]) -> None:
    done = submit(**{"fail-under": "performance.accuracy=0.7"}, message="from CI")
    made = Submission.objects.get()
    assert done.code == 0, done.said
    assert done.outputs == {
        "id": str(made.pk), "state": "scored", "score": "0.75", "rank": "1", "url": done.outputs["url"],
    }  # fmt: skip
    assert done.outputs["url"].endswith(f"/s/{made.pk}/")
    for part in (
        "**Scored.**",
        "**Rank 1** of 1",
        "| 0.7500 | 0.6500 to 0.8500 |",
        "| met |",
        "commit c0ffee of lab/model",
    ):
        assert part in done.summary
    assert done.said.splitlines()[0].startswith("::stop-commands::")
    assert done.said.rstrip().splitlines()[-1] == done.said.splitlines()[0].replace("stop-commands::", "") + "::"


def test_a_repeated_job_submits_nothing_new_and_other_content_does(submit: Callable[..., Ran], runner: Runner) -> None:
    first = submit()
    assert submit().outputs["id"] == first.outputs["id"]
    (runner.work / "predictions.csv").write_text(predictions_csv(3))
    again = submit(0.5, **{"fail-under": "performance.accuracy=0.7"})
    (runner.work / "predictions.csv").write_text(predictions_csv())
    assert (again.code, again.outputs["state"]) == (8, "scored")
    assert "**missed**" in again.summary
    assert "This submission is not your best" in again.summary
    assert f"| 0.7500 | {chr(0x2212)}0.2500, intervals do not overlap |" in again.summary
    assert Submission.objects.count() == 2


def test_a_wait_that_is_too_short_leaves_the_id(submit: Callable[..., Ran]) -> None:
    done = submit(None, timeout="1s")
    assert done.code == 6, done.said
    assert (done.outputs["id"], done.outputs["state"]) == (str(Submission.objects.get().pk), "received")
    assert "Not ended yet" in done.summary


def test_what_is_refused_is_explained_in_the_summary(submit: Callable[..., Ran]) -> None:
    done = submit(None, phase="past")
    assert done.code == 5
    assert "**Not submitted.** The phase past closed at 2021-01-01" in done.summary
    assert submit(None, image="x").code == 2
    assert submit(None, wait="perhaps").code == 2


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_input_is_run_or_taken_for_an_option(runner: Runner, server: str, hostile: str) -> None:
    given = {name: hostile for name in action().inputs if name not in ("url", "version", "wait", "build", "image")}
    for what in ({"endpoint": ""}, {"path": ""}):
        done = runner.github(action().runs.steps[-1], {**given, "url": server, **what})
        assert done.code not in (0, 126, 127), done.said
        assert "Show this message" not in done.said
    assert not list(runner.folder.rglob("RAN"))


def test_the_gitlab_component_with_the_job_s_identity(
    runner: Runner, server: str, as_paula: User, score: Callable[..., str], tmp_path: Path, settings: Any
) -> None:
    """No token is stored: GitLab vouches for the job, and the server knows the repository."""
    given = {**GIVEN, "url": server, "version": str(runner.folder / "checkout/client"), "message": "$(touch RAN) 'it'"}
    job = {"CI_PIPELINE_ID": "3", "CI_JOB_NAME": "submit", "CI_COMMIT_SHA": "not this", "CI_PROJECT_PATH": "nor/this"}
    with ci_issuer(tmp_path / "ci", settings) as issuer:
        settings.TOUCHSTONE_OIDC_ISSUERS = issuer_settings(json.dumps([issuer.entry(kind="gitlab", name="GitLab")]))
        trust_create(
            user=as_paula, competition="small", issuer=issuer.url, repository="group/model", repository_id="55",
            owner_id="8", workflow=".gitlab-ci.yml",
        )  # fmt: skip
        with _Scoring(score, 0.75):
            done = runner.gitlab(given, TOUCHSTONE_ID_TOKEN=issuer.token(**GITLAB), **job)
        again = runner.gitlab({**given, "phase": "past"}, TOUCHSTONE_ID_TOKEN=issuer.token(aud="elsewhere"), **job)
    assert done.code == 0, done.said
    made = Submission.objects.get()
    assert done.outputs["TOUCHSTONE_ID"] == str(made.pk)
    assert (done.outputs["TOUCHSTONE_SCORE"], done.outputs["TOUCHSTONE_RANK"]) == ("0.75", "1")
    assert made.message == given["message"]
    for part in ("**Rank 1** of 1", " of group/model (refs/heads/main), ", "as the CI service vouches"):
        assert part in done.summary
    assert not list(runner.folder.rglob("RAN"))
    assert again.code == 4, again.said
    assert "**Not submitted.**" in again.summary


def test_the_strict_model_finds_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.factories import ci_jobs

    broken: list[tuple[str, Any, Any]] = [
        ("COMPONENT", "    - .touchstone-client/bin/python -I", "    - echo $[[ inputs.path ]]; x"),
        ("COMPONENT", "  stage:", "  stages:"),
        ("ACTION", "run: exec", "run: echo ${{ inputs.path }}; exec"),
        ("ACTION", "      shell: bash\n      env:", "      env:"),
    ]
    for name, old, new in broken:
        file = tmp_path / "broken.yml"
        original = ci_jobs.ACTION if name == "ACTION" else COMPONENT
        text = original.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        with monkeypatch.context() as patch:
            patch.setattr(ci_jobs, name, file)
            with pytest.raises(ValueError, match=r"extra|script|shell|stage"):
                ci_jobs.action() if name == "ACTION" else ci_jobs.component()
