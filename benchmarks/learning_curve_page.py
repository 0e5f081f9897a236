"""The page and the plot of the learning curve, written from its numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.validation.svg import (
    ACCENT,
    INK,
    QUIET,
    TINT,
    WIDTH,
    Axis,
    Plot,
    linear_axis,
    number,
    words,
)

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "scientific_background"
JSON = FOLDER / "learning_curve.json"
PAGE = FOLDER / "learning_curve.md"
PLOT = FOLDER / "learning_curve.svg"
Record = Mapping[str, Any]

INTRODUCTION = """\
# What a few labelled photos of a new camera are worth

Written by `make learning-curve` from photos that were held out; the words are those of
`benchmarks/learning_curve_page.py`. How it works: `training/camera_calibration.py`; how to use it:
[calibrate a camera](../how-to/calibrate-a-camera.md).

Models are fitted without the site. Half of its visits are drawn at random (a fixed camera's visit
is a day); n photos of theirs, by day, from as many visits as there are, calibrate a reference; the
photos of the **other** half are answered with it. *Constant* is the median label of the same n
photos, without any photo at n = 0: the median of the other sites. Means over {draws} draws.
Concentrations are in µg/m³.

* MAE over photos, and over visits (the medians of a visit).
* *Gain*: by how much the constant's error over photos exceeds ours, with its 90 % interval by
  bootstrap over visits; where that holds 0, these visits cannot tell the two apart. It speaks of
  other visits to this site, not of other sites.
* Coverage and width of the 90 % interval, each visit with the same weight.
* *Scale*: what one step of the models for new places is taken for at this camera. Near 0, nothing
  but its usual PM2.5 is left.

![Mean absolute error against the number of labelled photos, for each site](learning_curve.svg)
"""
_HEADS = (
    *("photos", "visits", "MAE", "constant", "MAE by visit", "constant by visit", "gain (90 %)"),
    *("coverage of 90 %", "width", "scale"),
)
_QUALITIES = {"A": "reference station", "B": "published beside the photo", "C": "converted"}
_PANEL = 250  # height of a site's plot
_TITLE = 26


def page(result: Record) -> str:
    """docs/scientific_background/learning_curve.md as Markdown."""
    data = ", ".join(f"{name} ({count} photos)" for name, count in result["data"].items())
    lines = [
        INTRODUCTION.format(draws=result["draws"]),
        f"Data: {data}, `{result['data_hash'][:12]}`. Feature set `{result['feature_set'][:12]}`. "
        f"Seed {result['seed']}.",
        "",
    ]
    for site in result["sites"]:
        quality = " and ".join(f"{_QUALITIES[q]} ({q})" for q in site["qualities"])
        lines += [
            f"## {site['site']}",
            "",
            f"{site['n_photos']} photos by day of {site['n_visits']} visits, SD of y "
            f"{site['sd_y']:.1f}, labels {quality}. Prior, in units of the reach of an unknown "
            f"camera's interval: level {site['prior']['level_sd']:.2f}, "
            f"photos {site['prior']['session_sd']:.2f}.",
            "",
            *_table(site["by_day"]),
        ]
        if site["by_night"]:
            lines += [
                f"The same references by night, {site['n_photos_by_night']} photos: the estimate "
                "is the camera's usual PM2.5.",
                "",
                *_table(site["by_night"]),
            ]
    return "\n".join(lines)


def _table(records: Sequence[Record]) -> Iterator[str]:
    yield "| " + " | ".join(_HEADS) + " |"
    yield "|" + "---|" * len(_HEADS)
    for r in records:
        cells = (
            f"{r['n']}",
            f"{r['visits']:.1f}",
            f"{r['mae']:.1f}",
            f"{r['constant_mae']:.1f}",
            f"{r['session_mae']:.1f}",
            f"{r['constant_session_mae']:.1f}",
            f"{number(r['gain'], 1)} ({number(r['gain_low'], 1)} to {number(r['gain_high'], 1)})",
            f"{r['coverage_90']:.2f}",
            f"{r['mean_width_90']:.0f}",
            f"{r['scale']:.2f}",
        )
        yield "| " + " | ".join(cells) + " |"
    yield ""


def plot(result: Record) -> str:
    """One panel a site, below one another: error of the calibrated camera and of the constant."""
    panels = [_panel(site) for site in result["sites"]]
    legend = _legend()
    height = len(legend) * 18 + 12 + len(panels) * (_PANEL + _TITLE)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *(mark for i, line in enumerate(legend) for mark in _key(12 + 18 * i, *line)),
    ]
    top = len(legend) * 18 + 12
    for site, panel in zip(result["sites"], panels, strict=True):
        title = f"{site['site'].replace('_', ' ').title()}, {site['n_visits']} visits"
        parts.append(words(10, top + 16, title, INK))
        parts.append(
            f'<svg y="{top + _TITLE}" width="{WIDTH}" height="{_PANEL}">{panel.svg()}</svg>'
        )
        top += _PANEL + _TITLE
    return "\n".join([*parts, "</svg>\n"])


def _panel(site: Record) -> Plot:
    records = site["by_day"]
    places = [float(i) for i in range(len(records))]  # equal steps: the counts double
    ticks = [(place, f"{r['n']}") for place, r in zip(places, records, strict=True)]
    errors = [0.0, *(r[key] for r in records for key in ("mae_high", "constant_mae"))]
    panel = Plot(
        Axis("labelled photos", -0.2, places[-1] + 0.2, ticks),
        linear_axis("MAE [µg/m³]", errors),
        f"{site['site']}: error against the number of labelled photos",
        height=_PANEL,
    )
    ends = list(zip(places, records, strict=True))
    band = [(x, r["mae_low"]) for x, r in ends] + [(x, r["mae_high"]) for x, r in reversed(ends)]
    panel.area(band, TINT)
    panel.line([(x, r["constant_mae"]) for x, r in ends], QUIET, dashes="5 3")
    panel.line([(x, r["mae"]) for x, r in ends], ACCENT, width=2.2)
    for x, r in ends:
        panel.dot(x, r["mae"])
    return panel


def _legend() -> tuple[tuple[str, str, float], ...]:
    """Text, colour and width of each stroke."""
    return (
        ("calibrated camera, mean of all draws", ACCENT, 2.2),
        ("10 to 90 % of the draws", TINT, 10.0),
        ("constant: median of the same labels", QUIET, 1.8),
    )


def _key(y: float, text: str, colour: str, width: float) -> Iterator[str]:
    dashes = ' stroke-dasharray="5 3"' if colour == QUIET else ""
    yield f'<path d="M10 {y:g}H38" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
    yield words(46, y + 4, text, INK)
