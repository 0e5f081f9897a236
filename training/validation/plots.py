"""The plots of a validation report, each drawn from the figures of its JSON alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    log_axis,
    number,
    share_axis,
    site_mark,
    tight_axis,
)

Block = Mapping[str, Any]

CURVES = (ACCENT, "#cc6677", "#117733")
DASHES = ("", "7 3", "2 3")
LEVELS = ("50", "80", "90", "95")
NOMINAL, LEAST, MOST = 0.9, 0.85, 0.95
_ESTIMATE, _LABEL = "estimate [µg/m³]", "measured [µg/m³]"
_LINE = 14  # from one name to the next below it
_LONGEST = 23  # letters of a group's name beside a plot
_FAINTEST = 1.0  # [ug m-3] lower end of a logarithmic axis


def scatter(points: Block, names: Sequence[str], label: str) -> str:
    """Estimates with their 90 % intervals against labels, both axes alike and logarithmic."""
    shown = [max(v, _FAINTEST) for key in ("pm25", "estimate") for v in points[key]]
    plot = Plot(log_axis(_LABEL, shown), log_axis(_ESTIMATE, shown), label, height=320)
    low, high = plot.x.low, plot.x.high
    plot.line([(low, low), (high, high)], QUIET, width=1)
    rows = list(
        zip(*(points[key] for key in ("site", "pm25", "estimate", "lower", "upper")), strict=True)
    )
    faint = 0.5 if len(rows) < 120 else 0.3
    for number_, name in enumerate(names):
        colour, _ = site_mark(number_)
        ends = [((y, lower), (y, upper)) for site, y, _, lower, upper in rows if site == name]
        plot.bars(ends, colour, 1, faint)
    for site, y, estimate, _, _ in rows:
        plot.dot(y, estimate, *site_mark(names.index(site)), r=2.6)
    return plot.svg()


def calibration(blocks: Sequence[Block], label: str) -> str:
    """Share of labels inside central intervals against their nominal level, one curve a split."""
    plot = Plot(share_axis("promised"), share_axis("kept"), label, height=300, left=52)
    plot.line([(0, 0), (1, 1)], QUIET, width=1)
    for i, block in enumerate(blocks):
        curve = block["probabilistic"]["calibration"]
        levels, observed = curve["levels"], curve["observed"]
        if observed is None:
            continue
        pairs = [(k, len(levels) - 1 - k) for k in range(len(levels) // 2, -1, -1)]
        central = [(levels[b] - levels[a], observed[b] - observed[a]) for a, b in pairs if a < b]
        plot.line([(0, 0), *central], CURVES[i], dashes=DASHES[i])
        shift = 0.008 * (i - 1)  # so that the bars of several splits stand beside one another
        for level in LEVELS:
            at, within = float(level) / 100 + shift, block["coverage"][f"coverage_interval_{level}"]
            if within is not None:
                plot.bars([((at, within[0]), (at, within[1]))], CURVES[i], 1.5)
            plot.dot(at, block["coverage"][f"coverage_{level}"], CURVES[i], r=2.6)
    return plot.svg()


def stroke(curve: int) -> str:
    """The line of a split by its number, for the legend of `calibration`."""
    return (
        '<svg class="swatch line" viewBox="0 0 30 12"><path d="M0 6H30" '
        f'stroke="{CURVES[curve]}" stroke-width="2.2" stroke-dasharray="{DASHES[curve]}"/></svg>'
    )


def coverage_by_group(
    groupings: Iterable[tuple[str, Sequence[tuple[str, Block]]]], label: str
) -> str:
    """A dot a group with its bootstrap bar, on the range that is aimed at."""
    rows: list[tuple[str, Block | None]] = []
    for title, groups in groupings:
        rows += [(title, None), *groups]
    lows = [b["coverage_90"] for _, b in rows if b is not None]
    lows += [b["coverage_interval_90"][0] for _, b in rows if b and b["coverage_interval_90"]]
    axis = share_axis("measured inside the 90 % range", int(10 * min([0.6, *lows])) / 10, most=5)
    n, high = len(rows), 22
    plot = Plot(axis, Axis("", 0, n, []), label, height=high * n + 50, left=160, right=22)
    plot.area([(LEAST, 0), (MOST, 0), (MOST, n), (LEAST, n)], TINT)
    plot.line([(NOMINAL, 0), (NOMINAL, n)], ACCENT, width=1)
    for i, (name, block) in enumerate(rows):
        y = n - i - 0.5
        if block is None:
            plot.words(axis.low, y, name, colour=ACCENT, anchor="end", shift=(-8, 5))
            continue
        plot.words(axis.low, y, _short(name), anchor="end", shift=(-8, 4))
        within = block["coverage_interval_90"]
        if within is not None:
            plot.bars([((within[0], y), (within[1], y))], INK, 1.5)
        plot.dot(block["coverage_90"], y, INK, r=3.2)
    return plot.svg()


def pit(histogram: Block, label: str) -> str:
    """Where in the predicted distribution the labels fell; level where it is calibrated."""
    edges, shares = histogram["edges"], histogram["shares"]
    top = max(0.12, *shares)
    x = Axis(
        "place of the measured value in the prediction",
        0,
        1,
        [(0.05, "low"), (0.5, "middle"), (0.95, "high")],
    )
    y = linear_axis("share of sessions", [0, top])
    y = Axis(y.title, y.low, y.high, [(v, f"{100 * v:.0f} %") for v, _ in y.ticks])
    plot = Plot(x, y, label, height=230, left=52)
    for i, share in enumerate(shares):
        a, b = edges[i] + 0.004, edges[i + 1] - 0.004
        plot.area([(a, 0), (b, 0), (b, share), (a, share)], "#8fb9cc")
    even = 1 / len(shares)
    plot.line([(0, even), (1, even)], INK, width=1, dashes="4 3")
    return plot.svg()


def sparsification(curve: Block, label: str) -> str:
    """Error of the answers left against the share of unsure ones taken away."""
    plot = Plot(
        share_axis("least certain answers left out"),
        linear_axis("error of the rest, all = 1", [0, 1, *curve["error"]], 4),
        label,
        left=46,
    )
    removed = curve["removed"]
    plot.line(zip(removed, curve["random"], strict=True), QUIET, width=1.2, dashes="4 3")
    plot.line(zip(removed, curve["oracle"], strict=True), QUIET, width=1.2, dashes="1 3")
    plot.line(zip(removed, curve["error"], strict=True), ACCENT, width=2.2)
    return plot.svg()


def residual_by_hour(columns: Block, label: str) -> str:
    """Median error by hour of the local day, with the range of the middle 80 %."""
    values = [0.0, *columns["lower"], *columns["upper"]]
    ticks = [(h, f"{h:02d}") for h in range(0, 25, 4)]
    x, y = Axis("local hour", -0.5, 24, ticks), linear_axis("estimate − measured [µg/m³]", values)
    plot = Plot(x, y, label, left=62)
    plot.line([(x.low, 0), (x.high, 0)], QUIET, width=1)
    hours = columns["hour"]
    ends = zip(hours, columns["lower"], columns["upper"], strict=True)
    plot.bars((((h, low), (h, high)) for h, low, high in ends), "#8fb9cc", 5)
    for hour, median in zip(hours, columns["median"], strict=True):
        plot.dot(hour, median, INK, r=3)
    return plot.svg()


def hourly_profile(profile: Block, label: str) -> str:
    """The mean day as measured and as estimated."""
    hours = profile["hours"]
    values = [0.0, *profile["pm25"], *profile["estimate"]]
    ticks = [(h, f"{h:02d}") for h in range(0, 25, 4)]
    plot = Plot(
        Axis("local hour", 0, 24, ticks), linear_axis("mean [µg/m³]", values), label, left=46
    )
    plot.line(zip(hours, profile["pm25"], strict=True), INK, width=1.4, dashes="4 3")
    plot.line(zip(hours, profile["estimate"], strict=True), ACCENT, width=2.2)
    for hour, estimate in zip(hours, profile["estimate"], strict=True):
        plot.dot(hour, estimate, r=2.6)
    return plot.svg()


def skill(rows: Sequence[tuple[str, float]], label: str) -> str:
    """Mean absolute errors as bars, our own first."""
    n, left = len(rows), 148
    axis = linear_axis("mean absolute error [µg/m³]", [0, *(value for _, value in rows)], 4)
    plot = Plot(axis, Axis("", 0, n, []), label, height=28 * n + 50, left=left, right=34)
    for i, (name, value) in enumerate(rows):
        y = n - i - 0.5
        colour = ACCENT if i == 0 else "#aab4bd"
        plot.area([(0, y - 0.3), (value, y - 0.3), (value, y + 0.3), (0, y + 0.3)], colour)
        plot.words(0, y, name, anchor="end", shift=(-8, 4))
        plot.words(value, y, number(value, 1), shift=(5, 4))
    return plot.svg()


def added_haze(response: Block, label: str) -> str:
    """How many times the estimate is what it was, by optical depth of the haze that was added."""
    depths = [0.0, *response["depths"]]
    times = [1.0, *(1 + rise for rise in response["median_rise"])]
    x = linear_axis("optical depth of the added haze", depths)
    plot = Plot(x, linear_axis("estimate, without it = 1", [0, *times], 4), label, height=230)
    plot.line(zip(depths, times, strict=True), ACCENT, width=2.2)
    for depth, value in zip(depths, times, strict=True):
        plot.dot(depth, value)
    return plot.svg()


def site_map(sites: Mapping[str, Block], label: str) -> str:
    """Where the sites lie, on a plain grid of degrees; marks grow with the number of sessions."""
    names = list(sites)
    known = [name for name in names if None not in (sites[name]["lat"], sites[name]["lon"])]
    lons, lats = ([sites[name][key] for name in known] for key in ("lon", "lat"))
    x, y = tight_axis("longitude [°]", lons), tight_axis("latitude [°]", lats, 0.12)
    plot = Plot(x, y, label, height=300, left=46)
    placed: list[tuple[bool, float]] = []
    # The large first, so that they cover nothing.
    for name in sorted(known, key=lambda name: (-sites[name]["n_sessions"], name)):
        site, mark = sites[name], site_mark(names.index(name))
        plot.dot(site["lon"], site["lat"], *mark, r=3 + site["n_sessions"] ** 0.5 / 2)
    for name in sorted(known, key=lambda name: (-sites[name]["lat"], name)):
        lon, lat = sites[name]["lon"], sites[name]["lat"]
        across, down = plot.at(lon, lat)
        left = across > WIDTH / 2  # the name goes to the side that has room
        text = down
        while any(side == left and abs(text - other) < _LINE for side, other in placed):
            text += 1
        placed.append((left, text))
        side = -22 if left else 22
        start, end = f"{across + side / 2:.1f} {down:.1f}", f"{across + 0.85 * side:.1f} {text:.1f}"
        plot.marks.append(f'<path d="M{start}L{end}" stroke="{QUIET}" stroke-width=".8"/>')
        anchor = "end" if left else "start"
        plot.words(lon, lat, _short(name), anchor=anchor, shift=(side, text - down + 4))
    return plot.svg()


def _short(name: str) -> str:
    """A name that fits beside a plot."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 8]}…{name[-7:]}"
