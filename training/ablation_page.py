"""The page that shows what each part of the model is worth, written from the scores alone.

python -m training.ablation_page    # build/ablation.json → docs/scientific_background/ablation.md

No dates, durations or paths: equal scores give equal text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BUILD = Path("build/ablation.json")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "scientific_background" / "ablation.md"
FULL, CONTROL = "full", "random"
# Figure → its column, decimals.
FIGURES = {"mae": ("MAE", 1), "rmse": ("RMSE", 1), "r2": ("R²", 2), "spearman": ("Spearman", 2)}
Record = Mapping[str, Any]

INTRODUCTION = """\
# What each part is worth

Written by `make ablation` from scores of photos that were held out; the words are those of
`training/ablation_page.py`. Every row is a model of its own, fitted anew in every fold with the
function that fits the archive, with one part taken away, or with one part alone. Splits and
columns: [nomenclature](../nomenclature.md#scores). Concentrations are in µg/m³, Δ is the difference
to the full model on the same photos: a part is worth having where taking it away raises MAE and
RMSE and lowers R² and Spearman.

* *full*: photo, sun and weather, as in the archive. *Without weather* reads photo and sun.
* *without* a family: all but the features of that family ([features](../features.md)); *a family
  alone*: its features and the sun's, no weather. What such a row says beyond *sun alone* comes
  from the family.
* *camera withheld*: every photo is judged as one of a new place, by models that know no camera.
  At an unseen site none is known anyway.
* *without altered copies*: no copy with more haze, less light or stronger compression chooses
  features or teaches a direction. Of a known camera, everything that varies is read.
* *without rendered scenes*: they teach the models for new places alone.

Not fitted, because it could say nothing: unseen sites with fewer than ten sessions, where ranks are
chance; the two cases above; and for unseen sites, *without* a family of which the models for new
places read no feature, since that is the full model. Photos by night are trained on and not judged
here: n counts photos by day, and sessions that have any.

Few things are independent in these tables: photos of a day share its air. Of n independent pairs
without any relation, Spearman's correlation scatters by 1/√(n − 1), 0.33 for ten sessions. Read
differences below that size as none, and rows against each other before single cells.
"""


def ablation_page(result: Mapping[str, Any]) -> str:
    """docs/scientific_background/ablation.md as Markdown, from what `ablate` returns."""
    scores: Mapping[str, Any] = result["scores"]
    return "\n".join(
        [
            INTRODUCTION,
            *_made_of(result["about"]),
            "## A known camera on a day that was not trained on",
            "",
            *_camera_tables(scores, "unseen_days"),
            "## A known camera in a later season",
            "",
            *_camera_tables(scores, "unseen_months"),
            "## A place that was not trained on",
            "",
            *_site_tables(scores),
            "## What leakage would add",
            "",
            *_leakage_table(scores),
        ]
    )


def _made_of(about: Mapping[str, Any]) -> Iterator[str]:
    if not about:
        return
    data = ", ".join(f"{name} ({count} photos)" for name, count in about["data"].items())
    yield f"Data: {data}; with them {about['rendered']} rendered scenes. Seed {about['seed']}."
    yield f"Feature set `{about['feature_set'][:12]}`, data `{about['data_hash'][:12]}`."
    yield ""


def _camera_tables(scores: Mapping[str, Any], split: str) -> Iterator[str]:
    """One table for each site with a fixed camera."""
    if split not in scores[FULL]:
        yield from ("The data have nothing of the kind.", "")
        return
    for site, full in scores[FULL][split]["by_day"].items():
        yield (
            f"`{split}`, {site} by day: n = {full['n']} photos, SD of y {_text(full['sd_y'], 1)}; "
            f"MAE of the camera's usual PM2.5 {_text(full['baseline_mae'], 1)}."
        )
        yield ""
        heads = [head for name, _ in FIGURES.values() for head in (name, "Δ")]
        yield from _table(
            ("model", *heads, "coverage of 90 %", "width"),
            (
                (
                    name,
                    *_with_differences(own[split]["by_day"][site], full, name == FULL),
                    _text(own[split]["by_day"][site]["coverage_90"], 2),
                    _text(own[split]["by_day"][site]["mean_width_90"], 0),
                )
                for name, own in scores.items()
                if split in own
            ),
        )


def _site_tables(scores: Mapping[str, Any]) -> Iterator[str]:
    """Ranks, then errors, a column for each site of ten sessions or more."""
    split = "unseen_sites"
    sites = _sessions_of(scores[FULL], split)
    if not sites:
        yield from ("No site has ten sessions or more.", "")
        return
    shown = {name: _sessions_of(own, split) for name, own in scores.items() if split in own}
    about_sites = (
        ("sessions n", *(str(record["n"]) for record in sites.values()), ""),
        ("SD of y", *(_text(record["sd_y"], 1) for record in sites.values()), ""),
    )
    yield f"`{split}`, each site held out in turn, per session by day: Spearman (Δ)."
    yield ""
    yield from _table(
        ("model", *sites, "median of the sites"),
        [*about_sites, *_over_sites(shown, "spearman", 2)],
    )
    constant = [record["baseline_mae"] for record in sites.values()]
    yield f"`{split}`, the same sessions: MAE (Δ)."
    yield ""
    yield from _table(
        ("model", *sites, "median of the sites"),
        [
            *about_sites,
            ("constant", *(_text(mae, 1) for mae in constant), _text(_median(constant), 1)),
            *_over_sites(shown, "mae", 1),
        ],
    )


def _over_sites(
    shown: Mapping[str, Mapping[str, Record]], figure: str, digits: int
) -> Iterator[tuple[str, ...]]:
    """A row for each model: its figure at each site and their median, each with its difference."""
    full = [record[figure] for record in shown[FULL].values()]
    full.append(_median(full))
    for name, records in shown.items():
        values = [record[figure] for record in records.values()]
        values.append(_median(values))
        cells = [_text(value, digits) for value in values]
        if name != FULL:
            differences = [_difference(a, b, digits) for a, b in zip(values, full, strict=True)]
            cells = [
                f"{cell} ({d})" if d else cell for cell, d in zip(cells, differences, strict=True)
            ]
        yield (name, *cells)


def _leakage_table(scores: Mapping[str, Any]) -> Iterator[str]:
    """The same model on honest folds and on folds of single photos, side by side."""
    rows = []
    for name, own in scores.items():
        if CONTROL not in own:
            continue
        for site, leaked in own[CONTROL]["by_day"].items():
            honest = own.get("unseen_days", {}).get("by_day", {}).get(site)
            if honest:
                rows.append(_control_row(name, f"{site}, photos", "unseen_days", honest, leaked))
        for site, leaked in _sessions_of(own, CONTROL).items():
            honest = _sessions_of(own, "unseen_sites").get(site)
            # A fixed camera stays known in random folds: beside an unseen site it would not be
            # the same model.
            if honest and site not in own[CONTROL]["by_day"]:
                rows.append(_control_row(name, f"{site}, sessions", "unseen_sites", honest, leaked))
    if not rows:
        yield from ("No random split was made.", "")
        return
    yield "The same models where single photos are held out at random: their neighbours of the same"
    yield "visit are trained on. A control, never a result. By day; honest → `random`."
    yield ""
    heads = (name for name, _ in FIGURES.values())
    yield from _table(("model", "judged", "honest split", "n", "SD of y", *heads), rows)


def _control_row(
    name: str, judged: str, split: str, honest: Record, leaked: Record
) -> tuple[str, ...]:
    both = (
        f"{_text(honest[figure], digits)} → {_text(leaked[figure], digits)}"
        for figure, (_, digits) in FIGURES.items()
    )
    return (name, judged, f"`{split}`", str(honest["n"]), _text(honest["sd_y"], 1), *both)


def _sessions_of(own: Mapping[str, Any], split: str) -> Mapping[str, Record]:
    records: Mapping[str, Record] = own.get(split, {}).get("per_session", {})
    return records


def _with_differences(own: Record, full: Record, is_full: bool) -> Iterator[str]:
    for figure, (_, digits) in FIGURES.items():
        yield _text(own[figure], digits)
        yield "" if is_full else _difference(own[figure], full[figure], digits)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _difference(value: float | None, full: float | None, digits: int) -> str:
    """That of the figures as they are, rounded once; empty where one of them is not defined."""
    if value is None or full is None:
        return ""
    text = _text(value - full, digits)
    return text if text.startswith("−") else f"+{text}"


def _text(value: float | None, digits: int) -> str:
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


if __name__ == "__main__":
    PAGE.write_text(ablation_page(json.loads(BUILD.read_text("utf-8"))), encoding="utf-8")
