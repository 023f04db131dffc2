"""What CI services tell their jobs, and how jobs answer: GitHub Actions and GitLab CI."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from touchstone_client.summary import Origin

#: Where GitHub takes Markdown from. What is written there is appended to what other steps wrote.
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def origin(environ: Mapping[str, str]) -> Origin:
    """What the job says it was run for; empty outside CI."""
    get = environ.get
    if get("GITHUB_ACTIONS"):
        repository, run = get("GITHUB_REPOSITORY", ""), get("GITHUB_RUN_ID", "")
        server = get("GITHUB_SERVER_URL", "")
        url = f"{server}/{repository}/actions/runs/{run}" if server and run else ""
        return Origin(get("GITHUB_SHA", ""), repository, get("GITHUB_REF_NAME", ""), url)
    if get("GITLAB_CI"):
        commit, project = get("CI_COMMIT_SHA", ""), get("CI_PROJECT_PATH", "")
        return Origin(commit, project, get("CI_COMMIT_REF_NAME", ""), get("CI_JOB_URL", ""))
    return Origin()


def job_facts(environ: Mapping[str, str]) -> list[str]:
    """What is the same whenever this job is run again, and for no other; empty outside CI."""
    if environ.get("GITHUB_ACTIONS"):
        names: tuple[str, ...] = ("GITHUB_REPOSITORY_ID", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_JOB")
    elif environ.get("GITLAB_CI"):
        names = ("CI_PROJECT_ID", "CI_PIPELINE_ID", "CI_JOB_NAME")
    else:
        return []
    return [environ.get(name, "") for name in names]


def outputs(told: Mapping[str, Any]) -> dict[str, str]:
    """id, state, score (of the result that ranks, else the first), rank and url; empty where it is not known."""
    submission = told.get("submission") or {}
    row = (told.get("standing") or {}).get("row") or {}
    values = {
        "id": submission.get("id"), "state": submission.get("status"), "score": _score(told), "rank": row.get("rank"),
        "url": submission.get("url"),
    }  # fmt: skip
    return {name: "" if value is None else _plain(value) for name, value in values.items()}


def _score(told: Mapping[str, Any]) -> Any:
    standing = told.get("standing") or {}
    items = (told.get("results") or {}).get("items") or []
    ranking = next((column["key"] for column in standing.get("columns", ()) if column.get("is_ranking")), None)
    if ranking is None:
        return items[0].get("value") if items else None
    row = standing.get("row") or {}
    found = next((item for item in items if item.get("key") == ranking), None)
    if found is None and row.get("submission") == told["submission"].get("id"):
        found = row.get("scores", {}).get(ranking)  # made of several results, such as trust
    return found.get("value") if found else None


def _plain(value: object) -> str:
    """On one line: what ends a line would begin another output."""
    return "".join(char for char in str(value) if char.isprintable())


def content_digest(path: Path) -> str:
    """Of a file's or a folder's content; empty for what is not there, which the command says itself."""
    from touchstone_client.packing import folder_files, sha256_file

    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        return ""
    parts = [(file.relative_to(path).as_posix(), sha256_file(file)) for file in folder_files(path)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@contextmanager
def quiet(environ: Mapping[str, str]) -> Iterator[None]:
    """GitHub takes lines that begin with `::` for commands; nothing that others wrote may be one."""
    token = secrets.token_hex(16) if environ.get("GITHUB_ACTIONS") else ""
    if token:
        sys.stderr.write(f"::stop-commands::{token}\n")
        sys.stderr.flush()
    try:
        yield
    finally:
        if token:
            sys.stderr.write(f"::{token}::\n")
            sys.stderr.flush()
