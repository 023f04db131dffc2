"""submit: from a file to a score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import job, output, render
from touchstone_client.cli.group import Session, connect
from touchstone_client.cli.target import seconds, target_names, target_of
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.artifact import Artifact
    from touchstone_client.sdk import Client
    from touchstone_client.types import Competition, Phase, Submission

_FORM = "COMPETITION/PHASE"


_Target = Annotated[
    str,
    typer.Argument(
        metavar=f"[{_FORM}]", help="Where to submit. Without a phase: the open one. Without both: your settings."
    ),
]
_What = Annotated[
    str,
    typer.Argument(
        metavar="PATH|IMAGE|URL",
        help="A file, a folder, an image that Docker here or the platform has, an address.",
    ),
]
_Kind = Annotated[str, typer.Option(help="predictions, model, code, container or endpoint. Default: by what is sent.")]
_Image = Annotated[str, typer.Option(help="An image that you pushed: the name that `touchstone image push` prints.")]
_Credential = Annotated[
    str, typer.Option(metavar="NAME", help="Of an endpoint that asks for one: see touchstone credential add.")
]
_Key = Annotated[str, typer.Option(help="The same key never submits twice; use the job's id in CI.")]
_FailUnder = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Exit 8 where this result misses the value. Repeatable; needs --wait."),
]
_Summary = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the outcome as Markdown. In a job of GitHub it is on the job's page."),
]


def add_to(app: typer.Typer) -> None:
    app.command()(job.reported(submit))


def submit(
    ctx: typer.Context,
    target: _Target,
    what: _What = "",
    kind: _Kind = "",
    image: _Image = "",
    model: Annotated[str, typer.Option(help="Of an endpoint: what stands in /v2/models/NAME.")] = "model",
    credential: _Credential = "",
    name: Annotated[str, typer.Option(help="A name for it; your team and the organisers see it.")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="A note for yourself.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result.")] = False,
    timeout: Annotated[str, typer.Option(help="Longest wait, such as 90s or 30m. The run goes on afterwards.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    idempotency_key: _Key = "",
    fail_under: _FailUnder = None,
    summary: _Summary = None,
) -> None:
    """Send a submission; with --wait, watch it until it is scored.

    Prints the id, so that other commands can follow it. A transfer that breaks off goes on where it was when the same
    command is run again.

    \b
    touchstone submit garments/development predictions.csv --wait
    touchstone submit garments/development my-model/ -m "wider net"
    touchstone submit garments model.onnx --wait --fail-under performance.accuracy=0.8
    touchstone submit garments/development my-image:1
    touchstone submit garments/development https://models.example.org/mine --credential hf --wait
    """
    from touchstone_client.artifact import artifact_of
    from touchstone_client.cli.threshold import parse

    session: Session = ctx.obj
    if not what and not image:
        target, what = "", target
    thresholds = parse(fail_under or [], waiting=wait)
    longest = seconds(timeout)
    artifact = artifact_of(what, kind=kind, image=image)
    names = target_names(target_of(target, artifact), parts=2, form=_FORM)
    with connect(ctx, competition=names[0]) as client:
        competition, phase = _ready(client, names, artifact, repeated=bool(idempotency_key))
        session.interrupted = "Run the same command again: it goes on where it was, and nothing is sent twice."
        about = (model, credential) if artifact.url else ()
        sent = _send(client, competition, phase, artifact, *about, name=name, message=message, key=idempotency_key)
        session.interrupted = f"The run goes on: touchstone status {sent.id} --watch"
        _tell_sent(client, sent)
        if wait:
            job.finish(
                client, sent, boards=competition.leaderboards, timeout=longest, json=json, thresholds=thresholds,
                summary=summary,
            )  # fmt: skip
        elif json:
            output.as_json({"submission": sent})
        else:
            output.data(sent.id)


def _ready(client: Client, names: Sequence[str], artifact: Artifact, *, repeated: bool) -> tuple[Competition, Phase]:
    """Where it goes, once nothing speaks against it. A repeated one was taken already, whatever is open now."""
    competition = client.competition(names[0])
    phase = _phase(competition, names[1] if len(names) > 1 else "")
    _preflight(competition, artifact)
    if not repeated:
        _check_open(competition, phase)
        _check_quota(client, competition, phase)
    return competition, phase


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


def _preflight(competition: Competition, artifact: Artifact) -> None:
    """Refuses what the server would refuse too, before a long upload rather than after it."""
    if not competition.joined:
        raise ClientError(
            f"You do not take part in {competition.slug}",
            hint=f"touchstone competitions join {competition.slug} --accept-terms",
            code="not_joined",
            exit_code=ExitCode.AUTH,
        )
    if artifact.kind not in competition.kinds:
        raise ClientError(
            f"{competition.slug} takes no {artifact.kind} submissions",
            why=f"it takes: {', '.join(competition.kinds)}",
            hint="If the file is of one of these kinds, say so with --kind.",
            code="kind_not_allowed",
            exit_code=ExitCode.INVALID,
        )
    _check_size(competition, artifact.file())


def _check_size(competition: Competition, path: Path | None) -> None:
    if path is not None and competition.max_size and path.stat().st_size > competition.max_size:
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
    """Says what is left, and ends where nothing is."""
    quota = client.quota(competition.slug, phase.slug)
    if 0 not in (quota.remaining_today, quota.remaining_total):
        if line := render.quota_line(quota):
            output.talk(f"Before: {line}")
        return
    raise ClientError(
        f"Your submissions to {competition.slug}/{phase.slug} are used up",
        why=render.quota_line(quota),
        hint="Wait until the day (UTC) is over."
        if quota.remaining_total != 0
        else "This phase takes no more from you.",
        code="over_quota",
        exit_code=ExitCode.QUOTA_OR_CLOSED,
    )


def _send(
    client: Client,
    competition: Competition,
    phase: Phase,
    artifact: Artifact,
    model: str = "",
    credential: str = "",
    *,
    name: str,
    message: str,
    key: str,
) -> Submission:
    from touchstone_client.artifact import sendable
    from touchstone_client.cli.progress import bar
    from touchstone_client.packing import sha256_file
    from touchstone_client.pending import fingerprint, pending

    # A tag may mean another image by the next try: what is resumed is known by the digest.
    image = client.image_named(competition.slug, artifact.image)
    endpoint = {"url": artifact.url, "model": model, "credential": credential} if artifact.url else None
    with sendable(artifact) as file:
        _check_size(competition, file)
        made = file is not None and file != artifact.file()
        what = sha256_file(file) if made and file is not None else fingerprint(file)
        parts = (
            client.url,
            competition.slug,
            phase.slug,
            artifact.kind,
            artifact.name,
            what or image,
            name,
            message,
            str(endpoint),
        )
        with pending(*parts) as own, bar(artifact.name) as progress:
            return client.submit(
                competition.slug,
                phase.slug,
                file,
                name=artifact.name if file is not None else "",
                kind=artifact.kind,
                image=image,
                endpoint=endpoint,
                title=name,
                message=message,
                idempotency_key=key or own,
                progress=progress,
            )


def _tell_sent(client: Client, sent: Submission) -> None:
    place = f", place {sent.queue_position} in the queue" if sent.queue_position else ""
    output.talk(f"Submitted {sent.id} ({sent.kind}) to {sent.competition}/{sent.phase}{place}: {sent.url}")
    try:
        left = render.quota_line(client.quota(sent.competition, sent.phase))
    except ClientError as error:  # an extra: it was made, and whoever is told otherwise makes another
        output.talk(f"Note: what is left cannot be read: {error}")
        return
    if left:
        output.talk(f"After: {left}")
