"""`Client`: everything the REST interface offers, as typed calls.

    from touchstone_client.sdk import Client

    with Client("https://touchstone.example.org", token="ts_…") as client:
        submission = client.submit("garments", "development", Path("predictions.csv"), kind="predictions")
        done = client.wait(submission.id)
        print(client.results(done.id).items)

Calls raise `touchstone_client.errors.ClientError`; the instance says what, why, and what to do next.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from touchstone_client import device
from touchstone_client import types as t
from touchstone_client.config import normalise_url
from touchstone_client.credentials import Credentials
from touchstone_client.decode import decode
from touchstone_client.device import DeviceCode, DeviceToken
from touchstone_client.errors import ClientError, WaitTimeout
from touchstone_client.errors import ExitCode as Exit
from touchstone_client.follow import Message, follow
from touchstone_client.images import image_digest, is_registry_tag, pushed_digest
from touchstone_client.organising import Organising
from touchstone_client.transfer import Progress, download_to, upload_file
from touchstone_client.transport import Transport, server_of

if TYPE_CHECKING:
    import httpx


class Client(Organising, Credentials):
    """One server, one token. `patience`: seconds a call keeps trying while the server is away (0: no second try)."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        patience: float = 60.0,
        on_retry: Callable[[str, float], None] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = normalise_url(url)
        self.token = token
        self._http = Transport(url=self.url, token=token, patience=patience, on_retry=on_retry, transport=transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Who

    def me(self) -> t.Me:
        """The person behind the token. Raises `ClientError` (401) where the token is not valid."""
        return decode(t.Me, self._http.json("GET", "me"))

    def tokens(self) -> list[t.Token]:
        return [decode(t.Token, item) for item in self._pages("tokens")]

    def token_revoke(self, public: str) -> None:
        """End a token: this client's own; others only a signed-in browser may end. `public`: its part after `ts_`."""
        self._http.json("DELETE", f"tokens/{_part(public)}")

    def login_begin(self, *, client_name: str, scopes: Sequence[str] = ("read", "submit")) -> DeviceCode:
        """Ask for a code that a person confirms in a browser."""
        return device.begin(self._http, client_name=client_name, scopes=scopes)

    def login_wait(self, code: DeviceCode) -> DeviceToken:
        """The token, once the code is confirmed. Raises `ClientError` (exit 4) where it was refused or is too old."""
        return device.wait(self._http, code)

    def server(self) -> t.Server:
        """The server's version, its clock, and the oldest client that it works with."""
        return server_of(self._http.send("GET", "schema").headers)

    # Competitions

    def competitions(self, *, q: str = "") -> Iterator[t.CompetitionSummary]:
        """Competitions this person may see, newest first. `q`: words of the title, the summary or the slug."""
        for item in self._pages("competitions", q=q):
            yield decode(t.CompetitionSummary, item)

    def competition(self, slug: str) -> t.Competition:
        return decode(t.Competition, self._http.json("GET", f"competitions/{_part(slug)}"))

    def join(self, slug: str, *, accept_terms: bool, display_name: str = "") -> t.Participation:
        """Joins a competition. Its terms must be accepted. Joining twice changes nothing."""
        body = {"accept_terms": accept_terms, "display_name": display_name}
        return decode(
            t.Participation, self._http.json("POST", f"competitions/{_part(slug)}/join", json=body, repeat=True)
        )

    def push(self, bundle: Path, *, replace: bool = False, progress: Progress | None = None) -> t.PushOutcome:
        """Creates or updates a competition from a bundle (a zip). Raises `ClientError` with `details` = defects.

        `replace`: drop phases and splits that the bundle no longer has, if nothing was submitted to them.
        """
        upload = self.upload(bundle, name="bundle.zip", progress=progress)
        body = self._http.json("POST", "competitions", json={"upload": upload.id, "replace": replace}, repeat=True)
        return decode(t.PushOutcome, body)

    def download(
        self, slug: str, split: str, file: t.SplitFile, target: Path, *, progress: Progress | None = None
    ) -> None:
        """One file of a data split, checked against its sha256. A right file that is there already is left alone."""
        path = f"competitions/{_part(slug)}/data/{_part(split)}/{quote(file.name)}"
        download_to(self._http, path, target, sha256=file.sha256, progress=progress)

    def download_starting_kit(self, slug: str, target: Path, *, progress: Progress | None = None) -> None:
        download_to(self._http, f"competitions/{_part(slug)}/starting-kit", target, progress=progress)

    def quota(self, slug: str, phase: str = "") -> t.Quota:
        """Submissions left in a phase (default: the one that is open)."""
        params = {"phase": phase} if phase else {}
        return decode(t.Quota, self._http.json("GET", f"competitions/{_part(slug)}/quota", params=params))

    # Images

    def image_place(self, slug: str) -> t.ImagePlace:
        """Where one's images for a competition are pushed to, and those that are there."""
        return decode(t.ImagePlace, self._http.json("GET", f"competitions/{_part(slug)}/images"))

    def image_remove(self, slug: str, image: str) -> None:
        """Takes one's own image out of the registry. One that a submission names stays: `ClientError` (409)."""
        self._http.json("DELETE", f"competitions/{_part(slug)}/images", params={"image": image})

    def image_named(self, slug: str, image: str) -> str:
        """The image by its digest. A name in the platform's registry means what was pushed under it last."""
        if not is_registry_tag(image):
            return image_digest(image)
        place = self.image_place(slug)
        return pushed_digest(image, place.items) if image.startswith(f"{place.host}/") else image_digest(image)

    # Submissions

    def upload(self, path: Path, *, name: str = "", progress: Progress | None = None) -> t.Upload:
        """Sends a file by parts. An unfinished upload of the same content is continued."""
        return upload_file(self._http, path, name=name or path.name, progress=progress)

    def submit(
        self,
        slug: str,
        phase: str,
        path: Path | None = None,
        *,
        kind: str,
        name: str = "",
        image: str = "",
        endpoint: Mapping[str, str] | None = None,
        title: str = "",
        message: str = "",
        idempotency_key: str = "",
        progress: Progress | None = None,
    ) -> t.Submission:
        """Uploads `path` (or names an image) and submits it. The same `idempotency_key` never submits twice.

        A name of an image is resolved to its digest: one in the platform's registry by the server, any other by the
        Docker engine of this machine.

        `name`: what the file is called on the server (default: its own name). `title`: what one calls the submission.
        `endpoint`: {url, model, credential} of one, where `kind` is endpoint.
        """
        body: dict[str, Any] = {"competition": slug, "phase": phase, "kind": kind, "message": message, "name": title}
        body["image"] = self.image_named(slug, image)
        if endpoint is not None:
            body["endpoint"] = dict(endpoint)
        if path is not None:
            body["upload"] = self.upload(path, name=name, progress=progress).id
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = self._http.json("POST", "submissions", json=body, headers=headers, repeat=True)
        return decode(t.Submission, answer)

    def submission(self, submission_id: str) -> t.Submission:
        return decode(t.Submission, self._http.json("GET", f"submissions/{_part(submission_id)}"))

    def submissions(self, slug: str = "") -> Iterator[t.Submission]:
        """One's own submissions, newest first; of one competition or of all."""
        for item in self._pages("submissions", competition=slug):
            yield decode(t.Submission, item)

    def events(self, submission_id: str, *, after: int = 0) -> t.EventPage:
        """Events of the run with a sequence number above `after`."""
        return decode(
            t.EventPage, self._http.json("GET", f"submissions/{_part(submission_id)}/events", params={"after": after})
        )

    def log(self, submission_id: str, *, part: str = "all") -> str:
        """The run's log, as far as the phase shows it. `part`: all, sample (about the public sample) or run."""
        params = {} if part == "all" else {"part": part}
        return self._http.send("GET", f"submissions/{_part(submission_id)}/log", params=params).text

    def follow(self, submission_id: str, *, timeout: float | None = None, part: str = "all") -> Iterator[Message]:
        """State, history and log of a run as they happen, until it has ended: see `touchstone_client.follow`.

        `part`: which of its logs: all, sample or run.

        Raises `WaitTimeout` after `timeout` seconds.
        """
        return follow(self, self._http, submission_id, timeout=timeout, part=part)

    def results(self, submission_id: str) -> t.Results:
        return decode(t.Results, self._http.json("GET", f"submissions/{_part(submission_id)}/results"))

    def cancel(self, submission_id: str) -> t.Submission:
        return decode(t.Submission, self._http.json("POST", f"submissions/{_part(submission_id)}/cancel", repeat=True))

    def wait(
        self,
        submission_id: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[t.EventPage], None] | None = None,
    ) -> t.Submission:
        """Waits for the end of the run; raises `WaitTimeout` after `timeout` seconds. `on_change` gets each answer."""
        until = None if timeout is None else time.monotonic() + timeout
        after, pause = 0, 0.3
        while True:
            page = self.events(submission_id, after=after)
            pause = 0.3 if page.items else min(pause * 1.4, 3.0)
            after = page.next_after
            if on_change is not None:
                on_change(page)
            if page.final:
                return self.submission(submission_id)
            if until is not None and time.monotonic() + pause > until:
                raise _timed_out(submission_id, status=page.status, timeout=timeout or 0.0)
            time.sleep(pause)

    # Queues and nodes

    def queues(self) -> tuple[t.Queue, ...]:
        """What waits in each queue, and who is there to take it."""
        return tuple(decode(t.Queue, item) for item in self._http.json("GET", "queues")["items"])

    def nodes(self) -> tuple[t.Node, ...]:
        """The nodes in detail; for the platform's staff. Raises `ClientError` (403) for others."""
        return tuple(decode(t.Node, item) for item in self._http.json("GET", "nodes")["items"])

    # Leaderboards

    def leaderboard(
        self,
        slug: str,
        phase: str,
        board: str,
        *,
        sort: str = "",
        q: str = "",
        after: str = "",
        limit: int = 50,
        **filters: str,
    ) -> t.Board:
        """A page of a leaderboard; `sort` is a column's key, with `-` before it to turn the order.

        `filters`, as on the board's page: `cols`, `kind`, `who`, `only`.
        """
        wanted = {"sort": sort, "q": q, "after": after, **filters}
        params = {key: value for key, value in wanted.items() if value}
        return decode(t.Board, self._http.json("GET", _board(slug, phase, board), params={**params, "limit": limit}))

    def leaderboard_csv(self, slug: str, phase: str, board: str) -> Iterator[str]:
        """The whole leaderboard as CSV, line by line."""
        with self._http.stream(_board(slug, phase, board), params={"format": "csv"}) as response:
            yield from response.iter_lines()

    def _pages(self, path: str, **params: str) -> Iterator[Any]:
        query = {key: value for key, value in params.items() if value}
        while True:
            page = self._http.json("GET", path, params=query)
            yield from page["items"]
            if not page.get("next"):
                return
            query["after"] = page["next"]


def _part(text: str) -> str:
    return quote(text, safe="")


def _board(slug: str, phase: str, board: str) -> str:
    return f"competitions/{_part(slug)}/leaderboards/{_part(phase)}/{_part(board)}"


def _timed_out(submission_id: str, *, status: str, timeout: float) -> ClientError:
    return WaitTimeout(
        f"The run has not ended after {timeout:g} s; it is {status}",
        why="the wait ended, not the run: it goes on",
        hint=f"touchstone status {submission_id} --watch",
        code="wait_timeout",
        exit_code=Exit.TIMEOUT,
    )
