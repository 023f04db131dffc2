"""The command line as somebody has it who takes part: the installed wheel, a real server, a network that fails."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clikit import Browser, Shell, Wire, built_wheel, installed, packed_size
from livekit import Live, answers, clean_environment, competition, inputs, push, write_bundle
from waiting import until

from scripts.stack import PYTHONPATH

_PART = 8 * 2**20
_PASSWORD = "a-long-enough-one"
_LIMIT = 15_000_000


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`touchstone`, installed from its wheel; NumPy beside it, for `init` to learn something with."""
    folder = tmp_path_factory.mktemp("installed")
    return installed(folder / "venv", built_wheel(folder), "numpy")


@pytest.fixture
def wire(live: Live) -> Iterator[Wire]:
    found = Wire(live.stack.url)
    yield found
    found.close()


@pytest.fixture
def shell(script: Path, wire: Wire, tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(script, home, wire.url)


@pytest.fixture
def browser(live: Live) -> Iterator[Browser]:
    """Somebody who is signed in on the site."""
    person = {"username": "wanda", "email": "wanda@test.invalid", "password": _PASSWORD, "scopes": ["read"]}
    live.stack.module("scripts.people", question=[person])
    found = Browser(live.stack.url)
    found.sign_in("wanda", _PASSWORD)
    yield found
    found.close()


@pytest.fixture
def slug(live: Live, tmp_path: Path) -> str:
    """A competition with enough public items to learn from, and four submissions in all."""
    spec = competition()
    spec["phases"][0]["limits"] = {"total": 4}
    bundle = write_bundle(tmp_path / "bundle", spec)
    x = inputs(200)
    rows = {"inputs": [f"s{k},{a:.4f},{b:.4f}" for k, (a, b) in enumerate(x)]}
    rows["labels"] = [f"s{k},{'yes' if a > b else 'no'}" for k, (a, b) in enumerate(x)]
    for name, header in (("inputs", "id,a,b"), ("labels", "id,label")):
        (bundle / "data" / "sample" / f"{name}.csv").write_text("\n".join([header, *rows[name]]) + "\n")
    return push(live.person("organiser", organise=True), bundle).competition


def test_it_is_small(script: Path) -> None:
    size = packed_size(script.parents[1], without=("numpy",))
    assert 1_000_000 < size < _LIMIT, f"{size:,} bytes"


def test_from_login_to_the_leaderboard(live: Live, shell: Shell, browser: Browser, slug: str, wire: Wire) -> None:
    sign_in(shell, browser)
    join(shell, slug)
    folder = begin(shell, slug)
    check(shell, folder)
    if live.engine.name is not None:
        try_here(shell, folder, live.engine.name)
    first = submit(shell, slug, folder)
    follow(shell, first)
    second = upload_that_breaks(live, shell, slug, folder, wire)
    assert second != first
    stop(shell, slug, folder)
    use_up(shell, slug)
    board(shell, slug)
    sign_out(shell)


def sign_in(shell: Shell, browser: Browser) -> None:
    assert "Not logged in" in shell.run("whoami", code=4).stderr
    with shell.start("login") as waiting:
        assert waiting.stderr is not None
        waiting.stderr.readline()
        found = re.search(r"/device/\S+", waiting.stderr.readline())
        assert found is not None
        code = found[0].partition("code=")[2]
        assert "Approved" in browser.submit(found[0], {"act": "approve", "days": "30", "code": code})
        rest = waiting.stderr.read()
    assert waiting.returncode == 0, rest
    assert "as wanda (may: read, submit)" in rest
    assert "user\twanda" in shell.run("whoami").stdout
    states = {line.split("\t")[1]: line.split("\t")[0] for line in shell.run("doctor").stdout.splitlines()}
    assert [states[name] for name in ("client", "server", "clock", "token")] == ["ok"] * 4


def join(shell: Shell, slug: str) -> None:
    assert slug in shell.run("competitions").stdout
    assert "not accepted yet" in shell.run("competitions", "join", slug, code=2).stderr
    assert "touchstone init" in shell.run("competitions", "join", slug, "--accept-terms").stderr
    shell.run("config", "set", "competition", slug)
    assert shell.run("quota").stdout == f"{slug}/open: 4 of 4 left in all\n"
    files = shell.run("competitions", "download", slug).stdout.splitlines()
    assert f"{slug}/sample/labels.csv" in files


def begin(shell: Shell, slug: str) -> Path:
    done = shell.run("init", slug, "mine", "--kind", "code")
    assert done.stdout == "mine\n"
    assert "fitted on 200 items" in done.stderr
    folder = shell.home / "mine"
    assert {"main.py", "train.py", "weights.npz", "README.md"} <= {path.name for path in folder.iterdir()}
    assert "--force" in shell.run("init", slug, "mine", "--kind", "code", code=2).stderr
    return folder


def check(shell: Shell, folder: Path) -> None:
    assert "is fit to be sent" in shell.run("validate", cwd=folder).stderr
    main = folder / "main.py"
    whole = main.read_text()
    main.write_text(whole.replace("def predict(x", "def predict((x"))
    found = shell.json("validate", "mine", code=7)["checked"]["defects"]
    assert [(item["file"], item["code"]) for item in found] == [("main.py", "syntax")]
    assert found[0]["line"] > 20
    assert "touchstone-client[local]" in shell.run("test", "mine", code=1).stderr
    main.write_text(whole)


def try_here(shell: Shell, folder: Path, engine: str) -> None:
    """The judge needs torch: it runs in this repository's environment, with the same home."""
    script = shell.home / "touchstone-local"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m touchstone_client.cli "$@"\n')
    script.chmod(0o755)
    local = Shell(script, shell.home, shell.url, {**clean_environment(), "PYTHONPATH": PYTHONPATH, "NO_COLOR": "1"})
    local.environment = {key: value for key, value in local.environment.items() if not key.startswith("XDG_")}
    local.environment["HOME"] = str(shell.home)
    done = local.json("test", folder, "--engine", engine)
    assert (done["ok"], done["trial"]["engine"], done["trial"]["split"]) == (True, engine, "sample")
    assert [item["key"] for item in done["trial"]["results"]] == ["performance.accuracy"]
    assert done["trial"]["results"][0]["value"] > 0.8


def submit(shell: Shell, slug: str, folder: Path) -> str:
    done = shell.json("submit", f"{slug}/open", folder, "--wait", "--timeout", "2m", "--name", "first")
    assert done["submission"]["status"] == "scored"
    assert done["results"]["items"][0]["value"] > 0.8, "what init makes is better than guessing"
    assert shell.json("submit", f"{slug}/open", folder, "--idempotency-key", "x1")["submission"]["status"]
    return str(done["submission"]["id"])


def follow(shell: Shell, submission: str) -> None:
    assert "status\tscored" in shell.run("status", submission).stdout
    assert shell.json("status", submission, "--watch")["submission"]["name"] == "first"
    shell.run("logs", submission)
    assert "scored" in shell.run("logs", submission, "--since", "1h").stderr.lower()
    assert "performance.accuracy\t" in shell.run("results", submission).stdout
    rows = shell.run("submissions", "--status", "scored").stdout
    assert submission in rows
    assert "next: " in shell.run("status", "no-such-thing", code=1).stderr


def upload_that_breaks(live: Live, shell: Shell, slug: str, folder: Path, wire: Wire) -> str:
    """Three parts: Ctrl-C after the first, then a cut, then the server is killed; every part is sent about once."""
    (folder / "ballast.bin").write_bytes(os.urandom(_PART * 5 // 2))
    before = wire.sent
    running = shell.start("submit", f"{slug}/open", folder)
    wire.cut(after=_PART * 3 // 2, then=lambda: running.send_signal(signal.SIGINT))
    out, told = running.communicate(timeout=120)
    assert (running.returncode, out) == (130, "")
    assert "Run the same command again" in told

    wire.cut(after=_PART // 2)
    running = shell.start("submit", f"{slug}/open", folder)
    until(lambda: wire.is_cut, "the cut", seconds=30)
    wire.cut(after=_PART // 2, then=lambda: _kill_server(live))
    out, told = running.communicate(timeout=150)
    assert running.returncode == 0, told
    assert "trying again" in told
    assert "Submitted" in told
    assert wire.sent - before < 4.6 * _PART, "what the server had was not sent again"
    return out.strip()


def _kill_server(live: Live) -> None:
    assert live.stack.supervisor is not None
    pid = live.stack.supervisor.pid("server")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def stop(shell: Shell, slug: str, folder: Path) -> None:
    (folder / "ballast.bin").unlink()
    (folder / "main.py").write_text("import time\ntime.sleep(600)\n")
    sent = shell.run("submit", f"{slug}/open", folder).stdout.strip()
    shell.run("cancel", sent)
    assert shell.json("status", sent, "--watch", "--timeout", "1m", code=3)["submission"]["status"] == "cancelled"


def use_up(shell: Shell, slug: str) -> None:
    for number in range(5):
        file = shell.home / f"answers{number}.csv"
        file.write_text(answers(wrong=number))
        left = shell.json("quota", slug)["quota"]["remaining_total"]
        if not left:
            break
        shell.run("submit", slug, file)
    assert "used up" in shell.run("submit", slug, file, code=5).stderr


def board(shell: Shell, slug: str) -> None:
    assert "wanda (you)" in shell.run("leaderboard").stdout
    found = shell.json("leaderboard", slug, "--q", "wanda")["leaderboard"]
    assert [row["participant"] for row in found["rows"]] == ["wanda"]
    assert "wanda" in shell.run("leaderboard", slug, "--csv").stdout


def sign_out(shell: Shell) -> None:
    assert "revoked and forgotten" in shell.run("logout").stderr
    shell.run("whoami", code=4)
