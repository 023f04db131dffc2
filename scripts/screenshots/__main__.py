"""Write the pictures: `python -m scripts.screenshots [--out FOLDER] [--strict] [NAME ...]`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import html
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from scripts.screenshots.pictures import MISSING, PICTURES, TERMINALS, Picture
from scripts.screenshots.site import MOMENT, site
from scripts.stack import PYTHONPATH, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

_DESK = {"width": 1440, "height": 900}
_COLUMNS = 200
_PHONE = {"width": 390, "height": 844}
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
@font-face {{ font-family: Mono; src: url("{font}"); }}
body {{ margin: 0; padding: 48px; background: #f6f8fa; }}
pre {{ margin: 0; padding: 24px 32px; border-radius: 8px; background: #0f141b; color: #e6ebf2;
  font: 10.5px/18px Mono, monospace; white-space: pre-wrap; }}
b {{ color: #6ca8ff; font-weight: 600; }}
</style><pre>{text}</pre>"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only pictures whose name begins so")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/screenshots")
    parser.add_argument("--strict", action="store_true", help="fail where a picture could not be taken")
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("Pictures are taken by Chromium, and none was found on PATH: apt-get install chromium.", file=sys.stderr)
        return 1
    asked.out.mkdir(parents=True, exist_ok=True)
    missing = _take_all(asked.out, chromium, tuple(asked.names))
    size = sum(path.stat().st_size for path in asked.out.glob("*.png"))
    print(f"{len(list(asked.out.glob('*.png')))} pictures, {size / 2**20:.1f} MiB, in {asked.out}")
    for name, why in missing:
        print(f"missing: {name}: {why}")
    return 1 if missing and asked.strict else 0


def _take_all(out: Path, chromium: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    missing = [(name, f"there is nothing to take of {what} yet") for name, what in MISSING if _wanted(name, names)]
    with site() as (url, clock, folder):
        from scripts.screenshots.seed import seed
        from scripts.screenshots.signing import sessions
        from tests.factories.browsing import chromium_runs

        seeded = seed(clock, folder)
        cookies, token = sessions(seeded)
        places = {name: getattr(seeded, name).pk for name in ("done", "failed", "running", "draft")}
        with chromium_runs(chromium) as browser:
            for picture in PICTURES:
                if _wanted(picture.name, names):
                    why = _take(browser, url, picture, out, places, cookies)
                    missing += [(picture.name, why)] if why else []
            for name, _what, command in TERMINALS:
                if _wanted(name, names):
                    _terminal(browser, url, token, out / f"{name}.png", command)
    return missing


def _wanted(name: str, names: tuple[str, ...]) -> bool:
    return not names or name.startswith(names)


def _take(
    browser: Browser, url: str, picture: Picture, out: Path, places: dict[str, Any], cookies: dict[str, str]
) -> str:
    """Why it could not be taken; "" where it was."""
    shapes: list[tuple[str, dict[str, int], str]] = [("", _DESK, "light")]
    if picture.key:
        shapes += [("-dark", _DESK, "dark"), ("-phone", _PHONE, "light")]
    for suffix, size, scheme in shapes:
        context = browser.new_context(
            base_url=url, viewport=size, color_scheme=scheme, reduced_motion="reduce", locale="en-GB", timezone_id="UTC"
        )
        why = _shoot(context, url, picture, out / f"{picture.name}{suffix}.png", places, cookies)
        context.close()
        if why:
            return why
    return ""


def _shoot(
    context: BrowserContext, url: str, picture: Picture, file: Path, places: dict[str, Any], cookies: dict[str, str]
) -> str:
    if picture.who in cookies:
        context.add_cookies([{"name": "sessionid", "value": cookies[picture.who], "url": url}])
    page = context.new_page()
    page.clock.set_fixed_time(MOMENT)
    page.emulate_media(media=picture.media)
    response = page.goto(picture.path.format(**places))
    if response is None or response.status != picture.status:
        return f"{picture.path} answers {response.status if response else 'nothing'}: there is no such page yet"
    try:
        if picture.act is not None:
            picture.act(page)
    except Exception as error:  # the page is not what the act was written for
        return str(error).splitlines()[0]
    _save(page, file)
    return ""


def _save(page: Page, file: Path) -> None:
    """As a PNG of few colours, once fonts are there and charts are drawn."""
    page.evaluate("document.fonts.ready.then(() => true)")
    page.wait_for_timeout(400)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    picture.convert("RGB").quantize(192, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        file, optimize=True
    )


def _terminal(browser: Browser, url: str, token: str, file: Path, command: tuple[str, ...]) -> None:
    """A page with what the command prints."""
    env = {**os.environ, "PYTHONPATH": PYTHONPATH, "NO_COLOR": "1", "COLUMNS": str(_COLUMNS), "TERM": "xterm"}
    env |= {"TOUCHSTONE_URL": url, "TOUCHSTONE_TOKEN": token}
    argv = [sys.executable, "-m", "touchstone_client.cli", *command]
    said = _said(argv, env)
    font = ROOT / "platform/touchstone/web/static/web/vendor/jetbrains-mono-latin-wght-normal.woff2"
    text = f"<b>$ touchstone {html.escape(' '.join(command))}</b>\n{html.escape(said.rstrip())}"
    context = browser.new_context(viewport=_DESK)
    page = context.new_page()
    source = file.with_suffix(".html")
    source.write_text(_TERMINAL.format(font=font.as_uri(), text=text))
    page.goto(source.as_uri())
    _save(page, file)
    source.unlink()
    context.close()


def _said(argv: list[str], env: dict[str, str]) -> str:
    """What a command prints to a person: tables are drawn for a terminal only."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, _COLUMNS, 0, 0))
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT, env=env, cwd=ROOT) as process:
        os.close(theirs)
        parts = []
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                parts.append(part)
    os.close(ours)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with status {process.returncode}")
    return re.sub(r"\x1b\[[0-9;]*m", "", b"".join(parts).decode().replace("\r\n", "\n"))


if __name__ == "__main__":
    raise SystemExit(main())
