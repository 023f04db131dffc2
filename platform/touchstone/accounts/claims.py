"""What an ID token says of a job of a CI service, in our words; and which jobs can be trusted at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from touchstone.core.errors import NotAllowed
from touchstone.core.text import clean

#: What starts jobs that run what the repository's own people have taken into it. A pull request or merge request runs
#: what anybody proposed, and no claim says whether it came from a fork; `pull_request_target`, `issue_comment` and
#: their like run with the repository's rights on what strangers wrote.
_EVENTS = {
    "github": frozenset({"push", "workflow_dispatch", "repository_dispatch", "schedule", "release", "deployment"}),
    "gitlab": frozenset({"push", "web", "schedule", "api", "trigger", "pipeline", "parent_pipeline"}),
}
_REFS = ("refs/heads/", "refs/tags/")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
_WORD = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Issuer:
    """A service that signs; see `config.settings.issuers`."""

    issuer: str
    kind: str
    name: str
    keys: str
    algorithms: tuple[str, ...]
    lifetime: int
    web: str
    claims: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """Who asks. Ids and `workflow` decide; the rest is shown and kept."""

    repository: str
    repository_id: str
    owner_id: str
    workflow: str
    environment: str
    ref: str
    commit: str
    run: str
    run_url: str
    actor: str
    visibility: str
    event: str


def issuers() -> dict[str, Issuer]:
    """Those that are trusted here, by their exact name."""
    found = [Issuer(**{**each, "algorithms": tuple(each["algorithms"])}) for each in settings.TOUCHSTONE_OIDC_ISSUERS]
    return {issuer.issuer: issuer for issuer in found}


def job_of(*, issuer: Issuer, claims: Mapping[str, Any]) -> Job:
    """The job that the claims describe. Raises `NotAllowed` where they lack what identifies one."""
    read = {"github": _github, "gitlab": _gitlab}.get(issuer.kind, _other)
    job = read(issuer, {key: _text(value) for key, value in claims.items()})
    lacking = [name for name in ("repository", "repository_id", "owner_id", "workflow") if not getattr(job, name)]
    if lacking:
        raise NotAllowed(
            gettext("The token does not say what %(lacking)s is.") % {"lacking": ', '.join(lacking)},
            gettext("Is it an ID token for a job of %(issuer)s?") % {"issuer": issuer.name}, "oidc_claims",
        )  # fmt: skip
    return job


def job_check(*, issuer: Issuer, job: Job) -> None:
    """Raises `NotAllowed` for jobs that may run what strangers wrote."""
    allowed = _EVENTS.get(issuer.kind)
    if allowed is None:
        return
    if job.event not in allowed:
        raise NotAllowed(
            gettext("A job started by %(value)s may run what strangers wrote.")
            % {"value": clean(job.event, limit=60) or "nothing that is named"},
            gettext("Submit from a job started by %(names)s.") % {"names": ", ".join(sorted(allowed))},
            "oidc_event",
        )
    if not job.ref.startswith(_REFS):
        raise NotAllowed(
            gettext("The job does not run on a branch or tag of the repository."),
            gettext("Submit after the merge."),
            "oidc_event",
        )


def provenance_of(*, issuer: Issuer, job: Job) -> dict[str, str]:
    """What is kept of the job and shown beside what it sent. No addresses but those made here."""
    home = f"{issuer.web}/{job.repository}" if issuer.web and _PATH.fullmatch(job.repository) else ""
    word = _WORD.fullmatch(job.commit)
    commits = {"github": f"{home}/commit/{job.commit}", "gitlab": f"{home}/-/commit/{job.commit}"}
    return {
        "provider": issuer.name, "issuer": issuer.issuer, "repository": job.repository, "url": home,
        "commit": job.commit, "commit_url": commits.get(issuer.kind, "") if home and word else "", "ref": job.ref,
        "run": job.run, "run_url": job.run_url, "workflow": job.workflow, "actor": job.actor,
        "environment": job.environment, "visibility": job.visibility,
    }  # fmt: skip


def _text(value: object) -> str:
    """Ids come as numbers or as texts; what is neither is nothing."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return clean(str(value), limit=200)


def _github(issuer: Issuer, claims: Mapping[str, str]) -> Job:
    repository, run = claims.get("repository", ""), claims.get("run_id", "")
    whole = claims.get("workflow_ref", "").partition("@refs/")[0]  # a file may have an @ in its name
    front = f"{repository}/"
    linked = _PATH.fullmatch(repository) and run.isdecimal() and issuer.web
    return Job(
        repository=repository, repository_id=claims.get("repository_id", ""),
        owner_id=claims.get("repository_owner_id", ""),
        workflow=whole[len(front) :] if whole.lower().startswith(front.lower()) else "",
        environment=claims.get("environment", ""), ref=claims.get("ref", ""), commit=claims.get("sha", ""), run=run,
        run_url=f"{issuer.web}/{repository}/actions/runs/{run}" if linked else "", actor=claims.get("actor", ""),
        visibility=claims.get("repository_visibility", ""), event=claims.get("event_name", ""),
    )  # fmt: skip


def _gitlab(issuer: Issuer, claims: Mapping[str, str]) -> Job:
    repository, job = claims.get("project_path", ""), claims.get("job_id", "")
    whole = claims.get("ci_config_ref_uri", "").rpartition("@")[0]
    place, _, path = whole.partition("//")
    linked = _PATH.fullmatch(repository) and job.isdecimal() and issuer.web
    return Job(
        repository=repository, repository_id=claims.get("project_id", ""), owner_id=claims.get("namespace_id", ""),
        # A file of another project keeps that project's name before it.
        workflow=path if place.lower().endswith(f"/{repository.lower()}") else whole,
        environment=claims.get("environment", ""), ref=claims.get("ref_path", ""), commit=claims.get("sha", ""),
        run=job, run_url=f"{issuer.web}/{repository}/-/jobs/{job}" if linked else "",
        actor=claims.get("user_login", ""), visibility=claims.get("project_visibility", ""),
        event=claims.get("pipeline_source", ""),
    )  # fmt: skip


def _other(issuer: Issuer, claims: Mapping[str, str]) -> Job:
    def of(name: str) -> str:
        return claims.get(issuer.claims.get(name, ""), "")

    url = of("run_url")
    return Job(
        repository=of("repository"), repository_id=of("repository_id"), owner_id=of("owner_id"),
        workflow=of("workflow"), environment=of("environment"), ref=of("ref"), commit=of("commit"), run=of("run"),
        run_url=url if issuer.web and url.startswith(f"{issuer.web}/") else "", actor=of("actor"),
        visibility=of("visibility"), event="",
    )  # fmt: skip
