"""In a job of a CI service: its identity, signed by the service, exchanged for a token that lives for minutes.

Nothing is stored: the job proves which repository and workflow it is, and the server knows whom that may act for
(docs/trusted-publishing.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from touchstone_client.errors import ClientError, ConnectionFailed, ExitCode
from touchstone_client.transport import Transport

#: Set by GitHub Actions for jobs with `permissions: id-token: write`.
REQUEST_URL, REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
#: Set by GitLab for jobs with `id_tokens: TOUCHSTONE_ID_TOKEN`.
ID_TOKEN = "TOUCHSTONE_ID_TOKEN"  # noqa: S105 - a name
#: Whose trust it is, where several people trust the same job.
USER = "TOUCHSTONE_USER"

_GITHUB_HELP = "Give the job `permissions: id-token: write` (and `contents: read` to check out)."
_GITLAB_HELP = "Give the job `id_tokens: {TOUCHSTONE_ID_TOKEN: {aud: %s}}`."
_TRIES = 3


def in_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the job can prove who it is."""
    return bool(environ.get(REQUEST_URL) or environ.get(ID_TOKEN))


def token_from_ci(
    *,
    url: str,
    competition: str,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] | None = None,
) -> str:
    """A token for one competition, good for 15 minutes. Raises `ClientError` that says what the job lacks.

    `say` is told for whom it acts: the person whose trust it is need not be the one who runs the job.
    """
    url = url.rstrip("/")
    body = {"token": _id_token(url, environ), "competition": competition}
    if environ.get(USER):
        body["user"] = environ[USER]
    transport = Transport(url=url, patience=30.0)
    try:
        answer = transport.json("POST", "oidc/mint", json=body)
    except ClientError as error:
        if error.code.startswith("oidc_"):
            error.exit_code = ExitCode.AUTH
        if error.code == "oidc_audience" and environ.get(ID_TOKEN):
            error.hint = _GITLAB_HELP % url
        raise
    finally:
        transport.close()
    if say is not None and answer.get("user"):
        say(f"This job acts for {answer['user']} in {answer.get('competition') or competition}.")
    return str(answer["token"])


def _id_token(url: str, environ: Mapping[str, str]) -> str:
    if environ.get(ID_TOKEN):
        return environ[ID_TOKEN].strip()
    asked = environ.get(REQUEST_URL, "")
    if asked and environ.get(REQUEST_TOKEN):
        return _from_github(asked, environ[REQUEST_TOKEN], audience=url)
    if environ.get("GITHUB_ACTIONS"):
        raise _lacking("GitHub gave this job no identity", _GITHUB_HELP)
    if environ.get("GITLAB_CI"):
        raise _lacking("GitLab gave this job no identity", _GITLAB_HELP % url)
    raise _lacking(
        "This is no job of GitHub Actions or GitLab CI",
        f"Elsewhere, put an ID token for the audience {url} into ${ID_TOKEN}, or use $TOUCHSTONE_TOKEN.",
    )


def _lacking(message: str, hint: str) -> ClientError:
    return ClientError(message, hint=hint, code="no_id_token", exit_code=ExitCode.AUTH)


def _from_github(address: str, token: str, *, audience: str) -> str:
    """Ask the runner's service. Its address and token are the job's own, and are not repeated in messages."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    with httpx.Client(timeout=20.0, headers=headers, follow_redirects=False) as http:
        for left in range(_TRIES - 1, -1, -1):
            try:
                response = http.get(httpx.URL(address).copy_merge_params({"audience": audience}))
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if not left:
                    raise ConnectionFailed(
                        "GitHub's service of identities cannot be reached",
                        why=type(error).__name__,
                        hint="Run the job again.",
                        code="no_id_token",
                        exit_code=ExitCode.AUTH,
                    ) from error
            else:
                if response.status_code < 500 or not left:
                    return _value(response)
            time.sleep(0.5)
    raise ConnectionFailed("GitHub's service of identities cannot be reached", code="no_id_token")  # pragma: no cover


def _value(response: httpx.Response) -> str:
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    value = body.get("value") if isinstance(body, dict) else None
    if response.is_success and isinstance(value, str) and value:
        return value
    raise ClientError(
        "GitHub gave this job no identity", why=f"its service answered {response.status_code}", hint=_GITHUB_HELP,
        code="no_id_token", status=response.status_code, exit_code=ExitCode.AUTH,
    )  # fmt: skip
