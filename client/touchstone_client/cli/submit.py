"""submit: from a file to a score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output, render
from touchstone_client.cli.group import connect, split_target
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.types import Competition, Phase, Submission

_ENDINGS = {
    ".csv": "predictions",
    ".parquet": "predictions",
    ".onnx": "model",
    ".zip": "code",
    ".tar": "container",
    ".tar.gz": "container",
    ".tgz": "container",
}
_FORM = "COMPETITION/PHASE"


def add_to(app: typer.Typer) -> None:
    app.command()(submit)


def submit(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar=_FORM, help="Where to submit; without a phase: the one that is open.")
    ],
    path: Annotated[
        Path | None, typer.Argument(help="A file, or a folder with main.py, which is sent as code.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="predictions, model, container or code. Default: by the file's ending.")
    ] = "",
    image: Annotated[
        str, typer.Option(help="An image that you pushed: the name that `touchstone image push` prints.")
    ] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="A note for yourself.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result.")] = False,
    timeout: Annotated[str, typer.Option(help="Longest wait, such as 90s or 30m. The run goes on afterwards.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    idempotency_key: Annotated[
        str, typer.Option(help="The same key never submits twice; use the job's id in CI.")
    ] = "",
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Exit 8 where this result misses the value. Repeatable; needs --wait."),
    ] = None,
) -> None:
    """Send a submission; with --wait, watch it until it is scored."""
    from touchstone_client.cli.threshold import parse

    names = split_target(target, parts=2, form=_FORM)
    thresholds = parse(fail_under or [], waiting=wait)
    seconds = _seconds(timeout)
    kind = _kind(path, kind=kind, image=image)
    with connect(ctx) as client:
        competition = client.competition(names[0])
        phase = _phase(competition, names[1] if len(names) > 1 else "")
        _preflight(competition, kind=kind, path=path)
        if not idempotency_key:  # a repeated submission was taken already, whatever is open now
            _check_open(competition, phase)
            _check_quota(client, competition, phase)
        sent = _send(client, competition, phase, path, kind=kind, image=image, message=message, key=idempotency_key)
        _tell_sent(client, sent)
        if wait:
            render.outcome(client, render.watch(client, sent.id, timeout=seconds), json=json, thresholds=thresholds)
        elif json:
            output.as_json({"submission": sent})
        else:
            output.data(sent.id)


def _seconds(text: str) -> float | None:
    if not text:
        return None
    from runners.spec.values import parse_duration

    try:
        value = float(str(parse_duration(text)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
    if value <= 0:
        raise typer.BadParameter("must be above 0", param_hint="--timeout")
    return value


def _kind(path: Path | None, *, kind: str, image: str) -> str:
    """The kind that was named or that the file's ending tells. Raises usage errors for what cannot be sent."""
    if image:
        if path is not None:
            raise typer.BadParameter("give a file or --image, not both")
        return kind or "container"
    if path is None:
        raise typer.BadParameter("give a file or a folder, or --image IMAGE")
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist")
    guessed = "code" if path.is_dir() else _by_ending(path.name)
    if not kind and not guessed:
        raise typer.BadParameter(
            f"the ending of {path.name} does not tell what it is; add --kind predictions, model, container or code"
        )
    return kind or guessed


def _by_ending(name: str) -> str:
    return next((kind for ending, kind in _ENDINGS.items() if name.lower().endswith(ending)), "")


def _phase(competition: Competition, wanted: str) -> Phase:
    slug = wanted or competition.current_phase or ""
    found = next((phase for phase in competition.phases if phase.slug == slug), None)
    if found is not None:
        return found
    listed = ", ".join(f"{phase.slug} ({phase.state})" for phase in competition.phases)
    if not wanted:
        raise ClientError(
            f"{competition.slug} has no open phase",
            why=f"its phases: {listed}",
            hint=f"touchstone competitions show {competition.slug}",
            code="no_open_phase",
            exit_code=ExitCode.QUOTA_OR_CLOSED,
        )
    raise ClientError(
        f"{competition.slug} has no phase {wanted!r}",
        why=f"its phases: {listed}",
        hint=f"touchstone submit {competition.slug}/{competition.phases[0].slug} …",
        code="no_such_phase",
        exit_code=ExitCode.USAGE,
    )


def _preflight(competition: Competition, *, kind: str, path: Path | None) -> None:
    """Refuses what the server would refuse too, before a long upload rather than after it."""
    if not competition.joined:
        raise ClientError(
            f"You do not take part in {competition.slug}",
            hint=f"touchstone competitions join {competition.slug} --accept-terms",
            code="not_joined",
            exit_code=ExitCode.AUTH,
        )
    if kind not in competition.kinds:
        raise ClientError(
            f"{competition.slug} takes no {kind} submissions",
            why=f"it takes: {', '.join(competition.kinds)}",
            hint="If the file is of one of these kinds, say so with --kind.",
            code="kind_not_allowed",
            exit_code=ExitCode.INVALID,
        )
    _check_size(competition, path)


def _check_size(competition: Competition, path: Path | None) -> None:
    if path is not None and path.is_file() and competition.max_size and path.stat().st_size > competition.max_size:
        from touchstone_client.cli.progress import megabytes

        raise ClientError(
            f"{path} is too large",
            why=f"it has {megabytes(path.stat().st_size)}; {competition.slug} takes {megabytes(competition.max_size)}",
            hint="Send a smaller file.",
            code="too_large",
            exit_code=ExitCode.INVALID,
        )


def _check_open(competition: Competition, phase: Phase) -> None:
    if phase.state != "open":
        moment = phase.closes if phase.state == "closed" else phase.opens
        raise ClientError(
            f"The phase {competition.slug}/{phase.slug} is {'closed' if phase.state == 'closed' else 'not open yet'}",
            why=f"it {'closed' if phase.state == 'closed' else 'opens'} {output.cell(moment)}",
            hint=f"touchstone competitions show {competition.slug}",
            code="phase_closed" if phase.state == "closed" else "phase_not_open",
            exit_code=ExitCode.QUOTA_OR_CLOSED,
        )


def _check_quota(client: Client, competition: Competition, phase: Phase) -> None:
    quota = client.quota(competition.slug, phase.slug)
    if 0 in (quota.remaining_today, quota.remaining_total):
        raise ClientError(
            f"Your submissions to {competition.slug}/{phase.slug} are used up",
            why=render.quota_line(quota),
            hint="Wait until the day (UTC) is over."
            if quota.remaining_total != 0
            else "This phase takes no more from you.",
            code="over_quota",
            exit_code=ExitCode.QUOTA_OR_CLOSED,
        )


@contextmanager
def _artifact(path: Path | None) -> Iterator[Path | None]:
    if path is None or path.is_file():
        yield path
        return
    from touchstone_client.packing import packed

    if not (path / "main.py").is_file():
        raise ClientError(
            f"{path} has no main.py",
            why="a folder is sent as code, and code starts with main.py at its root",
            hint="Give the folder that holds main.py; or a file.",
            code="no_main",
            exit_code=ExitCode.INVALID,
        )
    with packed(path) as archive:
        yield archive


def _send(
    client: Client,
    competition: Competition,
    phase: Phase,
    path: Path | None,
    *,
    kind: str,
    image: str,
    message: str,
    key: str,
) -> Submission:
    from touchstone_client.cli.progress import bar

    with _artifact(path) as file, bar(path.name if path else image) as progress:
        return client.submit(
            competition.slug,
            phase.slug,
            file,
            name=_name(path, kind),
            kind=kind,
            image=image,
            message=message,
            idempotency_key=key,
            progress=progress,
        )


def _name(path: Path | None, kind: str) -> str:
    if path is None:
        return ""
    return f"{path.resolve().name}.zip" if path.is_dir() else path.name


def _tell_sent(client: Client, sent: Submission) -> None:
    output.talk(f"Submitted {sent.id} ({sent.kind}) to {sent.competition}/{sent.phase}: {sent.url}")
    quota = client.quota(sent.competition, sent.phase)
    left = render.quota_line(quota)
    if left:
        output.talk(left)
