"""Small plots as SVG text that stays legible on a phone and needs nothing from elsewhere.

A sheet is 340 units wide with letters of 12: at 340 px, the width of a phone's column, a unit is a
pixel. Colours for sites are Paul Tol's *muted* set, told apart with any colour vision
(https://personal.sron.nl/~pault/), and each site has a shape of its own besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

WIDTH = 340
INK, QUIET, RULE, ACCENT, TINT = "#222", "#667", "#e3e5e8", "#0b6e99", "#d6e6ee"
SITE_COLOURS = (
    *("#332288", "#cc6677", "#117733", "#88ccee", "#882255", "#999933", "#44aa99", "#aa4499"),
)
# Within a circle of radius 1.
_SHAPES = ("", "M-.9-.9H.9V.9H-.9Z", "M0-1.1L1.05.75H-1.05Z", "M0-1.2L1.2 0 0 1.2-1.2 0Z")
_TOP, _BOTTOM, _RIGHT = 10, 42, 20
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`, with its title and its ticks as (value, text)."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Where a value stands between both ends: 0 … 1; beyond them it stays at the end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.is_log:
            low, high, at = log10(low), log10(high), log10(at)
        return (at - low) / (high - low)


def linear_axis(title: str, values: Iterable[float], n: int = 5) -> Axis:
    """An axis over `values` with about n steps of 1, 2 or 5 times a power of ten."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 1, high + 1
    rough = (high - low) / n
    power = 10.0 ** floor(log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= 0.999 * rough)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    decimals = max(0, -floor(log10(step) + 1e-9))
    ticks = [(k * step, number(k * step, decimals)) for k in range(first, last + 1)]
    return Axis(title, first * step, last * step, ticks)


def tight_axis(title: str, values: Iterable[float], margin: float = 0.08, n: int = 5) -> Axis:
    """The same with ends at the values themselves and a `margin` of their span."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    room = margin * (high - low) or 1.0
    ticks = linear_axis(title, [low - room, high + room], n).ticks
    inside = [tick for tick in ticks if low - room <= tick[0] <= high + room]
    return Axis(title, low - room, high + room, inside)


def log_axis(title: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis over positive `values`, ticks at 1, 2 and 5."""
    known = list(values) or [1.0, 100.0]
    low, high = 0.9 * min(known), 1.1 * max(known)
    ticks = [
        (k * 10.0**p, f"{k * 10.0**p:g}")
        for p in range(floor(log10(low)), ceil(log10(high)) + 1)
        for k in (1, 2, 5)
        if low <= k * 10.0**p <= high
    ]
    return Axis(title, low, high, ticks, is_log=True)


def share_axis(title: str, low: float = 0.0, most: int = 6) -> Axis:
    """From `low`, in whole tenths, to 1, written as percent at `most` ticks or fewer."""
    step = next(step for step in (10, 20, 50) if 100 * (1 - low) / step < most)
    ticks = [(k / 100, f"{k} %") for k in range(100, round(100 * low) - 1, -step)]
    return Axis(title, low, 1.0, ticks)


def number(value: float, decimals: int) -> str:
    """A number with a true minus sign, and none before a zero."""
    text = f"{abs(value):.{decimals}f}"
    return f"−{text}" if value < 0 and float(text) else text


@dataclass
class Plot:
    """A plane between two axes that gathers marks and becomes one `<svg>`.

    label  what the plot shows, for who cannot see it
    left   room for the ticks of the vertical axis
    """

    x: Axis
    y: Axis
    label: str
    height: int = 260
    left: int = 44
    right: int = _RIGHT
    marks: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Where a point stands on the sheet."""
        wide, high = WIDTH - self.left - self.right, self.height - _TOP - _BOTTOM
        return self.left + wide * self.x.share(x), _TOP + high * (1 - self.y.share(y))

    def line(
        self, points: Iterable[Point], colour: str, *, width: float = 1.8, dashes: str = ""
    ) -> None:
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*point)) for point in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.marks.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
            f"{dashed}/>"
        )

    def area(self, points: Iterable[Point], colour: str) -> None:
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*point)) for point in points)
        self.marks.append(f'<polygon points="{path}" fill="{colour}"/>')

    def bars(
        self, ends: Iterable[tuple[Point, Point]], colour: str, width: float, opacity: float = 1.0
    ) -> None:
        """Straight strokes from one point to another, as one mark."""
        path = "".join(
            "M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*self.at(*one), *self.at(*other))
            for one, other in ends
        )
        if path:
            faint = f' opacity="{opacity:g}"' if opacity < 1 else ""
            self.marks.append(
                f'<path d="{path}" stroke="{colour}" stroke-width="{width:g}"{faint}/>'
            )

    def dot(self, x: float, y: float, colour: str = ACCENT, shape: int = 0, r: float = 3) -> None:
        self.marks.append(_dot(*self.at(x, y), colour, shape, r))

    def words(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = INK,
        anchor: str = "start",
        shift: Point = (0, 0),
    ) -> None:
        across, down = self.at(x, y)
        self.marks.append(words(across + shift[0], down + shift[1], text, colour, anchor))

    def svg(self) -> str:
        """The whole sheet."""
        right, bottom = WIDTH - self.right, self.height - _BOTTOM
        middle = (_TOP + bottom) / 2
        sheet = []
        for value, label in self.x.ticks:
            across, _ = self.at(value, self.y.low)
            sheet.append(_rule(across, _TOP, across, bottom))
            sheet.append(words(across, bottom + 18, label, QUIET, "middle"))
        for value, label in self.y.ticks:
            _, down = self.at(self.x.low, value)
            sheet.append(_rule(self.left, down, right, down))
            sheet.append(words(self.left - 6, down + 4, label, QUIET, "end"))
        sheet += self.marks
        sheet.append(words((self.left + right) / 2, bottom + 36, self.x.title, INK, "middle"))
        if self.y.title:
            turned = words(0, 0, self.y.title, INK, "middle")
            sheet.append(f'<g transform="translate(12 {middle:.0f}) rotate(-90)">{turned}</g>')
        return svg(sheet, self.height, self.label)


def svg(marks: Iterable[str], height: float, label: str) -> str:
    """A sheet of marks, as wide as what it stands in."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">'
        + "".join(marks)
        + "</svg>"
    )


def words(x: float, y: float, text: str, colour: str = INK, anchor: str = "start") -> str:
    """A text; what it says is escaped."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{where}>{escape(text)}</text>'


def swatch(site: int) -> str:
    """The mark of a site by its number, for a legend."""
    return f'<svg class="swatch" viewBox="-6 -6 12 12">{_dot(0, 0, *site_mark(site), 4.2)}</svg>'


def site_mark(site: int) -> tuple[str, int]:
    """Colour and shape of a site by its number: no two of the first 32 are alike."""
    n = len(SITE_COLOURS)
    return SITE_COLOURS[site % n], (site + site // n) % len(_SHAPES)


def _dot(x: float, y: float, colour: str, shape: int, r: float) -> str:
    paint = f'fill="{colour}" fill-opacity=".8"'
    if not _SHAPES[shape]:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" {paint}/>'
    place = f"translate({x:.1f} {y:.1f}) scale({r:g})"
    return f'<path d="{_SHAPES[shape]}" transform="{place}" {paint}/>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{RULE}"/>'
