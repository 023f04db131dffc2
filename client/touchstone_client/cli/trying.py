"""test: the platform's judge on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from touchstone_client.cli import output, render
from touchstone_client.cli.checks import described
from touchstone_client.cli.group import Session, connect
from touchstone_client.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from touchstone_client.artifact import Artifact
    from touchstone_client.describing import Description
    from touchstone_client.trying import Trial


def add_to(app: typer.Typer) -> None:
    app.command("test")(try_out)


def try_out(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="PATH|IMAGE", help="What you would submit.")] = ".",
    competition: Annotated[
        str,
        typer.Option("--competition", "-c", metavar="COMPETITION/PHASE", help="Default: as the folder's settings say."),
    ] = "",
    kind: Annotated[str, typer.Option(help="predictions, model, code or container. Default: by what it is.")] = "",
    engine: Annotated[str, typer.Option(help="docker, bubblewrap, or auto: the first that works.")] = "auto",
    split: Annotated[str, typer.Option(help="Public data to try on. Default: sample.")] = "",
    metric: Annotated[
        list[str] | None, typer.Option(help="Measure this metric only. Repeatable. Default: all of the competition.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the server anew what the competition is like.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a submission here as the platform does: the same sandbox, limits and metrics, on public data.

    Needs `pip install 'touchstone-client[local]'`, and Docker or (Linux) bubblewrap. Exit code 3 where it fails, 7
    where it has defects. What it prints comes live, on stderr.

    \b
    touchstone test my-model/
    touchstone test model.onnx -c garments/development --metric performance.accuracy
    touchstone test my-image:1 -c garments --engine docker --json
    """
    from touchstone_client.artifact import artifact_of
    from touchstone_client.checking import check_submission
    from touchstone_client.trying import ENGINES, check_installed, trial_split, try_submission

    if engine not in ENGINES:
        raise typer.BadParameter(f"{engine!r} is none of {', '.join(ENGINES)}", param_hint="--engine")
    check_installed()
    artifact = artifact_of(what, kind=kind)
    description, phase = described(ctx, artifact, competition, refresh=refresh)
    checked = check_submission(artifact, description, phase=phase)
    for defect in checked.defects:
        output.talk(output.defect_line(defect))
    if not checked.ok:
        raise typer.Exit(ExitCode.INVALID)
    if artifact.kind == "predictions" and not split:
        _only_checked(artifact, checked.phase, json)
        return
    chosen = trial_split(description, split)
    data = _data(ctx, description, chosen)
    session: Session = ctx.obj
    session.interrupted = "The run here was stopped; nothing was sent."
    with _watching() as emit:
        trial = try_submission(
            artifact, description, data=data, split=chosen, engine=engine, metrics=tuple(metric or ()), emit=emit
        )
    _print(trial, description, json)
    if not trial.ok:
        raise typer.Exit(ExitCode.SUBMISSION_FAILED)


def _only_checked(artifact: Artifact, phase: str, json: bool) -> None:
    output.talk(f"{artifact.name} has no defects. Nothing ran: the right answers of the phase {phase} are not public.")
    output.talk("A file that answers for a public split is scored with --split NAME.")
    if json:
        output.as_json({"trial": None, "ok": True})


def _data(ctx: typer.Context, description: Description, split: str) -> Any:
    from touchstone_client.describing import ensure_data

    held = description.data(split)
    if held is not None:
        return held
    from touchstone_client.cli.progress import bar

    with connect(ctx, need_token=False, patience=5.0) as client, bar(split) as progress:
        return ensure_data(client, description, split, progress=progress)


@contextmanager
def _watching() -> Iterator[Callable[[Any], None]]:
    """What happens, as it happens: stages and the submission's own output as lines, progress in place."""
    if not sys.stderr.isatty():
        yield lambda event: _say(event)
        return
    with output.console(stderr=True).status("starting …") as status:

        def show(event: Any) -> None:
            if event.kind == "progress":
                status.update(output.printable(event.message))
            else:
                _say(event)

        yield show


def _say(event: Any) -> None:
    if event.kind == "log":
        for line in str(event.data.get("text") or event.message).rstrip("\n").splitlines():
            output.talk(f"  | {line}")
    elif event.kind in ("stage", "note"):
        output.talk(f"  {event.message}")


def _print(trial: Trial, description: Description, json: bool) -> None:
    if json:
        output.as_json({"ok": trial.ok, "trial": trial})
    elif trial.results:
        render.metric_table(trial.results)
    if not trial.ok:
        output.talk(f"It failed here ({trial.verdict}), and would there: {trial.message}")
        if trial.hint:
            output.talk(f"  next: {trial.hint}")
        return
    split = description.split(trial.split)
    count = f"{split.n_items} items of " if split is not None else ""
    output.talk(f"It works: {trial.name}, in {trial.engine or 'no sandbox'}, on {count}the public split {trial.split}.")
    if trial.not_enforced:
        output.talk(f"Not enforced here: {', '.join(trial.not_enforced)}.")
    output.talk(
        "What this says: it starts, answers and keeps the limits. What it does not: your score there, which is "
        "measured on other data; and how fast it is, which depends on the machine."
    )
