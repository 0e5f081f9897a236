"""The signs that the records state are those of haze added to real photos.

Learners are constrained by these signs: one that is wrong teaches the opposite of physics.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest
from numpy.typing import NDArray

from features.extractor import ScientificFeatureExtractor
from features.light import light_of
from features.photo import decode_photo
from features.scene import scene_of
from tests.added_haze import hazy_series
from tests.landscape import DATASETS

EXTRACTOR = ScientificFeatureExtractor()
FEATURES = {f.name: f for family in EXTRACTOR.families for f in family.features}
STEP = 4  # of OPTICAL_DEPTHS: 0.8 at the horizon
AGAINST = 0.4  # share of a set's photos in which a feature may move the other way


def photos() -> dict[str, list[tuple[NDArray[np.uint8], str | None]]]:
    """Twelve photos of a webcam by day, and twelve of hand-held cameras."""
    found: dict[str, list[tuple[NDArray[np.uint8], str | None]]] = {}
    for name, hours in (("milan", range(9, 16)), ("india_nepal", range(24))):
        labels = DATASETS / name / "labels.csv"
        if not labels.exists():
            pytest.skip("the development photos are not here")
        with labels.open(encoding="utf-8", newline="") as file:
            rows = [r for r in csv.DictReader(file) if int(r["captured_at"][11:13]) in hours]
        chosen = rows[:: len(rows) // 12][:12]
        found[name] = [
            (decode_photo((DATASETS / name / r["file"]).read_bytes()).pixels, r["camera"] or None)
            for r in chosen
        ]
    return found


def test_added_haze_moves_signed_features_the_way_they_state() -> None:
    signed = [name for name in EXTRACTOR.names if FEATURES[name].expected_sign]
    signs = np.array([FEATURES[name].expected_sign for name in signed])
    for folder, pictures in photos().items():
        moves = np.array([moved(picture, camera, signed) for picture, camera in pictures])
        known = np.maximum(np.isfinite(moves).sum(axis=0), 1)
        against = (np.sign(moves) == -signs).sum(axis=0) / known
        wrong = {n: float(a) for n, a in zip(signed, against, strict=True) if a > AGAINST}
        assert wrong == {}, folder


def moved(picture: NDArray[np.uint8], camera: str | None, names: list[str]) -> list[float]:
    series = hazy_series(picture, camera)
    before, after = (EXTRACTOR.extract(scene_of(light_of(series[k]))) for k in (0, STEP))
    return [after[name] - before[name] for name in names]
