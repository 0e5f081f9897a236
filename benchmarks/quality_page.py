"""The page on the quality verdict, written from its numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "scientific_background"
JSON = FOLDER / "quality.json"
PAGE = FOLDER / "quality.md"
Record = Mapping[str, Any]

INTRODUCTION = """\
# What the quality verdict finds, and what it costs

Written by `make quality`; the words are those of `benchmarks/quality_page.py`. The checks stand in
`features/quality.py` and the files it names; the codes are explained in
[read an answer](../how-to/read-an-answer.md). Real photos are those of the development data,
rendered ones are our own scenes. Bad photos are made of good ones by `benchmarks/bad_photos.py`,
which knows nothing of the checks. The good ones are {sources}.

A photo is refused where nothing could be said of it; otherwise it is answered, warned of, and its
interval widened.
"""

KINDS = """\

## Bad photos: how many are found

*Found*: at least one of the expected codes was given, by origin of the good photo. *Any*: at least
one code. Softness is no flaw of frames that are smaller than the working size (640 px), so that
kinds of it are not made of them. *No sky* is the lowest third of a photo, and most hand-held
frames show some sky even there. Rooms and smudges are where the verdict is weak: without exposure
data, a lit room with a pale ceiling passes for a street under a pale sky more often than not.

"""

GOOD = """\

## Good photos: how many are refused

Every photo of each data set, with the set's own size limit. A frame of bare sky or of a wall is
rightly warned of: some of the hand-held ones are.

"""

LEVELS = """\

## Refusals and warnings against PM2.5

A quality gate that follows PM2.5 would throw away what it is there to measure. Real photos by day,
by label; rendered places, the same at every level, with nothing changed but the air. Concentrations
in µg/m³. Photos of one level come from few visits, so that rates of real photos differ with what a
visit shows (bare sky, most of all) before they differ with its air. The last table therefore adds
haze to real photos, and changes nothing else.
"""

SPREADS = """\

## How much a flaw widens the interval

By how much the estimate of ln PM2.5 moved when a photo was spoiled, over bad photos of the kinds
that expect the code, in which it was found (over all of these kinds where it was found in fewer
than eight): root mean square (the spread s of `handlers/flaw_spread.py`) and mean, as a new place
and, where the camera is known to {archive}, as a fixed view. The half-width h of the 90 %
interval of ln PM2.5 becomes √(h² + (1.645 s)²), s² being summed over a photo's flaws; the estimate
stays. *Wider* is that factor at h = {half_new} and {half_fixed}, about those of a new place and of
the webcam. Models that were fitted on a camera's nights have paid for darkness already. The
archive has seen the real photos in training: their estimates are better than those of new photos,
what spoiling does to them is not.
"""

HALF_WIDTHS = {"new_place": 2.0, "fixed_view": 0.6}
SPREADS_TO_95 = 1.645


def page(result: Record) -> str:
    """The Markdown of `result`, what `benchmarks.quality.measure` gives."""
    sources = ", ".join(f"{n} of {origin}" for origin, n in result["sources"].items())
    spread = SPREADS.format(
        archive=result["archive"],
        half_new=HALF_WIDTHS["new_place"],
        half_fixed=HALF_WIDTHS["fixed_view"],
    )
    parts = [
        INTRODUCTION.format(sources=sources),
        *(KINDS, *_lines(_kinds(result))),
        *(GOOD, *_lines(_good(result))),
        LEVELS,
        *(line for group in result["levels"] for line in _level(group)),
        *_level(result["hazed"], "optical depth added"),
        *(spread, "\n", *_lines(_spreads(result))),
    ]
    return "".join(parts)


def _lines(rows: Iterator[str]) -> Iterator[str]:
    return (f"{row}\n" for row in rows)


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else ""


def _codes(counts: Mapping[str, int], total: int, least: float = 0.0) -> str:
    shown = {code: n for code, n in counts.items() if n >= least * total}
    return ", ".join(f"`{code}` {n / total:.0%}" for code, n in shown.items())


def _kinds(result: Record) -> Iterator[str]:
    origins = list(result["sources"])
    yield f"| kind | expected | {' | '.join(origins)} | any | refused | codes given |"
    yield f"|---|---|{'---:|' * (len(origins) + 2)}---|"
    for row in result["kinds"]:
        found = " | ".join(
            "{} of {}".format(*row["caught"][origin]) if origin in row["caught"] else ""
            for origin in origins
        )
        expected = ", ".join(f"`{code}`" for code in row["expected"])
        any_code, refused = (_share(row[name], row["n"]) for name in ("named", "refused"))
        codes = _codes(row["codes"], row["n"], least=0.1)
        yield f"| {row['kind']} | {expected} | {found} | {any_code} | {refused} | {codes} |"


def _good(result: Record) -> Iterator[str]:
    yield "| photos | size limit [px] | n | refused | reasons | warned of | codes |"
    yield "|---|---:|---:|---:|---|---:|---|"
    for row in result["good"]:
        yield f"| {row['photos']} | {row['min_side']} | {_rates(row)} |"


def _rates(row: Record) -> str:
    return " | ".join(
        (
            str(row["n"]),
            _share(row["refused"], row["n"]),
            _codes(row["refused_by_reason"], row["n"]),
            _share(row["warned"], row["n"]),
            _codes(row["warned_by_reason"], row["n"]),
        )
    )


def _level(group: Record, head: str = "PM2.5") -> Iterator[str]:
    yield f"\n{group['photos'][0].upper()}{group['photos'][1:]}:\n\n"
    yield f"| {head} | n | refused | reasons | warned of | codes |\n"
    yield "|---:|---:|---:|---|---:|---|\n"
    for row in group["bins"]:
        if row["to"] == row["from"]:
            level = f"{row['from']:g}"
        else:
            level = f"{row['from']:.0f} to {row['to']:.0f}" if row["to"] else f"≥ {row['from']:.0f}"
        yield f"| {level} | {_rates(row)} |\n"


def _spreads(result: Record) -> Iterator[str]:
    situations = (("new_place", "new place"), ("fixed_view", "fixed view"))
    heads = " | ".join(f"{words}: n | s | mean | wider" for _, words in situations)
    yield f"| code | {heads} |"
    yield f"|---|{'---:|' * 8}"
    for code, row in result["spreads"].items():
        cells = []
        for situation, _ in situations:
            n, s, mean = (row[situation][name] for name in ("n", "spread", "mean"))
            if s is None:
                cells.append(f"{n} | | | ")
                continue
            half = HALF_WIDTHS[situation]
            wider = (half**2 + (SPREADS_TO_95 * s) ** 2) ** 0.5 / half
            cells.append(f"{n} | {s:.2f} | {mean:+.2f} | {wider:.2f}")
        yield f"| `{code}` | {' | '.join(cells)} |"
