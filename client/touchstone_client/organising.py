"""What organisers do, as typed calls; a part of `Client`.

with Client("https://touchstone.example.org", token="ts_…") as client:
    client.push(Path("bundle.zip"))
    client.rehearse("my-competition")
    assert client.rehearsal_wait("my-competition", timeout=600).state == "passed"
    client.open("my-competition")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from touchstone_client import organising_types as t
from touchstone_client.decode import decode
from touchstone_client.errors import ExitCode, WaitTimeout
from touchstone_client.transfer import Progress, download_to
from touchstone_client.transport import Transport


class Organising:
    """Calls that need the scope `organise`, but `compare`, which needs `read`."""

    _http: Transport

    def export(self, slug: str, target: Path, *, progress: Progress | None = None) -> None:
        """The bundle of a competition, hidden data included, as a zip. The same version gives the same bytes."""
        download_to(self._http, f"{_competition(slug)}/export", target, private=True, progress=progress)

    def rehearse(self, slug: str) -> t.PublishCheck:
        """Sends made-up submissions of every phase through the queue. Raises `ClientError` (409) while that goes on."""
        return decode(t.PublishCheck, self._http.json("POST", f"{_competition(slug)}/check"))

    def rehearsal(self, slug: str) -> t.PublishCheck:
        """How the check of the present version stands."""
        return decode(t.PublishCheck, self._http.json("GET", f"{_competition(slug)}/check"))

    def rehearsal_wait(
        self,
        slug: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[t.PublishCheck], None] | None = None,
    ) -> t.PublishCheck:
        """Waits for the check to end; raises `WaitTimeout` after `timeout` seconds. `on_change` gets each answer."""
        until = None if timeout is None else time.monotonic() + timeout
        pause = 0.5
        while True:
            found = self.rehearsal(slug)
            if on_change is not None:
                on_change(found)
            if found.state != "running":
                return found
            if until is not None and time.monotonic() + pause > until:
                raise WaitTimeout(
                    f"The check has not ended after {timeout or 0:g} s",
                    why="the wait ended, not the check: it goes on",
                    hint=f"touchstone competition rehearse {slug} --wait --no-start",
                    code="wait_timeout",
                    exit_code=ExitCode.TIMEOUT,
                )
            time.sleep(pause)
            pause = min(pause * 1.4, 5.0)

    def open(self, slug: str, *, reason: str = "") -> t.PublishCheck:
        """Lets others see a competition. Where the check did not pass a `reason` is asked for, and kept."""
        body = {"reason": reason}
        return decode(t.PublishCheck, self._http.json("POST", f"{_competition(slug)}/open", json=body, repeat=True))

    def rerun(
        self,
        slug: str,
        *,
        reason: str,
        submissions: Sequence[str] = (),
        phase: str = "",
        before_version: int | None = None,
        metric: str = "",
    ) -> t.Rerun:
        """Has submissions evaluated again: exactly one of the last four says which. Participants read `reason`."""
        body: dict[str, Any] = {"reason": reason}
        which: dict[str, Any] = {
            "submissions": list(submissions), "phase": phase, "before_version": before_version, "metric": metric,
        }  # fmt: skip
        body |= {name: value for name, value in which.items() if value}
        return decode(t.Rerun, self._http.json("POST", f"{_competition(slug)}/reruns", json=body))

    def rerun_status(self, slug: str, rerun: str) -> t.Rerun:
        """How far a rerun is."""
        return decode(t.Rerun, self._http.json("GET", f"{_competition(slug)}/reruns/{quote(rerun, safe='')}"))

    def compare(self, ids: Sequence[str]) -> t.Comparison:
        """Two to four submissions of one's own, or entries of a leaderboard, side by side."""
        return decode(t.Comparison, self._http.json("GET", "submissions/compare", params={"of": ",".join(ids)}))


def _competition(slug: str) -> str:
    return f"competitions/{quote(slug, safe='')}"
