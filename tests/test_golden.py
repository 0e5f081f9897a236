"""Golden vectors: another processor passes, another code or another model does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from features.errors import ArtifactError
from features.extractor import ScientificFeatureExtractor
from features.scene import Scene
from handlers.artifact import verify, write_manifest
from handlers.golden import TOLERANCES, VECTORS, check_golden
from handlers.predictor import Predictor

PNG, JPEG = 0, 2  # of the vectors


@pytest.fixture
def folder(fitted_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted_artifact, tmp_path / "artifact"))


def moved(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> str | None:
    """Load the artefact with changed vectors and right sums; the refusal's text, if any."""
    path = folder / "golden" / VECTORS
    vectors = json.loads(path.read_text())
    change(vectors)
    path.write_text(json.dumps(vectors))
    manifest = verify_and_sum(folder)
    assert manifest
    try:
        Predictor.load(folder)
    except ArtifactError as error:
        assert error.code == "golden_vector_moved"
        return error.detail
    return None


def verify_and_sum(folder: Path) -> str:
    feature_set = ScientificFeatureExtractor().feature_set
    write_manifest(folder, "0.0.1", feature_set, "0" * 64)
    return verify(folder, feature_set).version


def test_three_scenes_with_all_features_and_an_estimate(
    fitted_artifact: Path, predictor: Predictor
) -> None:
    vectors = json.loads((fitted_artifact / "golden" / VECTORS).read_text())
    assert [Path(v["photo"]).suffix for v in vectors] == [".png", ".png", ".jpg"]
    for vector in vectors:
        assert set(vector["features"]) == set(predictor.estimator.names)
        assert vector["pm25_estimate"] > 0
        assert (fitted_artifact / "golden" / vector["photo"]).is_file()
    check_golden(predictor, fitted_artifact / "golden")


@pytest.mark.parametrize(
    ("vector", "factor", "refused"),
    [
        (PNG, 1.0005, False), (PNG, 1.002, True), (PNG, 0.998, True),
        (JPEG, 1.005, False), (JPEG, 1.02, True),
    ],
)  # fmt: skip
def test_an_estimate_may_move_by_its_tolerance(
    folder: Path, vector: int, factor: float, refused: bool
) -> None:
    def change(vectors: list[dict[str, Any]]) -> None:
        vectors[vector]["pm25_estimate"] *= factor

    detail = moved(folder, change)
    assert (detail is not None) is refused
    assert not refused or "the estimate of scene" in str(detail)


@pytest.mark.parametrize(
    ("vector", "spreads", "refused"),
    [(PNG, 1e-7, False), (PNG, 1e-2, True), (JPEG, 1e-3, False), (JPEG, 0.5, True)],
)
def test_a_feature_may_move_by_its_tolerance(
    folder: Path, predictor: Predictor, vector: int, spreads: float, refused: bool
) -> None:
    pipeline = predictor.estimator.new_place.pipeline
    name = "sky_fraction"
    spread = float(pipeline.sd[pipeline.names.index(name)])

    def change(vectors: list[dict[str, Any]]) -> None:
        features = vectors[vector]["features"]
        features[name] += spreads * max(spread, abs(features[name]))

    detail = moved(folder, change)
    assert (detail is not None) is refused
    assert not refused or f"feature {name}" in str(detail)


@pytest.mark.parametrize("becomes", [None, 0.5])
def test_known_may_not_become_unknown_nor_the_other_way(
    folder: Path, becomes: float | None
) -> None:
    def change(vectors: list[dict[str, Any]]) -> None:
        features = vectors[PNG]["features"]
        wanted = [name for name, value in features.items() if (value is None) != (becomes is None)]
        features[wanted[0]] = becomes

    assert moved(folder, change) is not None


def test_a_feature_that_this_code_does_not_compute_is_refused(folder: Path) -> None:
    def change(vectors: list[dict[str, Any]]) -> None:
        vectors[PNG]["features"]["feature_of_tomorrow"] = 1.0

    assert "feature_of_tomorrow" in str(moved(folder, change))


def test_another_picture_is_refused(folder: Path) -> None:
    path = folder / "golden" / "scene_120.png"
    pixels = cv2.imread(str(path))
    cv2.imwrite(str(path), np.clip(pixels.astype(int) + 2, 0, 255).astype(np.uint8))
    assert moved(folder, lambda vectors: None) is not None


def test_another_model_is_refused(folder: Path) -> None:
    """Sums that were made anew do not hide that the stack is not the trained one."""
    path = folder / "new_place" / "stack.json"
    stack = json.loads(path.read_text())
    stack["intercept"] += 0.01
    path.write_text(json.dumps(stack))
    assert "the estimate of" in str(moved(folder, lambda vectors: None))


def test_code_that_reads_other_numbers_is_refused(
    fitted_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = ScientificFeatureExtractor.extract

    def other(self: ScientificFeatureExtractor, scene: Scene) -> dict[str, float]:
        return {name: 1.001 * value for name, value in extract(self, scene).items()}

    monkeypatch.setattr(ScientificFeatureExtractor, "extract", other)
    with pytest.raises(ArtifactError) as caught:
        Predictor.load(fitted_artifact)
    assert caught.value.code == "golden_vector_moved"


def test_lossless_vectors_are_held_closer_than_the_jpeg() -> None:
    assert (TOLERANCES[".png"].features, TOLERANCES[".png"].estimate) == (1e-6, 1e-3)
    assert (TOLERANCES[".jpg"].features, TOLERANCES[".jpg"].estimate) == (1e-2, 1e-2)
