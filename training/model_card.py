"""The model card: what an archive was made from, what it scored, and where it must not be trusted.

Written from the run itself, so that no figure on it can be a figure from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.ensemble import MEMBERS
from handlers.estimator import PM25Estimator
from training.dataset import DataSet
from training.held_out import HeldOutAnswers
from training.interval_card import experts, interval_section, sessions_behind
from training.separability import set_separability
from training.table import TrainingTable

FIGURES = {
    "n": "n",
    "sd_y": "SD",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "spearman": "Spearman",
    "bias": "bias",
    "slope": "slope",
    "baseline_mae": "constant",
    "coverage_90": "coverage",
    "mean_width_90": "width",
}
VARIANTS = {
    "full": "full",
    "photo_without_weather": "without weather",
    "weather_and_sun_without_photo": "without photo",
}
SPLITS = {
    "unseen_days": "Days that were not trained on, at places that were (5 folds)",
    "unseen_months": "From 1 April on, trained before, at a camera that was trained on",
    "unseen_sites": "Sites that were not trained on (leave one site out)",
    "random": "Random photos: a leakage control, no result",
}
FIGURES_EXPLAINED = """\
All figures in [ug m-3] where they have a unit, over photos that were held out. `full` reads photo,
sun and weather, `without weather` photo and sun, `without photo` sun and weather. `constant` is
the MAE of the constant to beat, `coverage` the share of labels inside the 90 % interval, `width`
its mean width, `slope` that of the estimate on the label.
"""
LIMITS = """\
- At night, in fog and without anything far in view a photo says little; the answer warns.
- One photo is one moment. The air quality categories are those of a 24-hour mean, as if.
- It measures haze. What the haze is made of, and how damp the air is, it can only guess.
"""


def model_card(
    version: str,
    datasets: Sequence[DataSet],
    table: TrainingTable,
    estimator: PM25Estimator,
    scores: Mapping[str, Any],
    answers: Mapping[str, Mapping[str, HeldOutAnswers]],
    refused: Mapping[str, int],
    n_rendered: int,
) -> str:
    """The card as Markdown; no dates, durations or paths, so that equal runs give equal cards."""
    return "\n".join(
        [
            f"# PM2.5 from one outdoor photo, {version}",
            "",
            "Estimates PM2.5 [ug m-3] with a 90 % interval. Not for medical or legal decisions.",
            "",
            "## Data",
            "",
            *_data(datasets, table, refused, n_rendered),
            "",
            "## Scores",
            "",
            FIGURES_EXPLAINED,
            *score_tables(scores),
            "## What is guaranteed and what is modelled",
            "",
            *interval_section(estimator, answers),
            "## With and without converted labels",
            "",
            *quality_table(scores),
            "",
            "## Models",
            "",
            *_models(estimator),
            "",
            *_separability(estimator, table),
            "## Limits",
            "",
            LIMITS,
        ]
    )


def _data(
    datasets: Sequence[DataSet], table: TrainingTable, refused: Mapping[str, int], n_rendered: int
) -> Iterator[str]:
    for dataset in datasets:
        yield f"- **{dataset.name}**: {len(dataset.rows)} photos. Source: {dataset.source}. "
        yield f"  Licence: {dataset.licence}."
    if any("non-commercial" in d.licence.lower() or "-NC" in d.licence for d in datasets):
        yield ""
        yield "**The archive is for non-commercial use**: part of its data is."
    yield ""
    by_site: dict[str, list[float]] = {}
    for photo, label in zip(table.photos, table.pm25, strict=True):
        by_site.setdefault(photo.site, []).append(float(label))
    yield "| site | photos | sessions | label quality | PM2.5 lowest, median, highest |"
    yield "|---|---|---|---|---|"
    for site, labels in sorted(by_site.items()):
        sessions = {photo.session for photo in table.photos if photo.site == site}
        quality = {photo.pm25_quality for photo in table.photos if photo.site == site}
        middle = sorted(labels)[len(labels) // 2]
        yield (
            f"| {site} | {len(labels)} | {len(sessions)} | {''.join(sorted(quality))} "
            f"| {min(labels):.0f}, {middle:.0f}, {max(labels):.0f} |"
        )
    if n_rendered:
        yield ""
        yield f"With them {n_rendered} rendered scenes of known haze teach the new-place models."
        yield "No score, stack or interval rests on a rendered scene."
    if refused:
        yield ""
        reasons = ", ".join(f"{count} {code}" for code, count in refused.items())
        yield f"Left out by validation and the quality gate: {reasons}."


def _models(estimator: PM25Estimator) -> Iterator[str]:
    for name, expert in experts(estimator):
        stack = expert.ensemble.stack
        members = zip(MEMBERS, stack.coefficients, strict=True)
        weights = ", ".join(f"{member} {value:.2f}" for member, value in members)
        yield (
            f"- **{name}**: stack {weights}, intercept {stack.intercept:.2f}; interval from "
            f"{sessions_behind(expert.conformal)}. Features: "
            f"{', '.join(expert.pipeline.selected_names)}."
        )
    for reference in estimator.cameras.values():
        yield f"- Camera **{reference.camera}**: reference from {reference.n} sessions."


def _separability(estimator: PM25Estimator, table: TrainingTable) -> Iterator[str]:
    """How well the photo features of the new-place models tell the data sets apart."""
    around = {*SUN_FEATURES, *WEATHER_FEATURES}
    names = [n for n in estimator.new_place.pipeline.selected_names if n not in around]
    told = set_separability(table, names) if names else None
    if told is None:
        return
    sets = ", ".join(f"{name} ({n} sessions)" for name, n in told.sessions.items())
    yield f"The new-place features tell the data sets apart, {sets}, with an accuracy of"
    yield f"{told.accuracy:.2f} by session (chance {told.chance:.2f}). A fixed camera has one view,"
    yield "so that 1 is to be expected; PM2.5 alone has an ROC area between them of"
    yield f"{told.label_area:.2f}."
    if told.telling:
        yield f"All but naming the set by themselves: {', '.join(told.telling)}."
    yield ""


def score_rows(block_of: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Part, features and figures of one split: for each part the three sets of features together.

    `block_of` maps a variant to its score block. Parts: all photos, those by day, sessions, and
    each site by day.
    """
    parts: list[tuple[str, tuple[str, ...]]] = [
        ("all photos", ("overall",)),
        ("by day", ("daytime",)),
        ("sessions", ("per_session",)),
    ]
    sites = block_of["full"]["per_site_daytime"]
    parts += [(f"{site} by day", ("per_site_daytime", site)) for site in sites]
    for part, way in parts:
        for variant, name in VARIANTS.items():
            record = reduce(lambda block, key: block[key], way, block_of[variant])
            yield part, name, [_cell(record[figure]) for figure in FIGURES]


def score_tables(scores: Mapping[str, Any]) -> Iterator[str]:
    """Every split as a Markdown table."""
    for split, title in SPLITS.items():
        if not scores.get(split):
            continue
        yield f"### `{split}`: {title}"
        yield ""
        yield "| over | features | " + " | ".join(FIGURES.values()) + " |"
        yield "|---" * (len(FIGURES) + 2) + "|"
        for part, name, cells in score_rows(scores[split]):
            yield f"| {part} | {name} | {' | '.join(cells)} |"
        yield ""


def quality_table(scores: Mapping[str, Any]) -> Iterator[str]:
    """Scores over all labels, and beside them without those of quality C, which were converted."""
    yield "| split | labels | " + " | ".join(FIGURES.values()) + " |"
    yield "|---" * (len(FIGURES) + 2) + "|"
    for split in SPLITS:
        if not scores.get(split):
            continue
        for name, key in (("all", "overall"), ("without C", "quality_a_b")):
            record = scores[split]["full"][key]
            yield f"| `{split}` | {name} | {' | '.join(_cell(record[f]) for f in FIGURES)} |"


def _cell(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"
