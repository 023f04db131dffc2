"""What is typed: COMPETITION/PHASE, or as the settings say where it is left out; and how long something may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from touchstone_client.cli.group import split_target
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.artifact import Artifact


def target_names(target: str, *, parts: int, form: str, fill: bool = True) -> list[str]:
    """The names in `target`; where it is empty, those of the settings. `fill`: a phase that is left out, too.

    Raises `ClientError` (exit 2) where nothing says which competition.
    """
    from touchstone_client import settings

    if target:
        names = split_target(target, parts=parts, form=form)
        if len(names) > 1 or not fill or parts < 2:
            return names
        told = settings.look_up("competition").value
        phase = settings.look_up("phase").value if told == names[0] else ""
        return [*names, phase] if phase else names
    competition = settings.look_up("competition").value
    if not competition:
        raise ClientError(
            "Which competition is not said",
            hint=f"Write it as {form}, or set it once: touchstone config set competition NAME",
            code="no_competition",
            exit_code=ExitCode.USAGE,
        )
    phase = settings.look_up("phase").value
    return [competition, phase] if phase and parts > 1 else [competition]


def target_of(target: str, artifact: Artifact) -> str:
    """`target`, or what the settings of the folder that is sent say, such as one of `touchstone init`."""
    from touchstone_client import settings

    path = artifact.path
    if target or path is None:
        return target
    own = settings.read((path if path.is_dir() else path.parent) / settings.PROJECT_FILE)
    return "/".join(part for part in (own.get("competition", ""), own.get("phase", "")) if part)


def seconds(text: str, *, option: str = "--timeout") -> float | None:
    """`90s`, `30m` or a number of seconds; None where nothing is typed. Raises usage errors for anything else."""
    if not text:
        return None
    from runners.spec.values import parse_duration

    try:
        value = float(text) if text.replace(".", "", 1).isdecimal() else float(str(parse_duration(text)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if value <= 0:
        raise typer.BadParameter("must be above 0", param_hint=option)
    return value
