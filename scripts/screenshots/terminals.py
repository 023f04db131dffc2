"""What commands print and what a CI job shows, as pictures: really run, against the site of the pictures."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.stack import PYTHONPATH, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

_COLUMNS = 150
_FONTS = ROOT / "platform/touchstone/web/static/web/vendor"
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
@font-face {{ font-family: Mono; src: url("{font}"); }}
body {{ margin: 0; padding: 40px; background: #f6f8fa; }}
pre {{ margin: 0; padding: 24px 32px; border-radius: 8px; background: #0f141b; color: #e6ebf2;
  font: 13px/20px Mono, monospace; white-space: pre-wrap; }}
b {{ color: #6ca8ff; font-weight: 600; }}
</style><pre>{text}</pre>"""
_JOB = """<!doctype html><meta charset="utf-8"><style>
@font-face {{ font-family: Inter; src: url("{font}"); font-weight: 100 900; }}
body {{ margin: 0; padding: 40px 48px; background: #f6f8fa; color: #1b2330; font: 15px/1.55 Inter, sans-serif; }}
header {{ font-weight: 600; padding: 12px 24px; border: 1px solid #d8dee6; border-bottom: 0; border-radius: 8px 8px 0 0;
  background: #fff; }}
header small {{ color: #56606e; font-weight: 400; margin-left: 8px; }}
main {{ padding: 8px 24px 24px; border: 1px solid #d8dee6; border-radius: 0 0 8px 8px; background: #fff; }}
h2 {{ font-size: 22px; border-bottom: 1px solid #d8dee6; padding-bottom: 8px; }}
table {{ border-collapse: collapse; margin: 16px 0; font-variant-numeric: tabular-nums; }}
th, td {{ border: 1px solid #d8dee6; padding: 6px 12px; }}
th {{ background: #f6f8fa; font-weight: 600; text-align: left; }}
a {{ color: #1f5fbf; }} summary {{ cursor: pointer; }}
</style><header>submit <small>job summary</small></header><main>{text}</main>"""
_FRAME = """<!doctype html><meta charset="utf-8"><style>
@font-face {{ font-family: Inter; src: url("{font}"); font-weight: 100 900; }}
body {{ margin: 0; background: #d8dee6; font: 14px/20px Inter, sans-serif; color: #1b2330; }}
div {{ margin: 8px 16px; padding: 6px 16px; border-radius: 16px; background: #fff; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; }}
img {{ display: block; width: 100%; }}
</style><div>{address}</div><img alt="" src="data:image/png;base64,{picture}">"""


@dataclass(frozen=True)
class Desk:
    """Where commands are run: the site, a person's token, and a folder to work in."""

    url: str
    token: str
    folder: Path

    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": PYTHONPATH, "NO_COLOR": "1", "COLUMNS": str(_COLUMNS), "TERM": "xterm"}
        return {**os.environ, **own, "TOUCHSTONE_URL": self.url, "TOUCHSTONE_TOKEN": self.token}


def _terminal(page: Page, desk: Desk) -> None:
    """A submission that is waited for, and the leaderboard after it."""
    from scripts.screenshots.seed import answers

    work = _place(desk)
    (work / "predictions.csv").write_text(answers(7, 3.3, 1.9, 0.3, -0.1))
    lines = [
        ["submit", "recidivism/development", "predictions.csv", "-m", "calibrated, 5 seeds", "--wait"],
        [
            "leaderboard",
            "recidivism",
            "--limit",
            "6",
            "--columns",
            "trust,performance.balanced_accuracy,performance.roc_auc",
        ],
    ]
    told = []
    for command in lines:
        with _node(desk.folder / f"runs-{command[0]}"):
            said = _said([sys.executable, "-m", "touchstone_client.cli", *command], desk.environment(), work)
        shown = " ".join(f'"{word}"' if " " in word else word for word in command)
        told.append(f"<b>$ touchstone {html.escape(shown)}</b>\n{html.escape(said.rstrip())}")
    font = (_FONTS / "jetbrains-mono-latin-wght-normal.woff2").as_uri()
    _show(page, desk, _TERMINAL.format(font=font, text="\n\n".join(told)))


def _job(page: Page, desk: Desk) -> None:
    """The summary that a job writes, rendered as a CI service does: tables, and HTML as it is."""
    from markdown_it import MarkdownIt

    from scripts.screenshots.seed import answers

    work = _place(desk)
    (work / "predictions.csv").write_text(answers(11, 3.4, 2.0, 0.1, -0.25))
    summary = work / "summary.md"
    inputs = {
        "COMPETITION": "recidivism", "PHASE": "development", "PATH": "predictions.csv", "MESSAGE": "wider net",
        "FAIL_UNDER": "performance.balanced_accuracy=0.62\nperformance.log_loss=0.6",
    }  # fmt: skip
    job = {
        "GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "4242", "GITHUB_JOB": "submit", "GITHUB_REF_NAME": "main",
        "GITHUB_REPOSITORY": "northwind/recidivism", "GITHUB_SHA": "8f2c1e7b9a4d", "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_SERVER_URL": "https://git.example.org",
    }  # fmt: skip
    env = desk.environment() | {f"TOUCHSTONE_CI_{name}": value for name, value in inputs.items()} | job
    with _node(desk.folder / "runs-job"):
        subprocess.run([sys.executable, "-m", "touchstone_client.ci"], env=env, cwd=work, check=False)
    text = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(summary.read_text())
    _show(page, desk, _JOB.format(font=(_FONTS / "inter-latin-wght-normal.woff2").as_uri(), text=text))


def frame(page: Page, picture: Path) -> None:
    """Put the picture of a page below its address, as a browser shows it."""
    address = html.escape(re.sub(r"^https?://[^/]*", "https://touchstone.example.org", page.url))
    inside = base64.b64encode(picture.read_bytes()).decode()
    font = (_FONTS / "inter-latin-wght-normal.woff2").as_uri()
    source = picture.with_suffix(".html")
    source.write_text(_FRAME.format(font=font, address=address, picture=inside))
    page.goto(source.as_uri())
    source.unlink()


def _show(page: Page, desk: Desk, text: str) -> None:
    """As large as what is on it."""
    source = desk.folder / "page.html"
    source.write_text(text)
    page.goto(source.as_uri())
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": 1440, "height": max(height, 500)})


def _place(desk: Desk) -> Path:
    work = desk.folder / "work"
    work.mkdir(exist_ok=True)
    return work


@contextlib.contextmanager
def _node(folder: Path) -> Iterator[None]:
    """Something that judges what arrives, for as long as the block runs."""
    over = threading.Event()
    working = threading.Thread(target=_judge, args=(folder, over))
    working.start()
    try:
        yield
    finally:
        over.set()
        working.join()


def _judge(folder: Path, over: threading.Event) -> None:
    from django.db import connection

    from tests.factories.in_process import run_everything
    from touchstone.evaluations.models import Run, RunStatus

    try:
        while not over.wait(0.3):
            if Run.objects.filter(status=RunStatus.RECEIVED).exists():
                over.wait(1.0)  # long enough to be seen waiting
                run_everything(folder)
    finally:
        connection.close()


def _said(argv: list[str], env: dict[str, str], work: Path) -> str:
    """What a command prints to a person: tables are drawn for a terminal only."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, _COLUMNS, 0, 0))
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT, env=env, cwd=work) as process:
        os.close(theirs)
        parts = []
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                parts.append(part)
    os.close(ours)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with status {process.returncode}")
    return _settled(b"".join(parts).decode())


def _settled(text: str) -> str:
    """What stays on the screen: without colours, and without bars that were taken away again."""
    screen, row, at = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+|\x1b", text):
        if part == "\n":
            row, at = row + 1, 0
            screen += [""] * (row + 1 - len(screen))
        elif part == "\r":
            at = 0
        elif part.startswith("\x1b"):
            row = max(row - 1, 0) if part == "\x1b[1A" else row
            screen[row] = "" if part == "\x1b[2K" else screen[row]
        else:
            screen[row] = screen[row][:at].ljust(at) + part + screen[row][at + len(part) :]
            at += len(part)
    return "\n".join(line.rstrip() for line in screen)


#: What no page shows: (name, what it shows, what puts it on a page).
TERMINALS: tuple[tuple[str, str, Callable[[Page, Desk], None]], ...] = (
    ("15-terminal", "a submission and the leaderboard, at the command line", _terminal),
    ("16-ci", "the summary of a CI job", _job),
)
