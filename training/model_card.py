"""The model card: what an archive was made from, what it scored, and where it must not be trusted.

Written from the run itself, so that no figure on it can be a figure from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handlers.estimator import PM25Estimator
from training.dataset import DataSet
from training.table import TrainingTable

FIGURES = {
    "n": "n",
    "sd_y": "SD of y",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "spearman": "Spearman",
    "bias": "bias",
    "slope": "slope",
    "baseline_mae": "constant's MAE",
    "coverage_90": "coverage of 90 %",
    "mean_width_90": "mean width",
}
VARIANTS = {
    "full": "full",
    "photo_without_weather": "photo without weather",
    "weather_and_sun_without_photo": "weather and sun without photo",
}
SPLITS = {
    "unseen_days": "Days that were not trained on, at places that were (5 folds)",
    "unseen_months": "From 1 April on, trained before, at a camera that was trained on",
    "unseen_sites": "Sites that were not trained on (leave one site out)",
    "random": "Random photos: a leakage control, no result",
}
LIMITS = """\
- The interval of a known camera comes from days that were held out: it is calibrated for a new
  day of that camera, as far as its future days are like its past ones.
- The interval of any other photo comes from sites that were held out. With this few sites that is
  a model, not a guarantee: expect it to be off at a place unlike these.
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
    refused: Mapping[str, int],
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
            *_data(datasets, table, refused),
            "",
            "## Scores",
            "",
            "All figures in [ug m-3] where they have a unit, over photos that were held out.",
            "",
            *score_tables(scores),
            "## Models",
            "",
            *_models(estimator),
            "",
            "## Limits",
            "",
            LIMITS,
        ]
    )


def _data(
    datasets: Sequence[DataSet], table: TrainingTable, refused: Mapping[str, int]
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
    if refused:
        yield ""
        reasons = ", ".join(f"{count} {code}" for code, count in refused.items())
        yield f"Left out by the quality gate: {reasons}."


def _models(estimator: PM25Estimator) -> Iterator[str]:
    experts = {"new_place": estimator.new_place, "fixed_view": estimator.fixed_view}
    for name, expert in experts.items():
        if expert is None:
            continue
        stack = expert.ensemble.stack
        weights = ", ".join(f"{value:.2f}" for value in stack.coefficients)
        yield f"- **{name}**: XGBoost, LightGBM, MLP, Bayesian net; stack {weights}, "
        yield (
            f"  intercept {stack.intercept:.2f}; interval from "
            f"{expert.conformal.n_sessions} sessions. Features: "
            f"{', '.join(expert.pipeline.selected_names)}."
        )
    for reference in estimator.cameras.values():
        yield f"- Camera **{reference.camera}**: reference from {reference.n} sessions."


def score_tables(scores: Mapping[str, Any]) -> Iterator[str]:
    """Every split as a Markdown table, its rows by variant and part."""
    for split, title in SPLITS.items():
        if not scores.get(split):
            continue
        yield f"### `{split}`: {title}"
        yield ""
        yield "| features | over | " + " | ".join(FIGURES.values()) + " |"
        yield "|---" * (len(FIGURES) + 2) + "|"
        for variant, name in VARIANTS.items():
            block = scores[split][variant]
            parts = {
                "all": block["overall"],
                "daytime": block["daytime"],
                "sessions": block["per_session"],
            }
            if variant == "full" or split == "unseen_sites":
                parts |= block["per_site"]
            for part, record in parts.items():
                cells = " | ".join(_cell(record[figure]) for figure in FIGURES)
                yield f"| {name} | {part} | {cells} |"
        yield ""


def _cell(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"
