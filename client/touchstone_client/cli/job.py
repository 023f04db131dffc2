"""What `submit --wait` tells a CI job besides results: how one stands now, what changed, and a summary in Markdown."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from touchstone_client.ci_service import STEP_SUMMARY, origin
from touchstone_client.cli import output, render
from touchstone_client.cli.threshold import Threshold, judged
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.summary import Judged, Origin
    from touchstone_client.types import BoardName, BoardRow, Results, Standing, Submission

_TOLD = "The submission was made, and the summary tells of it."


def finish(
    client: Client,
    sent: Submission,
    *,
    boards: Sequence[BoardName],
    timeout: float | None,
    json: bool,
    thresholds: Sequence[Threshold] = (),
    summary: Path | None = None,
) -> None:
    """Waits for the end, prints the outcome and writes the summary.

    Exits with 3 where it failed, 8 where a threshold is missed. Raises `WaitTimeout`, or whatever ends the wait;
    `--json` and the summary then tell where the run stands.
    """
    told = json or _wanted(summary)
    board = next((item for item in boards if item.phase == sent.phase), None) if told else None
    before = _standing(client, sent, board)
    previous = before.row if before is not None and before.row.submission != sent.id else None
    try:
        done = render.watch(client, sent.id, timeout=timeout)
        results = client.results(done.id)
    except ClientError as error:
        error.add_note(_TOLD)
        found = _now(client, sent)
        if json:
            output.as_json({"submission": found, "results": None, "missed": [], "standing": before})
        _write(summary, found, None, before, previous, ())
        raise
    verdicts = judged(thresholds, results) if done.status == "scored" else []
    standing = _standing(client, done, board) if done.status == "scored" else before
    _write(summary, done, results, standing, previous, verdicts)
    missed = [item.text for item in verdicts if not item.passed]
    if json:
        output.as_json({"submission": done, "results": results, "missed": missed, "standing": standing})
    else:
        render.show(done, results)
    for text in missed:
        output.talk(f"Threshold missed: {text}")
    if done.status != "scored":
        raise typer.Exit(ExitCode.SUBMISSION_FAILED)
    if missed:
        raise typer.Exit(ExitCode.THRESHOLD)


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, but where it is refused before anything is submitted, the summary says why."""

    @functools.wraps(command)
    def call(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except ClientError as error:
            if _TOLD in getattr(error, "__notes__", ()):
                raise
            from touchstone_client.summary import refusal_summary

            _append(options.get("summary"), refusal_summary(target=str(options.get("target", "")), error=error))
            raise

    return call


def _now(client: Client, sent: Submission) -> Submission:
    """How it stands, if the server still tells."""
    try:
        return client.submission(sent.id)
    except ClientError:
        return sent


def _wanted(summary: Path | None) -> bool:
    return summary is not None or bool(os.environ.get(STEP_SUMMARY))


def _standing(client: Client, sent: Submission, board: BoardName | None) -> Standing | None:
    """How one stands; None where that is not told. It is an extra: what goes wrong with it ends no job."""
    if board is None:
        return None
    from touchstone_client.standing import standing_of

    try:
        return standing_of(client, sent.competition, board.phase, board.slug, participant=sent.participant)
    except ClientError as error:
        output.talk(f"Note: the leaderboard cannot be read: {error}")
        return None


def _write(
    summary: Path | None,
    found: Submission,
    results: Results | None,
    standing: Standing | None,
    previous: BoardRow | None,
    verdicts: Sequence[Judged],
) -> None:
    if not _wanted(summary):
        return
    from touchstone_client.summary import job_summary

    told = job_summary(
        submission=found, results=results, board_row=standing, previous_best=previous, url=found.url,
        thresholds=verdicts, origin=_origin(found),
    )  # fmt: skip
    _append(summary, told)


def _origin(found: Submission) -> Origin:
    from touchstone_client.summary import Origin

    known = found.provenance
    if known:
        told = {name: str(known.get(name) or "") for name in ("commit", "repository", "ref")}
        return Origin(**told, job_url=str(known.get("run_url") or ""), verified=True)
    return origin(os.environ)


def _append(summary: Path | None, told: str) -> None:
    """To the file that was named, anew, and to the CI service's. A file that cannot be written ends no job."""
    service = os.environ.get(STEP_SUMMARY)
    for place, mode in ((summary, "w"), (Path(service) if service else None, "a")):
        if place is None:
            continue
        try:
            with Path(place).open(mode, encoding="utf-8") as file:
                file.write(told)
        except OSError as error:
            output.talk(f"Warning: the summary cannot be written to {place}: {error.strerror}")
