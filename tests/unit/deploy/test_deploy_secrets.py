"""Secrets: made once, changed in an order that leaves everything working, never wider than they were."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import _secrets
import prepare
import pytest
from _deployment import DeployError, Deployment

_NODES = ["node-1", "node-2"]


def _files(home: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (home / "secrets").iterdir() if file.is_file()}


def test_what_is_there_stays(secrets_home: Path) -> None:
    prepare.main([str(secrets_home), *_NODES])
    before = _files(secrets_home)
    prepare.main([str(secrets_home), *_NODES])

    assert _files(secrets_home) == before
    assert stat.S_IMODE((secrets_home / "secrets").stat().st_mode) == 0o700
    assert {"secret_key", "postgres_password", "database_url", "broker_url", "node-1-queue", "redis_acl"} <= set(before)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--new", "secret_key"], {"secret_key"}),
        (["--new", "node-1-token"], {"node-1-token"}),
        (["--queue", "gpu-1"], {"gpu-1-queue", "redis_acl"}),
        (["--postgres"], {"postgres_password", "database_url"}),
        (
            ["--new", "redis"],
            {"broker_url", "node-1-queue", "node-2-queue", "redis_acl"}
            | {"broker_url.old", "node-1-queue.old", "node-2-queue.old"},
        ),
    ],
)
def test_only_what_is_asked_for_is_new(
    secrets_home: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], changed: set[str]
) -> None:
    prepare.main([str(secrets_home), *_NODES])
    (secrets_home / "secrets" / "node-1-token").write_text("t")
    before = _files(secrets_home)
    monkeypatch.setattr("sys.stdin", io.StringIO("given\n"))
    prepare.main([*options, "--", str(secrets_home), *_NODES])

    after = _files(secrets_home)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == changed
    if options == ["--postgres"]:
        assert after["postgres_password"] == "given"
        assert after["database_url"] == "postgresql://touchstone:given@postgres:5432/touchstone"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a rotation does, in order."""
    found: list[str] = []
    for name in ("prepare", "tell_redis", "renew", "set_up"):

        def note(_: Deployment, *given: object, name: str = name, **how: object) -> None:
            words = [" ".join(part) if isinstance(part, tuple) else str(part) for part in given]
            found.append(" ".join([name, *words, *(["forced"] if how.get("force") else [])]))

        monkeypatch.setattr(_secrets, name, note)
    monkeypatch.setattr(Deployment, "compose", lambda _, *given: found.append(" ".join(("compose", *given))))
    return found


def _deployment(tmp_path: Path) -> Deployment:
    (tmp_path / "settings.env").write_text("COMPOSE_PROJECT_NAME=p\nTOUCHSTONE_LOCAL_NODES=1\n")
    return Deployment(tmp_path)


def test_redis_knows_the_new_before_anybody_has_it_and_the_old_until_nobody_has(
    tmp_path: Path, steps: list[str]
) -> None:
    _secrets.rotate(_deployment(tmp_path), "redis")

    assert steps == [
        "prepare --new redis", "tell_redis", "renew web scheduler node-1 forced", "prepare --done", "tell_redis",
    ]  # fmt: skip


def test_a_nodes_token_changes_while_it_has_no_run(tmp_path: Path, steps: list[str]) -> None:
    _secrets.rotate(_deployment(tmp_path), "node-1")

    assert steps == ["compose stop node-1", "prepare --new node-1-token", "set_up", "renew node-1 forced"]


@pytest.mark.parametrize("name", ["node-2", "gpu-1", "broker_url", "../x"])
def test_what_is_no_secret_here_is_refused(tmp_path: Path, steps: list[str], name: str) -> None:
    with pytest.raises(DeployError, match=r"Known: secret_key, postgres, redis, node-1\."):
        _secrets.rotate(_deployment(tmp_path), name)
    assert steps == []


@pytest.mark.parametrize(("listen", "host"), [("10.8.0.1:6379", "10.8.0.1:6379"), ("", "HOST:6379")])
def test_a_node_elsewhere_is_told_where_the_queue_is(listen: str, host: str) -> None:
    assert _secrets._reached("redis://node.a:p@redis:6379/0", listen) == f"redis://node.a:p@{host}/0"
