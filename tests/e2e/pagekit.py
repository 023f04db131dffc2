"""What is looked at on each page: axe, width, scripts, and the way of the keyboard."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.contrib.staticfiles import finders

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

_AXE = (Path(__file__).parents[1] / "fixtures/vendor/axe/axe.min.js").read_text()
#: KiB that the scripts of a page may have, compressed.
SCRIPT_BUDGET = 350
PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 800}
#: The serious and critical rules of axe that look at colours.
COLOUR_RULES = ("color-contrast", "link-in-text-block")

_RUN_AXE = """async (rules) => {
  const options = {resultTypes: ["violations"], iframes: false};
  if (rules.length) options.runOnly = {type: "rule", values: rules};
  const found = await axe.run(document, options);
  return found.violations.filter(v => ["serious", "critical"].includes(v.impact)).map(
    v => v.id + ": " + v.nodes.slice(0, 3).map(
      n => n.target.join(" ") + " (" + n.any.map(a => a.message).join("; ") + ")").join(", "));
}"""

#: What sticks out of the window, and text that its own box cuts off. What scrolls by itself may be wider.
_TOO_WIDE = """() => {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push("the document scrolls sideways");
  const scrolls = el => { for (let e = el.parentElement; e; e = e.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true; } return false; };
  const name = el => el.tagName.toLowerCase() + (el.id ? "#" + el.id : "") +
    (typeof el.className === "string" && el.className ? "." + el.className.trim().split(/\\s+/).join(".") : "");
  for (const el of document.body.querySelectorAll("*")) {
    const box = el.getBoundingClientRect();
    if (box.width < 2 || box.height < 2 || el.closest("svg") && el.tagName !== "svg") continue;
    if (!el.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const hidden = el.closest(".visually-hidden, .visually-hidden-focusable, .skip-link");
    if (hidden) continue;
    if ((box.right > root.clientWidth + 1 || box.left < -1) && !scrolls(el)) found.push(name(el) + " sticks out");
    const style = getComputedStyle(el);
    if (["hidden", "clip"].includes(style.overflowX) && style.textOverflow !== "ellipsis" &&
        el.scrollWidth > el.clientWidth + 1 && !["INPUT", "SELECT", "TEXTAREA"].includes(el.tagName))
      found.push(name(el) + " cuts its content off");
  }
  return [...new Set(found)].slice(0, 5);
}"""

_SCRIPTS = """() => [...new Set(performance.getEntriesByType("resource").map(e => e.name)
  .concat([...document.scripts].map(s => s.src)).filter(n => new URL(n || "x:").pathname.endsWith(".js")))]"""

#: What a keyboard has to reach: one of a group of radio buttons is enough.
_REACHABLE = """() => {
  const seen = new Set(), found = [];
  for (const el of document.querySelectorAll(
      "a[href], button:not([disabled]), input:not([disabled]):not([type=hidden]), select:not([disabled]), " +
      "textarea:not([disabled]), summary, [tabindex='0']")) {
    if (!el.checkVisibility({visibilityProperty: true}) || el.tabIndex < 0 || el.closest("[inert]")) continue;
    if (el.type === "radio") { if (seen.has(el.name)) continue; seen.add(el.name); }
    el.dataset.reach = found.length;
    found.push(el.outerHTML.slice(0, 120));
  }
  return found;
}"""
_FOCUSED = """() => {
  const el = document.activeElement;
  if (!el || el === document.body) return null;
  const look = e => { const s = getComputedStyle(e);
    return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== "none"; };
  const holder = el.closest("label, .drop, fieldset, .input-group");
  const box = el.getBoundingClientRect();
  const group = el.type === "radio" ? document.querySelector(`input[type=radio][name="${el.name}"][data-reach]`) : el;
  return {reach: group && group.dataset.reach, html: el.outerHTML.slice(0, 120),
          shown: look(el) || (holder !== null && look(holder)), inside: box.bottom > 0 && box.top < innerHeight};
}"""


def axe(page: Page, *rules: str) -> list[str]:
    """Serious and critical faults; of all rules, or of `rules`."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_AXE)
    found: list[str] = page.evaluate(_RUN_AXE, list(rules))
    return found


def faults(page: Page) -> list[str]:
    """Everything that is wrong with the page that is open: at a desk in light and dark, on a phone, and its scripts.

    What the dark look changes are colours (`test_dark_changes_colours_alone`): in it only the rules that look at
    colours can come to another verdict than in light.
    """
    found = axe(page)
    page.emulate_media(color_scheme="dark")
    found += [f"in dark: {fault}" for fault in axe(page, *COLOUR_RULES)]
    page.set_viewport_size(PHONE)
    found += [f"at {PHONE['width']} px: {fault}" for fault in too_wide(page)]
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    if (size := script_kib(page)) > SCRIPT_BUDGET:
        found.append(f"{size:.0f} KiB of scripts")
    return found


def too_wide(page: Page) -> list[str]:
    """What does not fit into the window."""
    found: list[str] = page.evaluate(_TOO_WIDE)
    return found


def script_kib(page: Page) -> float:
    """What the scripts that the page has loaded have, compressed."""
    return sum(_compressed(urlsplit(url).path) for url in page.evaluate(_SCRIPTS)) / 1024


@cache
def _compressed(path: str) -> int:
    found = finders.find(path.partition("/static/")[2])
    assert isinstance(found, str), f"{path} is no static file"
    return len(gzip.compress(Path(found).read_bytes(), 6))


def by_keyboard(page: Page) -> list[str]:
    """What the Tab key does not reach, and what does not show that it has the focus."""
    wanted: list[str] = page.evaluate(_REACHABLE)
    reached, wrong = set(), []
    # From the top, also where a field has taken the focus.
    page.evaluate(
        "() => { const b = document.body; b.tabIndex = -1; b.focus(); b.removeAttribute('tabindex'); scrollTo(0, 0); }"
    )
    for step in range(len(wanted) + 10):
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUSED)
        if at is None:
            break
        if step == 0 and "#content" not in at["html"] and "#main" not in at["html"]:
            wrong.append(f"the first stop is no skip link: {at['html']}")
        if at["reach"] is not None:
            reached.add(int(at["reach"]))
        if not at["shown"]:
            wrong.append(f"shows no focus: {at['html']}")
        if not at["inside"]:
            wrong.append(f"has the focus out of sight: {at['html']}")
    wrong += [f"not reached: {html}" for number, html in enumerate(wanted) if number not in reached]
    return wrong
