"""A page to draw on, in pixels, and what is drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 720
#: Light and dark: paper, ink, muted, axis, grid, then the colours of the lines. Told apart by colour-blind people too.
_LIGHT = ("#ffffff", "#1f2328", "#59636e", "#8c959f", "#e4e8ec")
_DARK = ("#0d1117", "#e6edf3", "#9198a1", "#6e7681", "#262c34")
_LINES_LIGHT = ("#0a5fc4", "#c2500a", "#16806a", "#8250df", "#8f6a00", "#57606a", "#c32f4b", "#0e7490")
_LINES_DARK = ("#58a6ff", "#f0883e", "#3fc7a4", "#bc8cff", "#d9a82e", "#9aa4b0", "#ff7b8a", "#45c8d8")
COLOURS = len(_LINES_LIGHT)
#: Width of a letter of the text, about.
LETTER = 6.1


def _style() -> str:
    def rules(base: Sequence[str], lines: Sequence[str]) -> str:
        paper, ink, muted, axis, grid = base
        plain = (
            f".paper{{fill:{paper}}}.ink{{fill:{ink}}}.muted{{fill:{muted}}}.axis{{stroke:{axis}}}"
            f".grid{{stroke:{grid}}}.back{{stroke:{paper}}}"
        )
        return plain + "".join(f".f{i}{{fill:{c}}}.l{i}{{stroke:{c}}}" for i, c in enumerate(lines))

    return (
        "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}.small{font-size:11px}.bold{font-weight:600}"
        "path,line,polyline{fill:none}" + rules(_LIGHT, _LINES_LIGHT)
        + "@media(prefers-color-scheme:dark){" + rules(_DARK, _LINES_DARK) + "}"
    )  # fmt: skip


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    """Parts are drawn in the order in which they are added. `y` is where the next panel begins."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []
        self.y = 0.0

    def text(self, x: float, y: float, text: str, kind: str = "ink", *, anchor: str = "start") -> None:
        """`kind`: classes such as `muted small`. `y` is the base line."""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text x="{_n(x)}" y="{_n(y)}" class="{kind}"{at}>{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, *, width: float = 1, dash: str = "") -> None:
        more = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{kind}" '
            f'stroke-width="{_n(width)}"{more}/>'
        )

    def polyline(self, points: Sequence[tuple[float, float]], kind: str, *, dash: str = "") -> None:
        more = f' stroke-dasharray="{dash}"' if dash else ""
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(f'<polyline points="{places}" class="{kind}" stroke-width="2"{more}/>')

    def rect(self, x: float, y: float, width: float, height: float, kind: str, *, opacity: float = 1) -> None:
        more = "" if opacity == 1 else f' fill-opacity="{opacity:.2f}"'
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" class="{kind}"{more}/>'
        )

    def mark(self, x: float, y: float, series: int, *, hollow: bool = False) -> None:
        """A point of a line: another shape for each of the first four, so that colour is not all that tells."""
        kind = f"paper l{series % COLOURS}" if hollow else f"f{series % COLOURS} back"
        shape = series % 4
        width = "2" if hollow else "1"
        if shape == 0:
            body = f'<circle cx="{_n(x)}" cy="{_n(y)}" r="4.5"'
        else:
            corners = {
                1: ((-4, -4), (4, -4), (4, 4), (-4, 4)),
                2: ((0, -5.5), (5, 3.5), (-5, 3.5)),
                3: ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
            }[shape]
            body = f'<polygon points="{" ".join(f"{_n(x + a)},{_n(y + b)}" for a, b in corners)}"'
        self._parts.append(f'{body} class="{kind}" stroke-width="{width}"/>')

    def legend(self, names: Sequence[str], *, left: float = 16) -> None:
        """One line that says which mark is whose; it goes on below where it is too long."""
        x = left
        self.y += 14
        for series, name in enumerate(names):
            if x + 26 + LETTER * len(name) > WIDTH:
                x, self.y = left, self.y + 18
            self.mark(x + 5, self.y - 4, series)
            self.text(x + 15, self.y, name, "ink")
            x += 34 + LETTER * len(name)
        self.y += 8

    def svg(self) -> str:
        """The file."""
        height = _n(self.y + 12)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img">\n<title>{escape(self._title)}</title>\n<style>{_style()}</style>\n'
            f'<rect width="{WIDTH}" height="{height}" class="paper"/>\n' + "\n".join(self._parts) + "\n</svg>\n"
        )
