"""Runs as people watch them: states while waiting, results as a table, failures explained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from touchstone_client.cli import output
from touchstone_client.cli.threshold import Threshold, missed
from touchstone_client.errors import ExitCode
from touchstone_client.figures import number

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.types import EventPage, MetricValue, Quota, Results, Submission


def watch(client: Client, submission_id: str, *, timeout: float | None = None) -> Submission:
    """Waits for the end and tells states, stages and the place in the queue on stderr as they change."""
    said = ""

    def tell(page: EventPage) -> None:
        nonlocal said
        for event in page.items:
            if event.kind in ("status", "stage", "note"):
                output.talk(f"  {event.at:%H:%M:%S}  {event.message}")
        queued = f"  waiting, place {page.queue_position} in the queue" if page.queue_position else ""
        if queued and queued != said:
            output.talk(queued)
        said = queued

    return client.wait(submission_id, timeout=timeout, on_change=tell)


def outcome(client: Client, done: Submission, *, json: bool, thresholds: Sequence[Threshold] = ()) -> None:
    """Prints a finished submission and exits with 3 where it failed, 8 where a threshold is missed."""
    results = client.results(done.id)
    misses = missed(list(thresholds), results) if done.status == "scored" else []
    if json:
        output.as_json({"submission": done, "results": results, "missed": misses})
    else:
        show(done, results)
    for text in misses:
        output.talk(f"Threshold missed: {text}")
    if done.status != "scored":
        raise typer.Exit(ExitCode.SUBMISSION_FAILED)
    if misses:
        raise typer.Exit(ExitCode.THRESHOLD)


def show(done: Submission, results: Results) -> None:
    """The outcome for a person: results, or why there are none."""
    if done.status == "scored":
        table(results)
    else:
        explain(done)
    if done.url:
        output.talk(f"Page: {done.url}")


def explain(done: Submission) -> None:
    """What happened, why, and the next step."""
    reason = done.verdict or done.code
    output.talk(f"The submission was not scored: {done.status}{f' ({reason})' if reason else ''}")
    if done.explanation is not None:
        for name, text in (
            ("what", done.explanation.what),
            ("why", done.explanation.why),
            ("next", done.explanation.next),
        ):
            if text:
                output.talk(f"  {name}: {text}")


def table(results: Results) -> None:
    """Results, one a row, and what is held back."""
    metric_table(results.items)
    if results.note:
        output.talk(results.note)


def metric_table(items: Sequence[MetricValue]) -> None:
    """Values, one a row, with their intervals. On a terminal, those that do not apply are counted and not listed."""
    applying = [item for item in items if item.state != "not_applicable"]
    shown = applying if applying and sys.stdout.isatty() else items
    rows = [
        (
            item.key, value(item), interval(item), item.n, item.unit, item.direction, item.state, item.reason,
            validity(item.verdict, item.doubts),
        )
        for item in shown
    ]  # fmt: skip
    columns = ["key", "value", "95 % interval", "n", "unit", "direction", "state", "reason", "validity"]
    output.table(columns, rows, dispensable=["direction"])
    if len(shown) < len(items):
        output.talk(f"{len(items) - len(shown)} more do not apply to this submission; --json has them and says why.")


def value(item: MetricValue) -> str:
    return "-" if item.value is None else number(item.value)


def interval(item: MetricValue) -> str:
    return "-" if item.low is None or item.high is None else f"{number(item.low)} to {number(item.high)}"


def validity(verdict: str, doubts: Sequence[str]) -> str:
    """`suspect (black box control, zero gradients)`: whether a number under attack may be believed; else empty."""
    names = ", ".join(doubt.partition(": ")[0] for doubt in doubts)
    return f"{verdict} ({names})" if names else verdict


def quota_line(quota: Quota) -> str:
    """`3 of 5 left today, resets 2026-01-01 00:00 UTC; 97 of 100 left in all`, or nothing where there is no limit."""
    texts = []
    if quota.per_day is not None:
        reset = f", resets {output.cell(quota.resets_at)}" if quota.resets_at else ""
        texts.append(f"{quota.remaining_today} of {quota.per_day} left today{reset}")
    if quota.total is not None:
        texts.append(f"{quota.remaining_total} of {quota.total} left in all")
    return "; ".join(texts)
