"""Write the pictures: `python -m scripts.screenshots [--out FOLDER] [--strict] [NAME ...]`."""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from scripts.screenshots.pictures import PICTURES, Picture
from scripts.screenshots.site import MOMENT, site
from scripts.screenshots.terminals import TERMINALS, Desk, frame
from scripts.stack import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

_DESK = {"width": 1440, "height": 900}
_PHONE = {"width": 390, "height": 844}


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
    missing: list[tuple[str, str]] = []
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
            for name, _what, take in TERMINALS:
                if _wanted(name, names):
                    page = browser.new_context(viewport=_DESK).new_page()
                    take(page, Desk(url, token, folder))
                    _save(page, out / f"{name}.png")
                    page.context.close()
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
    if picture.address:
        frame(page, file)
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


if __name__ == "__main__":
    raise SystemExit(main())
