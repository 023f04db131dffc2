"""Settings of the Kubernetes engine, from the environment of the node; docs/kubernetes.md explains them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.errors import UserError
from runners.spec.values import parse_duration

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_RESOURCE = re.compile(r"[a-z0-9.-]+/[A-Za-z0-9_.-]+")
_PAIR = re.compile(r"[A-Za-z0-9_./-]+=[A-Za-z0-9_.-]*")
#: The server gives an attempt ten minutes more than the run's own limits, then looks for another node.
_MOST_PENDING = 540.0


@dataclass(frozen=True)
class Settings:
    """`runtime`: the platform's runtime image as the cluster's nodes pull it. `pending`: seconds a pod may wait.

    `gpus`: how many devices of the cluster this node's runs may have at once; which, the cluster decides.
    """

    url: str
    namespace: str
    runtime: str
    token_file: Path | None
    ca_file: Path | None
    runtime_class: str
    gpu: str
    gpus: int
    pending: float
    selector: dict[str, str]
    pull_secret: str

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ, *, account: Path = _ACCOUNT) -> Settings:
        """In a pod of the cluster, its service account is the default. Raises `UserError` naming what is wrong."""

        def get(key: str, default: str = "") -> str:
            return environ.get(f"TOUCHSTONE_KUBERNETES_{key}") or default

        host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
        inside = (f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}") if host else ""
        url = get("URL", inside).rstrip("/")
        if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            advice = "give the API server's https address, or that of `kubectl proxy` on this machine"
            raise _refused("URL", url, advice)
        runtime = get("RUNTIME")
        if not re.fullmatch(r"\S+[:@]\S+", runtime):
            raise _refused(
                "RUNTIME", runtime, "name touchstone/runtime as your cluster pulls it, best by @sha256 digest"
            )
        selector = [part for part in get("NODE_SELECTOR").split(",") if part]
        if not all(_PAIR.fullmatch(part) for part in selector):
            raise _refused("NODE_SELECTOR", ",".join(selector), "give label=value, with commas between")
        return cls(
            url=url, namespace=_named("NAMESPACE", get("NAMESPACE", _content(account / "namespace") or "touchstone")),
            runtime=runtime, token_file=_file(get("TOKEN_FILE"), account / "token"),
            ca_file=_file(get("CA_FILE"), account / "ca.crt"),
            runtime_class=_named("RUNTIME_CLASS", get("RUNTIME_CLASS"), empty=True),
            gpu=_resource(get("GPU", "nvidia.com/gpu")), gpus=_count(get("GPUS", "0")),
            pending=_pending(get("PENDING", "5m")),
            selector=dict(part.split("=", 1) for part in selector),
            pull_secret=_named("PULL_SECRET", get("PULL_SECRET"), empty=True),
        )  # fmt: skip


def _content(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _file(named: str, default: Path) -> Path | None:
    if named:
        return Path(named)
    return default if default.is_file() else None


def _named(key: str, value: str, *, empty: bool = False) -> str:
    if (empty and not value) or _NAME.fullmatch(value):
        return value
    raise _refused(key, value, "give a name of Kubernetes: small letters, digits, - and .")


def _resource(value: str) -> str:
    if _RESOURCE.fullmatch(value):
        return value
    raise _refused("GPU", value, "give the resource's name, say nvidia.com/gpu")


def _count(text: str) -> int:
    if text.isdigit() and int(text) <= 1000:
        return int(text)
    raise _refused("GPUS", text, "give a whole number")


def _pending(text: str) -> float:
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise _refused("PENDING", text, str(error)) from error
    if isinstance(value, float) and 0 < value <= _MOST_PENDING:
        return value
    raise _refused("PENDING", text, f"at most {_MOST_PENDING:g} s: the platform waits no longer")


def _refused(key: str, value: str, advice: str) -> UserError:
    text = f"TOUCHSTONE_KUBERNETES_{key}={value!r} cannot be used: {advice}."
    return UserError(text, hint="See docs/kubernetes.md.", code="node_not_configured")
