"""Submitting from a CI job: `python -m touchstone_client.ci`, which the GitHub Action and the GitLab component run.

Everything comes in environment variables, `TOUCHSTONE_CI_…`, and goes to the command line as arguments of a process:
no shell reads a value. The exit code is the one of `touchstone submit`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from touchstone_client.ci_service import STEP_SUMMARY, content_digest, job_facts, outputs, quiet
from touchstone_client.config import TOKEN_VARIABLE, URL_VARIABLE
from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.figures import number
from touchstone_client.summary import refusal_summary

PREFIX = "TOUCHSTONE_CI_"
#: What is submitted: exactly one of these is given.
_WHAT = ("PATH", "IMAGE", "ENDPOINT", "BUILD")
#: A refusal after so many seconds may be the end of a token's short life; sooner, another would not help.
_YOUNG = 600.0
#: How often GitHub is asked for another identity: for six hours, as long as a job may run there.
_MOST_IDENTITIES = 25
_YES, _NO = frozenset({"true", "yes", "1", "on"}), frozenset({"false", "no", "0", "off", ""})
#: Isolated as we are: the folder that a job works in is no place to take Python modules from.
_CLI = (sys.executable, *(["-I"] if sys.flags.isolated else []), "-m", "touchstone_client.cli")


@dataclass(frozen=True)
class Asked:
    """What a job wants. `what` is the name of one of `_WHAT`, `value` the file, image, address or folder.

    `seconds`: the longest wait; 0 for any.
    """

    competition: str
    phase: str
    what: str
    value: str
    options: list[str] = field(default_factory=list)
    key: str = ""
    seconds: float = 0.0

    @property
    def target(self) -> str:
        return f"{self.competition}/{self.phase}" if self.phase else self.competition


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Submits, writes the job's outputs, and returns the exit code."""
    from touchstone_client.cli import output

    with quiet(environ):
        try:
            code, told = _submit(_asked(environ), environ)
        except ClientError as error:
            output.error(error)
            _refused(error, environ)
            return int(error.exit_code)
        _outputs(outputs(told), environ)
        _say(told)
    return code


def job_key(asked: Asked, environ: Mapping[str, str]) -> str:
    """An idempotency key: a job that is run again with the same content submits nothing new. Empty outside CI."""
    facts = job_facts(environ)
    if not facts:
        return ""
    parts = [*facts, asked.target, asked.what, asked.value, *asked.options]
    if asked.what == "PATH":
        parts.append(content_digest(Path(asked.value)))
    return f"ci-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:48]}"


def _asked(environ: Mapping[str, str]) -> Asked:
    given = {name: environ.get(PREFIX + name, "").strip() for name in (*_WHAT, "COMPETITION", "PHASE", "KIND")}
    there = [name for name in _WHAT if given[name]]
    if len(there) != 1:
        raise _usage(f"Give exactly one of {', '.join(name.lower() for name in _WHAT)}; {len(there)} are given.")
    if not given["COMPETITION"]:
        raise _usage("No competition is named.")
    wait = _truth(environ.get(PREFIX + "WAIT", "true"))
    options = [f"--{name}={value}" for name in ("kind", "message", "model", "credential", "name") if (
        value := environ.get(PREFIX + name.upper(), "").strip())]  # fmt: skip
    if wait:
        options += ["--wait"]
        options += [f"--fail-under={line.strip()}" for line in _lines(environ.get(PREFIX + "FAIL_UNDER", ""))]
    elif environ.get(PREFIX + "FAIL_UNDER", "").strip():
        raise _usage("A threshold needs `wait`: without it there are no results yet.")
    what = there[0]
    return Asked(
        given["COMPETITION"], given["PHASE"], what, given[what], options,
        environ.get(PREFIX + "IDEMPOTENCY_KEY", "").strip(),
        _seconds(environ.get(PREFIX + "TIMEOUT", "").strip()) if wait else 0.0,
    )  # fmt: skip


def _usage(message: str) -> ClientError:
    hint = "The inputs are described in the documentation of submitting from CI."
    return ClientError(message, hint=hint, code="ci_inputs", exit_code=ExitCode.USAGE)


def _truth(word: str) -> bool:
    word = word.strip().lower()
    if word not in _YES | _NO:
        raise _usage(f"`wait` is true or false, not {word!r}.")
    return word in _YES


def _seconds(text: str) -> float:
    from runners.spec.values import parse_duration

    try:
        return float(str(parse_duration(text))) if text else 0.0
    except ValueError as error:
        raise _usage(f"`timeout` is a time such as 90s, 30m or 2h: {error}") from error


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _submit(asked: Asked, environ: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Submits and waits. A token of a job's identity lives for minutes: with a new one the same wait goes on."""
    until = time.monotonic() + asked.seconds if asked.seconds else None
    image, code, told = asked.value if asked.what == "IMAGE" else "", int(ExitCode.AUTH), dict[str, Any]()
    with _summary(environ) as summary:
        for own in _identities(asked, environ):
            began = time.monotonic()
            if asked.what == "BUILD" and not image:
                image = _built(asked, own)
            left = [f"--timeout={max(until - began, 1):.0f}s"] if until is not None else []
            argv = [*_CLI, "submit", "--json", *left, *_arguments(asked, environ, image)]
            summary.unlink(missing_ok=True)  # of a try before
            code, told = _run(argv, {**own, STEP_SUMMARY: str(summary)} if environ.get(STEP_SUMMARY) else own)
            if code != ExitCode.AUTH or time.monotonic() - began < _YOUNG:
                break
    return code, told


def _arguments(asked: Asked, environ: Mapping[str, str], image: str) -> list[str]:
    key = asked.key or job_key(asked, environ)
    summary = environ.get(PREFIX + "SUMMARY", "").strip()
    named = {"idempotency-key": key, "summary": summary, "image": image}
    options = [*asked.options, *(f"--{name}={value}" for name, value in named.items() if value)]
    return [*options, "--", asked.target, *([] if image else [asked.value])]


def _identities(asked: Asked, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment with a token, as often as there is another: once, but for the identity of a CI job."""
    from touchstone_client.cli import output
    from touchstone_client.oidc import ID_TOKEN, USER, in_ci, token_from_ci

    if environ.get(TOKEN_VARIABLE) or not in_ci(environ):
        yield dict(environ)
        return
    url = environ.get(URL_VARIABLE, "")
    # An input that is left out does not hide a variable of the job's own.
    user = environ.get(PREFIX + "USER", "").strip() or environ.get(USER, "")
    given = [environ[name] for name in (ID_TOKEN, *(f"{ID_TOKEN}_{n}" for n in range(2, 5))) if environ.get(name)]
    for token in given or [""] * _MOST_IDENTITIES:
        there = {**environ, ID_TOKEN: token, USER: user}
        made = token_from_ci(url=url, competition=asked.competition, environ=there, say=output.talk)
        yield {**environ, TOKEN_VARIABLE: made}


@contextmanager
def _summary(environ: Mapping[str, str]) -> Iterator[Path]:
    """A file of our own for GitHub's summary, which is only ever appended to: what is in it at the end goes there."""
    with tempfile.TemporaryDirectory(prefix="touchstone-") as folder:
        own = Path(folder) / "summary.md"
        try:
            yield own
        finally:
            if own.exists():
                _append(environ, own.read_text(encoding="utf-8"))


def _append(environ: Mapping[str, str], told: str) -> None:
    if environ.get(STEP_SUMMARY):
        with Path(environ[STEP_SUMMARY]).open("a", encoding="utf-8") as file:
            file.write(told)


def _built(asked: Asked, environ: Mapping[str, str]) -> str:
    """The name to submit of an image that is built from a folder and pushed."""
    tag = f"touchstone-ci/{hashlib.sha256(os.fsencode(Path(asked.value).resolve())).hexdigest()[:16]}:1"
    try:
        subprocess.run(["docker", "build", "--tag", tag, "--", asked.value], check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ClientError(
            f"The image of {asked.value} could not be built",
            why=_ended(error), hint="Its output is above. The job needs Docker, and the folder a Dockerfile.",
            code="build_failed", exit_code=ExitCode.INVALID,
        ) from error  # fmt: skip
    code, told = _run([*_CLI, "image", "push", "--json", "--competition", asked.competition, "--", tag], environ)
    if code or not told.get("image"):
        raise ClientError(
            "The image could not be pushed", hint="What was wrong is above.", code="push_failed",
            exit_code=ExitCode(code) if code in list(ExitCode) and code else ExitCode.UNEXPECTED,
        )  # fmt: skip
    return str(told["image"])


def _ended(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, OSError):
        return "there is no docker command on this machine"
    return f"docker ended with status {error.returncode}"


def _run(argv: list[str], environ: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON of a command; what it says to people goes where ours goes."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, env=dict(environ), check=False)
    try:
        told = json.loads(done.stdout or b"{}")
    except ValueError:
        told = {}
    return done.returncode, told if isinstance(told, dict) else {}


def _refused(error: ClientError, environ: Mapping[str, str]) -> None:
    """The summary of what ended before a command could write one."""
    names = (environ.get(PREFIX + "COMPETITION", "").strip(), environ.get(PREFIX + "PHASE", "").strip())
    told = refusal_summary(target="/".join(name for name in names if name), error=error)
    _append(environ, told)
    if environ.get(PREFIX + "SUMMARY", "").strip():
        Path(environ[PREFIX + "SUMMARY"].strip()).write_text(told, encoding="utf-8")


def _outputs(values: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """For later steps: GitHub's outputs, or a dotenv report for GitLab."""
    places = {"": environ.get("GITHUB_OUTPUT", ""), "TOUCHSTONE_": environ.get(PREFIX + "DOTENV", "")}
    for prefix, place in places.items():
        if place:
            lines = (f"{prefix}{name.upper() if prefix else name}={value}\n" for name, value in values.items())
            with Path(place).open("a" if not prefix else "w", encoding="utf-8") as file:
                file.writelines(lines)


def _say(told: Mapping[str, Any]) -> None:
    from touchstone_client.cli import output

    for item in (told.get("results") or {}).get("items") or []:
        value, low, high = item.get("value"), item.get("low"), item.get("high")
        between = f"  ({number(low)} to {number(high)})" if low is not None and high is not None else ""
        output.talk(f"  {item.get('key')}: {'-' if value is None else number(value)}{between}")


if __name__ == "__main__":
    sys.exit(main())
