"""Tables of the scores of the archive in production, from the scores.json inside it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

STORE = Path(__file__).resolve().parent.parent.parent / "model_store"
VARIANTS = {
    "full": "photo, sun, weather",
    "photo_without_weather": "photo and sun",
    "weather_and_sun_without_photo": "sun and weather",
}
REPORT = STORE.parent / "docs" / "validation" / "report.json"
REFERENCES = {
    "training_median": "the usual value",
    "climatology": "month and hour",
    "weather_and_sun_without_photo": "sun and weather",
}
SPLITS = ("unseen_days", "unseen_months", "unseen_sites")
FIGURES = {
    "n": "n",
    "sd_y": "SD",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "spearman": "Spearman",
    "slope": "slope",
    "baseline_mae": "constant's MAE",
    "coverage_90": "coverage of 90 %",
    "mean_width_90": "width",
}
_DIGITS = {"n": 0, "r2": 2, "spearman": 2, "slope": 2, "coverage_90": 2, "mean_width_90": 0}

Rows = Iterator[Sequence[str]]


def production_scores() -> tuple[str, dict[str, Any]]:
    """Version and scores.json of the archive in production."""
    name = (STORE / "production").read_text(encoding="utf-8").strip()
    with zipfile.ZipFile(STORE / name) as archive:
        scores: dict[str, Any] = json.loads(archive.read("artifact/scores.json"))
    return name.removeprefix("pm25-").removesuffix(".mar"), scores


def production_card() -> str:
    """The model card of the archive in production."""
    name = (STORE / "production").read_text(encoding="utf-8").strip()
    with zipfile.ZipFile(STORE / name) as archive:
        return archive.read("artifact/model_card.md").decode()


def coverage_by_level() -> Rows:
    """The card's own table: it comes from single answers, which scores.json does not hold."""
    title = "\n## What is guaranteed and what is modelled\n"
    section = production_card().partition(title)[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and "---" not in line]
    if not lines:  # an archive from before the card had one
        yield "split", "over", "coverage"
    for line in lines:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def label_quality() -> Rows:
    """All labels beside those that were not converted."""
    _, scores = production_scores()
    yield "split", "labels", *FIGURES.values()
    for split in SPLITS:
        block = scores[split]["full"]
        for labels, part in (("all", "overall"), ("A and B", "quality_a_b")):
            if part in block and block[part]["n"]:
                yield f"`{split}`", labels, *_cells(block[part])


def skill_by_reference() -> Rows:
    """From the validation report: what is known without the photo, and how much better it does."""
    splits = json.loads(REPORT.read_text(encoding="utf-8"))["splits"]
    yield "split", "over", "n", "MAE", "reference", "its MAE", "skill", "95 % interval"
    asked = {
        "unseen_days": ("known_camera", "known camera by day"),
        "unseen_months": ("known_camera", "known camera by day"),
        "unseen_sites": ("sessions", "sessions of new places"),
    }
    for split, (record, over) in asked.items():
        blocks = splits.get(split, {}).get("full", {}).get(record, {}).get("skill", {})
        for name, reference in REFERENCES.items():
            block = blocks.get(name)
            if block and block["mae"]["skill"] is not None:
                mae, interval = block["mae"], block["mae"]["skill_interval"]
                yield (
                    *(f"`{split}`", over, str(block["n"]), _number(mae["score"], 1), reference),
                    *(_number(mae["reference"], 1), _number(mae["skill"], 2)),
                    "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
                )


def camera_scores() -> Rows:
    _, scores = production_scores()
    yield "split", "reads", *FIGURES.values()
    for split in SPLITS:
        for variant, reads in VARIANTS.items():
            record = scores[split][variant]["per_site_daytime"].get("milan")
            if record:
                yield f"`{split}`", reads, *_cells(record)


def place_scores() -> Rows:
    _, scores = production_scores()
    yield "unseen site, by day", *FIGURES.values()
    for site, record in scores["unseen_sites"]["full"]["per_site_daytime"].items():
        yield site, *_cells(record)


def random_split() -> Rows:
    _, scores = production_scores()
    shown = ("n", "sd_y", "mae", "r2", "spearman", "coverage_90", "mean_width_90")
    yield "photos by day", "split", *(FIGURES[name] for name in shown)
    for split in ("random", *SPLITS):
        record = scores[split]["full"]["per_site_daytime"].get("milan")
        if record:
            yield "Milan", f"`{split}`", *_cells(record, shown)
    for split in ("random", "unseen_days", "unseen_sites"):
        yield "all sites", f"`{split}`", *_cells(scores[split]["full"]["daytime"], shown)


def photo_skill() -> Rows:
    _, scores = production_scores()
    yield "split", "RMSE with the photo", "RMSE without it", "skill of the photo"
    for split in SPLITS:
        rmse = [
            scores[split][variant]["per_site_daytime"]["milan"]["rmse"]
            for variant in ("full", "weather_and_sun_without_photo")
        ]
        yield f"`{split}`", *(f"{x:.1f}" for x in rmse), _number(1 - (rmse[0] / rmse[1]) ** 2, 2)


def day_and_night() -> Rows:
    """Milan: photos by day, and the others, whose figures follow from those of all photos."""
    _, scores = production_scores()
    shown = ("n", "mae", "bias", "coverage_90", "mean_width_90")
    yield "split", "photos", "n", "MAE", "bias", "coverage of 90 %", "width"
    for split in SPLITS:
        block = scores[split]["full"]
        whole, lit = (block[part].get("milan") for part in ("per_site", "per_site_daytime"))
        if not whole or not lit or whole["n"] == lit["n"]:
            continue
        n = whole["n"] - lit["n"]
        dark = {
            name: (whole["n"] * whole[name] - lit["n"] * lit[name]) / n
            for name in shown
            if name != "n"
        }
        for when, record in (("by day", lit), ("night and twilight", {"n": n} | dark)):
            yield f"`{split}`", when, *_cells(record, shown)


def _cells(record: dict[str, float | None], names: Sequence[str] = tuple(FIGURES)) -> list[str]:
    return [_number(record[name], _DIGITS.get(name, 1)) for name in names]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
