"""The figures of these pages: curves of the physics, correlations, and rendered scenes.

Each SVG is a text that follows from the numbers alone; the pictures come from the renderer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import exp, log, log10
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docs.scientific_background.feature_signs import CHANCE
from docs.scientific_background.paper_picture import paper_picture
from docs.scientific_background.physics import extinction, noise_error
from docs.scientific_background.sign_tables import measured, read_csv
from docs.scientific_background.valley import valley_at
from features.light import Light
from features.sky import FAR, MID, NEAR, picture_geometry

FOLDER = Path(__file__).parent
COLOURS = (
    *("#0b6e99", "#d1495b", "#66a182", "#c98a1b", "#6d597a", "#33415c", "#9c6644"),
    *("#2a9d8f", "#b5179e", "#606c38", "#bc6c25", "#457b9d"),
)
VALLEY_PM25 = (10, 40, 150, 400)  # [ug m-3]
_LEFT, _TOP, _WIDTH, _HEIGHT = 64, 20, 460, 270
_BAND_TINTS = {FAR: (214, 73, 91), MID: (237, 174, 73), NEAR: (11, 110, 153)}


@dataclass
class Plot:
    """A plane with two axes, linear or logarithmic, that gathers lines, dots and words as SVG."""

    x: tuple[float, float]
    y: tuple[float, float]
    titles: tuple[str, str]
    log_x: bool = False
    log_y: bool = False
    marks: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point stands on the sheet [px]."""
        return (
            _LEFT + _WIDTH * _share(x, self.x, self.log_x),
            _TOP + _HEIGHT * (1 - _share(y, self.y, self.log_y)),
        )

    def line(self, points: Iterable[tuple[float, float]], colour: str, dashes: str = "") -> None:
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*point)) for point in points)
        self.marks.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"'
            + (f' stroke-dasharray="{dashes}"/>' if dashes else "/>")
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        across, down = self.at(x, y)
        self.marks.append(
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2.2" fill="{colour}" opacity="0.65"/>'
        )

    def words(
        self, x: float, y: float, text: str, colour: str = "#333", anchor: str = "start"
    ) -> None:
        across, down = self.at(x, y)
        self.marks.append(_words(across, down, text, colour, anchor))

    def svg(
        self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]
    ) -> str:
        """The whole sheet, with ticks at the given values."""
        right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
        sheet = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + 116} {bottom + 46}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{right + 116}" height="{bottom + 46}" fill="#fff"/>',
        ]
        for value, label in x_ticks:
            across, _ = self.at(value, self.y[0])
            sheet.append(_rule(across, _TOP, across, bottom))
            sheet.append(_words(across, bottom + 16, label, "#333", "middle"))
        for value, label in y_ticks:
            _, down = self.at(self.x[0], value)
            sheet.append(_rule(_LEFT, down, right, down))
            sheet.append(_words(_LEFT - 6, down + 4, label, "#333", "end"))
        middle = _TOP + _HEIGHT / 2
        sheet += [
            *self.marks,
            _words(_LEFT + _WIDTH / 2, bottom + 36, self.titles[0], "#333", "middle"),
            f'<g transform="rotate(-90 16 {middle:.0f})">'
            + _words(16, middle, self.titles[1], "#333", "middle")
            + "</g>",
            "</svg>",
        ]
        return "\n".join(sheet) + "\n"


def transmission_svg() -> str:
    """t against distance for several PM2.5."""
    plot = Plot(
        (0, 12), (0, 1), ("distance [km]; at each curve its PM2.5 [µg/m³]", "transmission t")
    )
    distances = [k / 10 for k in range(121)]
    for pm25, colour in zip((5, 15, 37, 75, 150, 300), COLOURS, strict=False):
        beta = extinction(pm25, 50) * 1e-3
        plot.line(((d, exp(-beta * d)) for d in distances), colour)
        named = min(12.0, log(4) / beta)  # where the curve leaves the sheet, or t = 1/4
        plot.words(named + 0.12, exp(-beta * named), f"{pm25}", colour)
    plot.line([(0, 0.05), (12, 0.05)], "#888", "4 3")
    plot.words(12.12, 0.04, "no longer seen", "#888")
    return plot.svg(
        [(d, f"{d}") for d in range(0, 13, 2)], [(k / 5, f"{k / 5:.1f}") for k in range(6)]
    )


def best_distance_svg() -> str:
    """The error of PM2.5 from a contrast read to 1 % of its value at the object."""
    plot = Plot(
        (0.1, 40),
        (0.1, 300),
        ("distance [km]; at each curve its PM2.5 [µg/m³]", "error of PM2.5 [µg/m³]"),
        True,
        True,
    )
    distances = [0.1 * 400 ** (k / 120) for k in range(121)]
    for pm25, colour in zip((5, 15, 50, 150, 300), COLOURS, strict=False):
        errors = [(d, noise_error(pm25, d, 0.01, 50)) for d in distances]
        plot.line([point for point in errors if point[1] <= 300], colour)
        best = 1e3 / extinction(pm25, 50)
        plot.dot(best, noise_error(pm25, best, 0.01, 50), colour)
        # Beside the end of a curve that leaves at the right, before that of one that leaves above.
        x, y = [point for point in errors if point[1] <= 200][-1]
        anchor = "start" if x == distances[-1] else "end"
        plot.words(x * (1.03 if anchor == "start" else 0.94), y, f"{pm25}", colour, anchor)
    return plot.svg(
        [(d, f"{d:g}") for d in (0.1, 0.3, 1, 3, 10, 30)],
        [(e, f"{e:g}") for e in (0.1, 1, 10, 100)],
    )


def signs_svg() -> str:
    """Rank correlation with PM2.5 of every feature with a sign, upwards where it is as expected."""
    limits = {row["site"]: float(row["limit"]) for row in read_csv(CHANCE)}
    rows = [row for row in measured() if row["expected"] != "0"]
    sites = ["milan", *(site for site in limits if site != "milan")]
    plot = Plot(
        (0, len(sites)),
        (-1, 1),
        (
            "site; dashed: what one feature in twenty exceeds by chance",
            "Spearman with PM2.5 × expected sign",
        ),
    )
    families = list(dict.fromkeys(row["family"] for row in rows))
    for column, site in enumerate(sites):
        for level in (-limits[site], limits[site]):
            plot.line([(column + 0.05, level), (column + 0.95, level)], "#888", "4 3")
        for row in rows:
            if row["site"] == site:
                place = families.index(row["family"])
                across = column + 0.1 + 0.8 * (place + 0.5) / len(families)
                plot.dot(across, float(row["rho"]) * int(row["expected"]), COLOURS[place])
    for place, name in enumerate(families):
        plot.words(len(sites) + 0.08, 0.9 - 0.13 * place, name, COLOURS[place])
    return plot.svg(
        [(column + 0.5, site) for column, site in enumerate(sites)],
        [(k / 2, f"{k / 2:+.1f}".replace("-", "−")) for k in range(-2, 3)],
    )


def valley_picture() -> NDArray[np.uint8]:
    """The valley four times, the PM2.5 rising from left to right and from top to bottom."""
    views = [
        cv2.resize(valley_at(pm25), (288, 216), interpolation=cv2.INTER_AREA)
        for pm25 in VALLEY_PM25
    ]
    for view, pm25 in zip(views, VALLEY_PM25, strict=True):
        cv2.putText(view, f"{pm25}", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20, 20, 20), 2)
    picture: NDArray[np.uint8] = np.vstack([np.hstack(views[:2]), np.hstack(views[2:])])
    return picture


def bands_picture() -> NDArray[np.uint8]:
    """The valley, and the same with its depth bands tinted as the code finds them."""
    pixels = valley_at(VALLEY_PM25[0])
    bands = picture_geometry(Light(pixels)).bands
    tinted = pixels.copy()
    for band, tint in _BAND_TINTS.items():
        where = bands == band
        tinted[where] = (0.55 * pixels[where] + 0.45 * np.array(tint)).astype(np.uint8)
    picture: NDArray[np.uint8] = np.hstack(
        [cv2.resize(view, (288, 216), interpolation=cv2.INTER_AREA) for view in (pixels, tinted)]
    )
    return picture


SHEETS = {
    "transmission.svg": transmission_svg,
    "best_distance.svg": best_distance_svg,
    "feature_signs.svg": signs_svg,
}
PICTURES = {
    "paper_picture.png": paper_picture,
    "valley.png": valley_picture,
    "bands.png": bands_picture,
}


def write_figures() -> None:
    """Every figure into this folder."""
    for name, sheet in SHEETS.items():
        (FOLDER / name).write_text(sheet(), encoding="utf-8")
    for name, picture in PICTURES.items():
        # Six bits a channel halve the file and show as many tones as the eye tells apart.
        codes = picture()[..., ::-1] & np.uint8(0xFC)
        cv2.imwrite(str(FOLDER / name), codes, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _share(value: float, limits: tuple[float, float], is_log: bool) -> float:
    low, high = limits
    if is_log:
        low, high, value = log10(low), log10(high), log10(value)
    return (value - low) / (high - low)


def _words(x: float, y: float, text: str, colour: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{text}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#e4e4e4"/>'
