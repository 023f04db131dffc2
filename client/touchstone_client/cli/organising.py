"""competition init, pull, export, rehearse, open, rerun: what organisers do besides check and push."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from touchstone_client.cli import output
from touchstone_client.cli.bundle import group
from touchstone_client.cli.group import connect
from touchstone_client.cli.target import seconds
from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.figures import number

if TYPE_CHECKING:
    from touchstone_client.organising_types import CheckValue, MadeUp, PublishCheck, Rerun

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Slug = Annotated[str, typer.Argument(metavar="COMPETITION", help="Its slug.")]
#: More than a competition's own files can be; what unpacks to more is no export.
_LARGEST = 2**40


def add_to(_app: typer.Typer) -> None:
    """Beside check and push."""
    for command in (init, export, pull, rehearse, rerun):
        group.command()(command)
    group.command("open")(open_to_others)


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="A folder that is not there yet.")] = Path(
        "my-competition"
    ),
    template: Annotated[str, typer.Option(help="tabular (all kinds, two phases, groups) or predictions.")] = "tabular",
    title: Annotated[str, typer.Option(help="Title. Default: by the folder's name.")] = "",
    json: _Json = False,
) -> None:
    """Write a competition with made-up data that is valid as it is: check it, push it, then make it yours.

    \b
    touchstone competition init my-competition
    """
    from touchstone_client.bundle_templates import bundle_write

    slug = bundle_write(folder, template=template, title=title)
    if json:
        output.as_json({"folder": str(folder), "competition": slug, "template": template})
        return
    output.talk(f"{folder} holds a competition called {slug}. Only you see it once it is pushed.")
    output.talk(f"Next: touchstone competition check {folder}, then touchstone competition push {folder}")
    output.data(str(folder))


def export(
    ctx: typer.Context,
    slug: _Slug,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="File to write. Default: COMPETITION.zip")] = None,
) -> None:
    """Save a competition as one zip, hidden data included. Pushing it again changes nothing.

    \b
    touchstone competition export garments
    """
    from touchstone_client.cli.progress import bar

    target = out or Path(f"{slug}.zip")
    with connect(ctx) as client, bar(target.name) as progress:
        client.export(slug, target, progress=progress)
    output.talk("It holds what participants may not see.")
    output.data(str(target))


def pull(
    ctx: typer.Context,
    slug: _Slug,
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Default: ./COMPETITION")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a folder with a bundle.")] = False,
) -> None:
    """Fetch a competition as a folder to edit, hidden data included, and push again.

    \b
    touchstone competition pull garments
    """
    from touchstone_client.cli.progress import bar

    target = folder or Path(slug)
    _refuse_foreign(target, replace=replace)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=target.parent, prefix=".pull-"))
    try:
        with connect(ctx) as client, bar(slug) as progress:
            client.export(slug, place / "bundle.zip", progress=progress)
        _unpack(place / "bundle.zip", place / "bundle")
        ctx.obj.interrupted = f"Nothing was lost: {target} is as it was, or wholly replaced."
        _put(place / "bundle", target, before=place / "before")
    finally:
        if target.exists() or not (place / "before").exists():
            shutil.rmtree(place, ignore_errors=True)
        else:
            output.talk(f"{target} as it was is in {place / 'before'}: move it back.")
    output.talk(f"Edit {target}, then: touchstone competition push {target}")
    output.data(str(target))


def _put(new: Path, target: Path, *, before: Path) -> None:
    """Put `new` in the place of `target`, which is kept at `before`, and put back where that does not come off."""
    try:
        if target.exists():
            os.replace(target, before)
        os.replace(new, target)
    except BaseException:
        if before.exists() and not target.exists():
            os.replace(before, target)
        raise


def _refuse_foreign(target: Path, *, replace: bool) -> None:
    """Nothing but an empty place, or a bundle that may be replaced, makes room."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if replace and (target / "competition.yml").is_file():
        return
    raise ClientError(
        f"{target} is there already",
        why="what you changed in it would be lost" if (target / "competition.yml").is_file() else "it is no bundle",
        hint="Name another folder; --replace takes the place of a bundle.", code="not_empty",
        exit_code=ExitCode.USAGE,
    )  # fmt: skip


def _unpack(archive: Path, folder: Path) -> None:
    """Files only, each inside the folder, and no more bytes than the archive says. Raises `ClientError`."""
    try:
        _unpack_files(archive, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ClientError(
            "The bundle that the server sent cannot be unpacked", why=str(error) or "it ends too soon",
            hint="Fetch it again. If it stays, tell who runs the server.", code="broken_bundle",
        ) from error  # fmt: skip


def _unpack_files(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as held:
        entries = [entry for entry in held.infolist() if not entry.is_dir()]
        if sum(entry.file_size for entry in entries) > _LARGEST:
            raise ClientError("The server's bundle is larger than any competition", code="unsafe_bundle")
        for entry in entries:
            name = PurePosixPath(entry.filename)
            if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or ":" in entry.filename:
                raise ClientError(f"The server names a file outside the folder: {name}", code="unsafe_name")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with held.open(entry) as source, target.open("xb") as sink:
                shutil.copyfileobj(source, sink)


def rehearse(
    ctx: typer.Context,
    slug: _Slug,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for the end; exit 3 where something was found, or nothing ever checked."),
    ] = False,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Begin anew, or show how it stands.")] = True,
    timeout: Annotated[str, typer.Option(help="Longest wait, such as 90s or 30m. The check goes on afterwards.")] = "",
    json: _Json = False,
) -> None:
    """Send made-up submissions of every phase through the real queue, and see that each is scored as it must be.

    One that knows nothing, one that is always the same, the truth, and a malformed one. Participants never see them.

    \b
    touchstone competition rehearse garments
    """
    with connect(ctx) as client:
        found = client.rehearse(slug) if start else client.rehearsal(slug)
        if wait and found.state == "running":
            found = client.rehearsal_wait(slug, timeout=seconds(timeout), on_change=_teller())
    if json:
        output.as_json({"check": found})
    else:
        _show(slug, found)
    if found.state == "failed" or (wait and found.state == "none"):  # who waits for a check has none that passed
        raise typer.Exit(ExitCode.SUBMISSION_FAILED)


def _teller() -> Callable[[PublishCheck], None]:
    said: set[str] = set()

    def tell(found: PublishCheck) -> None:
        for item in found.submissions:
            line = f"  {item.phase}: {item.sent}: {item.verdict or item.status}"
            if line not in said:
                said.add(line)
                output.talk(line)

    return tell


def _show(slug: str, found: PublishCheck) -> None:
    rows = [
        (item.phase, item.sent, item.expected, item.status, _verdict(item), _why(item)) for item in found.submissions
    ]
    if rows:
        output.table(["phase", "sent", "expected", "status", "verdict", "why"], rows, dispensable=["expected"])
    told = {
        "none": f"{slug} was not checked yet. Begin: touchstone competition rehearse {slug} --wait",
        "running": f"The check is under way: touchstone competition rehearse {slug} --no-start --wait",
        "passed": f"Version {found.version} passed. Let others see it: touchstone competition open {slug}",
    }
    output.talk(told.get(found.state, f"The check of version {found.version} found something."))
    if found.message:
        output.talk(f"  why: {found.message}")
        output.talk(f"  next: {found.hint}")
    if found.unchecked:
        output.talk(f"Not checked, for they need a model to ask: {', '.join(found.unchecked)}")


def _verdict(item: MadeUp) -> str:
    return item.verdict or "under way"


def _why(item: MadeUp) -> str:
    failed = [_wrong(value) for value in item.values if value.verdict == "failed"]
    return "; ".join(failed) or ("" if item.verdict == "passed" else item.message.partition("\n")[0])


def _wrong(value: CheckValue) -> str:
    shown = "-" if value.value is None else number(value.value)
    return f"{value.key} is {shown}, expected {value.expected}"


def open_to_others(
    ctx: typer.Context,
    slug: _Slug,
    reason: Annotated[
        str, typer.Option(help="Why, where the check did not pass or was not made. It is kept in the record.")
    ] = "",
    json: _Json = False,
) -> None:
    """Let others see a competition that only its organisers see. The rehearsal of its version must have passed.

    \b
    touchstone competition open garments
    """
    with connect(ctx) as client:
        found = client.open(slug, reason=reason)
        url = client.competition(slug).url
    if json:
        output.as_json({"check": found})
        return
    output.talk(f"{slug} is open since {output.cell(found.opened_at)}.")
    output.data(url)


def rerun(
    ctx: typer.Context,
    slug: _Slug,
    submission: Annotated[list[str] | None, typer.Option(help="Id of a submission. Repeatable.")] = None,
    phase: Annotated[str, typer.Option(help="All of this phase.")] = "",
    before_version: Annotated[
        int | None, typer.Option(min=1, help="All that an older version of the competition scored.")
    ] = None,
    metric: Annotated[str, typer.Option(help="All that were scored before this metric was changed.")] = "",
    reason: Annotated[str, typer.Option(help="Why; participants read it.")] = "",
    status: Annotated[str, typer.Option(metavar="ID", help="Show how far this rerun is, instead.")] = "",
    json: _Json = False,
) -> None:
    """Have submissions evaluated again, at nobody's quota. An old result stays until the new one is there.

    \b
    touchstone competition rerun garments --phase development --reason "The labels were mended"
    """
    given = [bool(submission), bool(phase), before_version is not None, bool(metric)]
    if not status and sum(given) != 1:
        raise typer.BadParameter("say which: one of --submission, --phase, --before-version and --metric")
    if not status and not reason:
        raise typer.BadParameter("say why: participants read it", param_hint="--reason")
    which: dict[str, Any] = {
        "submissions": submission or (),
        "phase": phase,
        "before_version": before_version,
        "metric": metric,
    }
    with connect(ctx) as client:
        found = client.rerun_status(slug, status) if status else client.rerun(slug, reason=reason, **which)
    if json:
        output.as_json({"rerun": found})
        return
    output.talk(_far(found))
    output.data(found.id)


def _far(found: Rerun) -> str:
    if found.over:
        return f"All {found.total} are done: {found.scored} scored, {found.failed} failed, {found.skipped} skipped."
    left = f"touchstone competition rerun {found.competition} --status {found.id}"
    return f"{found.scored} of {found.total} scored, {found.waiting + found.open} to go. How far it is: {left}"
