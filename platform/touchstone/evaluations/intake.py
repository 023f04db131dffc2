"""The intake check of a file: runs `runners.intake` under limits and reads its report."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from runners.contract import EndpointRef, dump
from touchstone.core.limited import Ended, LimitedTimeout, run_limited
from touchstone.core.warm import WarmPython

#: One for each process that checks files; the first check starts it.
#: What an endpoint's check may take, Python's start included; it gives up on an endpoint itself before that.
_ENDPOINT_S = 90.0
_WARM = WarmPython(preload="runners.intake.preload")


class IntakeBroken(Exception):
    """The check could not be made. Our fault, and so tried again."""


@dataclass(frozen=True)
class IntakeReport:
    """What the check found. `defects` are {code, message, where, hint}; none means the file is good."""

    defects: tuple[dict[str, Any], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def intake_check(
    *,
    kind: str,
    file: Path,
    name: str,
    spec: dict[str, Any],
    ids: Path | None,
    also: Path | None = None,
    seconds: float,
) -> IntakeReport:
    """Check one artifact. `name` is the name it gets for the check; `also`: ids of the validation split.

    Raises `IntakeBroken`.
    """
    with tempfile.TemporaryDirectory(prefix="touchstone-intake-") as folder:
        place = Path(folder)
        _link(file, place / name)
        (place / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        arguments = [kind, str(place / name), "--spec", str(place / "spec.json")]
        if ids is not None:
            arguments += ["--ids", str(ids)]
        if also is not None:
            arguments += ["--also", str(also)]
        try:
            return _read(_WARM.run("runners.intake", *arguments, folder=place, seconds=seconds))
        except LimitedTimeout as error:
            raise IntakeBroken(str(error)) from error


def endpoint_check(*, at: EndpointRef, spec: dict[str, Any]) -> IntakeReport:
    """Ask an endpoint for its metadata, and one made-up question. Raises `IntakeBroken`.

    In a process of its own, for it waits for a machine that nobody here knows; the file with the secret is its own,
    and gone with it.
    """
    with tempfile.TemporaryDirectory(prefix="touchstone-intake-") as folder:
        place = Path(folder)
        asked = {
            "at": dump(at), "allow": list(settings.TOUCHSTONE_OUTBOUND_ALLOW), "ca": settings.TOUCHSTONE_OUTBOUND_CA,
        }  # fmt: skip
        for name, content in (("endpoint.json", asked), ("spec.json", spec)):
            path = place / name
            path.touch(mode=0o600)
            path.write_text(json.dumps(content), encoding="utf-8")
        arguments = ["endpoint", str(place / "endpoint.json"), "--spec", str(place / "spec.json")]
        try:
            return _read(run_limited("runners.intake", *arguments, folder=place, seconds=_ENDPOINT_S))
        except LimitedTimeout as error:
            raise IntakeBroken(str(error)) from error


def intake_warm_up() -> None:
    """Have the first check find a warm process."""
    _WARM.start()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _read(ended: Ended) -> IntakeReport:
    """Exit 0 is good, 1 has defects; anything else is a check that could not be made."""
    if ended.code not in (0, 1):
        raise IntakeBroken(f"the check ended with status {ended.code}: {ended.last_line}")
    try:
        body = json.loads(ended.out)
        ok, defects, facts = bool(body["ok"]), tuple(body["defects"]), dict(body.get("facts") or {})
    except (ValueError, KeyError, TypeError) as error:
        raise IntakeBroken(f"the check ended with status {ended.code} and no report: {ended.last_line}") from error
    if ok == bool(defects) or ok != (ended.code == 0):
        raise IntakeBroken("the check contradicts itself: its status and its defects do not fit")
    return IntakeReport(defects, facts)
