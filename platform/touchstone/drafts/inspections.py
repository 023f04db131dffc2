"""A look into the data of a draft: at once where they are few, else as a job that no lost message can stop.

Organisers' files are opened by `runners.data.inspection` in a process of its own, under limits; here only its report
is read, and pictures that it made are stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.core.clock import now
from touchstone.core.errors import NotFound
from touchstone.core.limited import LimitedTimeout, run_limited
from touchstone.core.storage import blob_local, blob_put
from touchstone.core.tasks import enqueue
from touchstone.core.text import clean_json
from touchstone.drafts.models import DataInspection, Draft, DraftFile
from touchstone.drafts.selectors import Viewer, draft_bodies, draft_get

log = structlog.get_logger(__name__)

TASK = "touchstone.data_inspect"
_MODULE = "runners.data.inspection"
_SECONDS = 900
#: Data up to this are looked at within the request: it takes about a second, which is less than a job waits.
AT_ONCE_BYTES, AT_ONCE_FILES = 16 * 2**20, 500
#: What unpacks to much more than it is takes longer: it goes to a job then, and keeps no reader of pages waiting.
_AT_ONCE_SECONDS = 20
_ATTEMPTS = 3
_RESEND = timedelta(seconds=30)
_LARGEST_PICTURE = 2**18
State = DataInspection.State


def data_files(*, draft: Draft) -> dict[str, dict[str, DraftFile]]:
    """Split → name in the split → file, of the splits that the draft has now."""
    splits = draft_bodies(draft=draft)["data"]["splits"]
    found: dict[str, dict[str, DraftFile]] = {str(entry.get("name")): {} for entry in splits if isinstance(entry, dict)}
    for file in DraftFile.objects.filter(draft=draft, path__startswith="data/"):
        split, _slash, name = file.path.removeprefix("data/").partition("/")
        if split in found and name:
            found[split][name] = file
    return found


def data_digest(files: dict[str, dict[str, DraftFile]]) -> str:
    """A digest of all files of all splits: another one, and a report is out of date."""
    rows = [[split, name, file.sha256] for split, each in sorted(files.items()) for name, file in sorted(each.items())]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def inspection_get(*, draft: Draft) -> DataInspection | None:
    """The look into a draft's data, if there ever was one."""
    return DataInspection.objects.filter(draft=draft).first()


def split_found(*, draft: Draft) -> dict[str, dict[str, Any]]:
    """What was found in each split, empty where nothing was looked at yet."""
    row = inspection_get(draft=draft)
    found: dict[str, dict[str, Any]] = (row.report or {}).get("splits", {}) if row else {}
    return found


def inspection_request(*, draft: Draft, user: User) -> DataInspection:
    """Have the data looked at: few of them at once, more by a job. Raises `NotFound`."""
    draft = draft_get(user=user, id=draft.pk)
    files = data_files(draft=draft)
    flat = [file for each in files.values() for file in each.values()]
    fields = {
        "state": State.WAITING, "digest": data_digest(files), "attempts": 0, "message": "", "wanted_at": now(),
        "lease_until": None, "finished_at": None,
    }  # fmt: skip
    with transaction.atomic():
        row, _new = DataInspection.objects.update_or_create(draft=draft, defaults=fields)
        small = len(flat) <= AT_ONCE_FILES and sum(file.size for file in flat) <= AT_ONCE_BYTES
        if not small:
            enqueue(TASK, str(draft.pk))
    if small:
        inspection_run(draft_id=draft.pk, seconds=_AT_ONCE_SECONDS)
        row.refresh_from_db()
    return row


def inspection_run(*, draft_id: UUID | str, seconds: float = _SECONDS) -> None:
    """Look at the data of a draft whose look waits. Safe to repeat: a second one finds nothing to do.

    With fewer `seconds` than a job has, what takes longer is left to one.
    """
    moment = now()
    free = Q(state=State.WAITING) | Q(state=State.RUNNING, lease_until__lt=moment)
    lease = moment + timedelta(seconds=_SECONDS + 60)
    taken = DataInspection.objects.filter(free, draft_id=draft_id, attempts__lt=_ATTEMPTS).update(
        state=State.RUNNING, lease_until=lease, attempts=F("attempts") + 1
    )
    if not taken:
        return
    files = data_files(draft=Draft.objects.get(pk=draft_id))
    fields: dict[str, Any] = {"state": State.DONE, "message": "", "finished_at": now(), "digest": data_digest(files)}
    try:
        report = _look(files, seconds)
    except LimitedTimeout:
        if seconds < _SECONDS:
            _leave(draft_id, lease)
            return
        text = f"The data could not be read within {_SECONDS // 60} minutes. Use Parquet or npz, or fewer items."
        fields |= {"state": State.FAILED, "message": text}
    except _Ended as error:
        log.warning("data_inspect.ended", draft=str(draft_id), error=str(error))
        text = "The data could not be read: reading them took too much memory or broke off. Use smaller files."
        fields |= {"state": State.FAILED, "message": text}
    else:
        fields |= {"report": clean_json(report), "report_digest": fields["digest"]}
    # Only who holds the lease writes: files may have changed, and a new look been asked for.
    DataInspection.objects.filter(draft_id=draft_id, state=State.RUNNING, lease_until=lease).update(
        **fields | {"finished_at": now(), "lease_until": None}
    )


def inspections_sweep() -> int:
    """Send again what waits too long or was left behind; give up what failed too often. Returns how many."""
    moment = now()
    stuck = Q(state=State.WAITING, wanted_at__lt=moment - _RESEND) | Q(state=State.RUNNING, lease_until__lt=moment)
    text = "The data could not be looked at: the process that read them ended three times. Use smaller files."
    DataInspection.objects.filter(stuck, attempts__gte=_ATTEMPTS).update(
        state=State.FAILED, message=text, finished_at=moment, lease_until=None
    )
    keys = list(DataInspection.objects.filter(stuck).values_list("draft_id", flat=True)[:100])
    for key in keys:
        enqueue(TASK, str(key))
    return len(keys)


def picture_get(*, user: Viewer, draft_id: UUID, sha256: str) -> str:
    """The digest of a picture of the draft's report, for who may work on it. Raises `NotFound`."""
    found = split_found(draft=draft_get(user=user, id=draft_id))
    for facts in found.values():
        if any(shown.get("sha256") == sha256 for shown in (facts.get("inputs") or {}).get("pictures", [])):
            return sha256
    raise NotFound(_("The draft has no such picture."))


class _Ended(Exception):
    """The process that looked ended with an error."""


def _leave(draft_id: UUID | str, lease: datetime) -> None:
    """Give a look that was begun to a job."""
    held = DataInspection.objects.filter(draft_id=draft_id, state=State.RUNNING, lease_until=lease)
    with transaction.atomic():
        if held.update(state=State.WAITING, lease_until=None, attempts=0, wanted_at=now()):
            enqueue(TASK, str(draft_id))


def _look(files: dict[str, dict[str, DraftFile]], seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="touchstone-inspect-") as work, contextlib.ExitStack() as held:
        folder = Path(work)
        (folder / "out").mkdir()
        named = {
            split: [
                {"name": name, "path": str(held.enter_context(blob_local(sha256=file.sha256)).resolve())}
                for name, file in sorted(each.items())
            ]
            for split, each in files.items()
        }
        (folder / "manifest.json").write_text(json.dumps({"splits": named}), encoding="utf-8")
        ended = run_limited(_MODULE, str(folder / "manifest.json"), str(folder / "out"), folder=folder, seconds=seconds)
        if ended.code != 0:
            raise _Ended(f"status {ended.code}: {ended.last_line}")
        report: dict[str, Any] = json.loads(ended.out)
        for shown in _pictures(report):
            _store_picture(shown, folder / "out")
        return report


def _pictures(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for facts in report["splits"].values():
        yield from (facts["inputs"] or {}).get("pictures", [])


def _store_picture(shown: dict[str, Any], out: Path) -> None:
    """Replace the file of a picture in the report by the digest of what is stored."""
    path = out / Path(str(shown.pop("file"))).name
    with path.open("rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n" or path.stat().st_size > _LARGEST_PICTURE:
            return
        file.seek(0)
        shown["sha256"] = blob_put(file=file).sha256
