"""Published figures beside those of the archive in production, question by question.

A published row holds what its source says of its split, its labels and its result; the sources
were read as far as literature_review.md tells. Our rows come from the archive's scores.json, and
those of a camera with a few labels from learning_curve.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from docs.scientific_background.score_tables import production_scores

LEARNING_CURVE = Path(__file__).with_name("learning_curve.json")
LABELLED = 20  # photos of a new camera


@dataclass(frozen=True)
class Published:
    """One work: what was held out, of how many photos, what came of it, where it says so."""

    work: str
    split: str
    photos: str
    result: str
    coverage: str = "not in its abstract"


ONE_CAMERA_AT_RANDOM = (
    Published(
        "Liu Y. et al. 2024, [10.1016/j.scitotenv.2023.169233]"
        "(https://doi.org/10.1016/j.scitotenv.2023.169233)",
        "appears random",
        "one traffic camera",
        "R² 0.98, RMSE 0.76",
    ),
    Published(
        "Wang X. et al. 2024, [10.1016/j.ese.2023.100319]"
        "(https://doi.org/10.1016/j.ese.2023.100319)",
        "within camera",
        "surveillance images, day and night",
        "R² 0.94, RMSE 5.1",
    ),
    Published(
        "Wang X. et al. 2022, [10.1016/j.envres.2022.113051]"
        "(https://doi.org/10.1016/j.envres.2022.113051)",
        "within scene",
        "one scene in Shanghai",
        "R² 0.88, RMSE 10.4",
    ),
    Published(
        "Kow et al. 2022, [10.1016/j.jenvman.2022.114560]"
        "(https://doi.org/10.1016/j.jenvman.2022.114560)",
        "within station",
        "3,549 of one station",
        "R² 0.76 by day",
    ),
)
UNSEEN_PLACES = (
    Published(
        "PM25Vision 2025, [arXiv 2509.16519](https://arxiv.org/abs/2509.16519)",
        "as shipped with the data",
        "11,114 near 3,261 stations",
        "R² 0.55, of a daily index",
    ),
    Published(
        "PNNL 2025, [Location generalizability](https://www.pnnl.gov/publications/"
        "location-generalizability-image-based-air-quality-models)",
        "places held out",
        "cameras of 15 parks",
        "at most 65 % of classes, above 80 % at seen places",
    ),
    Published(
        "PM2.5 in Africa 2026, from satellites, [arXiv 2604.22787]"
        "(https://arxiv.org/abs/2604.22787)",
        "places held out",
        "404 stations, no photos",
        "R² 0.134",
        "65.3 % in East Africa",
    ),
)
A_FEW_LABELS = (
    Published(
        "AQIFormer 2026, [arXiv 2606.07648](https://arxiv.org/abs/2606.07648)",
        "another city, a few of its labels",
        "from 26,678 of two cities",
        "81.7 % of classes, 90.0 % at home",
    ),
)
QUESTIONS: tuple[tuple[str, tuple[Published, ...], str | None, str | None], ...] = (
    ("one camera, photos dealt at random", ONE_CAMERA_AT_RANDOM, "random", "milan"),
    ("a known camera, another day", (), "unseen_days", "milan"),
    ("a known camera, another season", (), "unseen_months", "milan"),
    ("a new place with a few labels", A_FEW_LABELS, None, None),
    ("a place never seen", UNSEEN_PLACES, "unseen_sites", None),
)


def beside_published() -> Iterator[Sequence[str]]:
    """By question: what was published, then ours, in bold; each with its split and n."""
    yield "question", "work", "split", "photos", "result [µg/m³]", "coverage of 90 %"
    for question, works, split, site in QUESTIONS:
        rows = [(w.work, w.split, w.photos, w.result, w.coverage) for w in works]
        if split is not None:
            rows.append(_ours(split, site))
        if works is A_FEW_LABELS:
            rows += _with_a_few_labels()
        if not works:
            rows.insert(0, ("none found", "", "", "", ""))
        for i, row in enumerate(rows):
            yield question if i == 0 else "", *row


def _with_a_few_labels() -> Iterator[tuple[str, str, str, str, str]]:
    """Sites whose labels were measured, judged on visits other than those that calibrate."""
    for site in json.loads(LEARNING_CURVE.read_text(encoding="utf-8"))["sites"]:
        if site["qualities"] in ("A", "B", "AB"):
            point = next(point for point in site["by_day"] if point["n"] == LABELLED)
            yield (
                "**2.5Vision**, [learning curve](learning_curve.md)",
                f"place held out, {LABELLED} labelled photos, other visits",
                f"{site['n_photos']} by day, {site['site'].replace('_', ' ').title()}",
                f"MAE {point['mae']:.1f}, their median {point['constant_mae']:.1f}, "
                f"SD {site['sd_y']:.1f}",
                f"**{point['coverage_90']:.2f}**",
            )


def _ours(split: str, site: str | None) -> tuple[str, str, str, str, str]:
    version, scores = production_scores()
    block = scores[split]["full"]
    record = block["per_site_daytime"][site] if site else block["daytime"]
    where = "Milan" if site == "milan" else f"{len(block['per_site_daytime'])} sites"
    return (
        f"**2.5Vision {version}**",
        f"`{split}`",
        f"{record['n']} by day, {where}",
        f"R² {record['r2']:.2f}, RMSE {record['rmse']:.1f}, MAE {record['mae']:.1f}, "
        f"SD {record['sd_y']:.1f}".replace(" -", " −"),
        f"**{record['coverage_90']:.2f}**",
    )
