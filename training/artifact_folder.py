"""Writing the artefact folder of an archive, and the golden vectors that guard it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from features.extractor import ScientificFeatureExtractor
from features.meteorology import FAMILY as METEOROLOGY
from features.photo import WORKING_SIDE
from features.schema import FeatureFamily
from handlers.artifact import Manifest, write_manifest
from handlers.estimator import PM25Estimator
from handlers.golden import VECTORS, golden_vector
from handlers.predictor import Predictor
from training.rendering.renderer import draw_moment, draw_place, render
from training.table import TrainingTable
from training.training_statistics import training_statistics

GOLDEN_SEED = 25
GOLDEN_PM25 = (12.0, 120.0)  # [ug m-3] a clear and a hazy scene


def write_artifact(
    folder: Path,
    estimator: PM25Estimator,
    table: TrainingTable,
    *,
    version: str,
    dataset_hash: str,
    scores: Mapping[str, object],
    model_card: str,
) -> Manifest:
    """Write everything that `handlers/artifact.py` lists into `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    extractor = ScientificFeatureExtractor()
    estimator.save(folder)
    training_statistics(table, estimator.new_place.pipeline.selected_names).save(
        folder / "statistics.json"
    )
    _write_json(
        folder / "schema.json",
        {
            "feature_set": extractor.feature_set,
            "working_side": WORKING_SIDE,
            "families": [_described(family) for family in (*extractor.families, METEOROLOGY)],
        },
    )
    _write_json(folder / "scores.json", scores)
    seen = sorted({photo.sha256 for photo in table.photos})
    (folder / "training_photos.txt").write_text("\n".join(seen) + "\n", encoding="ascii")
    (folder / "model_card.md").write_text(model_card, encoding="utf-8")
    photos = _render_golden_photos(folder / "golden")
    write_manifest(folder, version, extractor.feature_set, dataset_hash)
    # The vectors are what the artefact answers when it is read back, as a server reads it.
    predictor = Predictor.unproven(folder)
    metadata = {"captured_at": "2026-03-20T10:00:00-05:00", "lat": 6.25, "lon": -75.57}
    _write_json(
        folder / "golden" / VECTORS, [golden_vector(predictor, photo, metadata) for photo in photos]
    )
    return write_manifest(folder, version, extractor.feature_set, dataset_hash)


def _described(family: FeatureFamily) -> dict[str, Any]:
    """A family as JSON can hold it: an end that a range does not have is null."""
    record = asdict(family)
    for feature in record["features"]:
        feature["range"] = [end if math.isfinite(end) else None for end in feature["range"]]
    return record


def _render_golden_photos(golden: Path) -> list[Path]:
    """A clear and a hazy scene without loss, and the hazy one as a JPEG."""
    golden.mkdir()
    rng = np.random.Generator(np.random.PCG64(GOLDEN_SEED))
    photos = []
    for pm25 in GOLDEN_PM25:
        place = draw_place(rng)
        pixels = render(place, draw_moment(rng, place, pm25=pm25), WORKING_SIDE, 400)
        photos.append(golden / f"scene_{pm25:.0f}.png")
        cv2.imwrite(str(photos[-1]), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    larger = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (1280, 800))
    photos.append(golden / "scene.jpg")
    cv2.imwrite(str(photos[-1]), larger, [cv2.IMWRITE_JPEG_QUALITY, 90])

    return photos


def _write_json(path: Path, content: object) -> None:
    path.write_text(
        json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
