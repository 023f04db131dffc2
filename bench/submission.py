"""Seconds from POST to score, through a real server, scheduler, broker and node."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench import bare, content
from bench.probe import clean_environment
from bench.rounds import alternate, ratio, say, summary
from scripts.engines import Choice, choose
from scripts.stack import Stack
from touchstone_client.images import image_digest
from touchstone_client.packing import packed
from touchstone_client.sdk import Client

ROUNDS = {False: 11, True: 2}
_PATIENCE = 120.0
_WHAT = (
    "Seconds from sending POST /api/v1/submissions to the commit of the score, by one clock; the file is uploaded "
    "before. Competition: recidivism, validation split, {items} items, performance and fairness metrics."
)
_STAGES = (
    "post: until the submission is stored. check_wait, queue_wait: until scheduler or node take it. check: intake in "
    "its own process. node_*: told by the node (fetch, load, start, predict, metrics …). report: the rest until the "
    "score is committed: fork of the judge, events, closing the sandbox, the transaction."
)
_ALONE = "the judge alone on the same file, in a warm process"
_TRUE = "`docker run --rm IMAGE true`"
_BARE = "`docker run` of the same image with the same limits, asked the same questions, until it is gone"
_SENT = ("predictions", "container")


class NotScored(Exception):
    """A submission that should have been scored was not."""


@dataclass(frozen=True)
class Sent:
    """One submission: its id, when it was sent, and when the waiting client knew of its end (seconds since 1970)."""

    id: str
    sent: float
    seen: float


def measure(*, quick: bool) -> dict[str, Any]:
    """Bring the stack up, submit in turns, and take it down."""
    choice = choose(say)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="touchstone-bench-")))
        folder.chmod(0o711)
        image = None
        if choice.name == "docker":
            image = bare.build(content.CONTAINER)
            stack.callback(bare.remove, image)
        live = stack.enter_context(stack_of(folder, choice))
        live.start_node()
        token, client = participant(live, folder, stack)
        headers = {"Authorization": f"Bearer {token}"}
        http = stack.enter_context(httpx.Client(base_url=f"{live.url}/api/v1", headers=headers, timeout=30))
        return _measure(live, _Participant(http, client), choice, image, rounds=ROUNDS[quick])


def participant(live: Stack, folder: Path, stack: ExitStack) -> tuple[str, Client]:
    """Publish the competition and join it: the participant's token and client."""
    token = _person(live)
    client = stack.enter_context(Client(live.url, token))
    with packed(content.bundle(folder / "bundle")) as archive:
        client.push(archive)
    client.join(content.SLUG, accept_terms=True)
    return token, client


def stack_of(folder: Path, choice: Choice) -> Stack:
    """A stack of the benchmark's own."""
    # A name of its own: nodes remove the sandboxes of vanished nodes of their name.
    return Stack(
        folder / "var", say=say, port=0, engine=choice.for_node, environ=clean_environment(),
        node_name=f"bench-{os.getpid()}",
    )  # fmt: skip


def _person(live: Stack) -> str:
    """The token of somebody who organises and submits."""
    asked = {
        "username": "bench", "email": "bench@bench.invalid", "password": secrets.token_urlsafe(16),
        "scopes": ["read", "submit", "organise"],
    }  # fmt: skip
    return str(live.module("scripts.people", question=[asked])["bench"])


@dataclass(frozen=True)
class _Participant:
    """`http` sends the one request that starts the clock; `client` does the rest, as anybody's would."""

    http: httpx.Client
    client: Client

    def submit(self, image: str | None) -> Sent:
        """The prediction file, or a container of `image`; returns when it is scored. Raises `NotScored`."""
        body: dict[str, Any] = {"competition": content.SLUG, "phase": content.PHASE}
        if image is None:
            body |= {"kind": "predictions", "upload": self.client.upload(content.PREDICTIONS).id}
        else:
            body |= {"kind": "container", "image": image_digest(image)}
        sent = time.time()
        answer = self.http.post("/submissions", json=body)
        if answer.status_code != 201:
            raise NotScored(f"POST /submissions answered {answer.status_code}: {answer.text[:1000]}")
        made = answer.json()["id"]
        done = self.client.wait(made, timeout=_PATIENCE)
        seen = time.time()
        if done.status != "scored":
            raise NotScored(f"{body['kind']}: {done.status} ({done.verdict or done.code}): {done.explanation}")
        return Sent(made, sent, seen)


def _measure(live: Stack, person: _Participant, choice: Choice, image: str | None, *, rounds: int) -> dict[str, Any]:
    cases: dict[str, Callable[[], Any]] = {"predictions": lambda: person.submit(None), "judge": _judge_alone()}
    questions = content.questions()
    if image is not None:
        classes = len(content.competition().task.classes)
        cases |= {
            "container": lambda: person.submit(image),
            "docker_run": lambda: bare.asked(image, questions, classes=classes),
            "docker_true": lambda: bare.true(image),
        }
    say("submission: once each; only the first of a submission is told")
    first = {name: call() for name, call in cases.items()}
    say(f"submission: {', '.join(cases)} in {rounds} rounds")
    found = alternate(cases, rounds=rounds)
    sent = [one for name in _SENT if name in cases for one in (first[name], *found[name])]
    times = live.module("bench.run_times", question=[one.id for one in sent])
    told: dict[str, Any] = {"what": _WHAT.format(items=len(questions[-1])), "stages": _STAGES, "engine": choice.name}
    told["predictions"] = _case(first["predictions"], found["predictions"], times)
    told["predictions"]["peer"] = _peer(_ALONE, _spans(found, times, "predictions"), found["judge"])
    if image is None:
        return told | {"container": None, "container_reason": _why_not(choice)}
    return told | _beside_docker(told["predictions"], first["container"], found, times)


def _beside_docker(
    predictions: dict[str, Any], first: Sent, found: Mapping[str, list[Any]], times: Mapping[str, Any]
) -> dict[str, Any]:
    """The container's case, and what both cost beside the least that Docker takes."""
    spans = _spans(found, times, "container")
    overhead = [ours - bare for ours, bare in zip(spans, found["docker_run"], strict=True)]
    container = _case(first, found["container"], times)
    container["peer"] = _peer(_BARE, spans, found["docker_run"])
    container["overhead"] = _peer(f"{_TRUE}; ours: POST to score, less the peer above", overhead, found["docker_true"])
    container["overhead"]["overhead_seconds"] = summary(overhead)
    floor = _peer(_TRUE, _spans(found, times, "predictions"), found["docker_true"])
    return {"predictions": predictions | {"floor": floor}, "container": container}


def _spans(found: Mapping[str, list[Any]], times: Mapping[str, Any], name: str) -> list[float]:
    return [_seconds(one, times) for one in found[name]]


def _why_not(choice: Choice) -> str:
    docker = next((report for report in choice.reports if report["name"] == "docker"), None)
    return "; ".join(docker["problems"]) if docker and docker["problems"] else "no Docker engine answers"


def _judge_alone() -> Callable[[], float]:
    """The same evaluation without a platform around it: what is left when everything else costs nothing."""
    from runners.judge import LocalFiles, evaluate

    spec = content.run_spec()

    def call() -> float:
        with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as work:
            folder = Path(work) / "submission"
            folder.mkdir()
            shutil.copy(content.PREDICTIONS, folder)
            files = LocalFiles(split=content.FOLDER / "data" / "validation", sample=None, submission=folder)
            began = time.monotonic()
            result = evaluate(spec=spec, files=files, engine=None, workdir=Path(work), emit=lambda event: None)
            took = time.monotonic() - began
        if result.verdict.value != "ok":
            raise NotScored(f"the judge alone: {result.verdict.value}: {result.message}")
        return took

    return call


def _seconds(one: Sent, times: Mapping[str, Any]) -> float:
    return float(times[one.id]["at"]["scored"]) - one.sent


def _case(first: Sent, sent: list[Sent], times: Mapping[str, Any]) -> dict[str, Any]:
    stages = [_stages(one, times) for one in sent]
    names = list(dict.fromkeys(name for found in stages for name in found))
    return {
        "seconds": summary([_seconds(one, times) for one in sent]),
        "first_seconds": round(_seconds(first, times), 3),
        "seen_by_client_seconds": summary([one.seen - one.sent for one in sent]),
        "stages": {name: summary([found.get(name, 0.0) for found in stages]) for name in names},
    }


def _stages(one: Sent, times: Mapping[str, Any]) -> dict[str, float]:
    """The way of one submission in pieces that add up to its seconds."""
    at, node = times[one.id]["at"], times[one.id]["stages"]
    return {
        "post": at["received"] - one.sent,
        "check_wait": at["checking"] - at["received"],
        "check": at["queued"] - at["checking"],
        "queue_wait": at["running"] - at["queued"],
        **_node_stages(node),
        "report": at["scored"] - at["running"] - sum(node.values()),
    }


def _node_stages(seconds: Mapping[str, float]) -> dict[str, float]:
    """As the node told them; metrics together."""
    told: dict[str, float] = {}
    for stage, value in seconds.items():
        name = "node_metrics" if stage.startswith("metric:") else f"node_{stage}"
        told[name] = told.get(name, 0.0) + value
    return told


def _peer(what: str, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    return {"what": what, "seconds": summary(theirs), "ratio": ratio(ours, theirs)}
