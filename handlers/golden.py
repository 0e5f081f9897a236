"""Golden vectors: rendered photos with the features and the estimate that this archive must give.

They tell another processor (rounding, which passes) from another code or a broken library
(which does not). The scenes are PNG, so that what is compared starts at the pixels; how a JPEG is
decoded differs between builds of the codec and has one vector of its own, with more room.

A feature may differ by its tolerance times the larger of its value and its standard deviation in
training; an estimate by 0.1 % (1 % for the JPEG).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from features.errors import ArtifactError
from features.metadata import PhotoMetadata, parse_metadata
from features.photo import Photo, decode_photo
from features.quality import ImageValidationResult
from handlers.estimator import Estimates, PM25Estimator

VECTORS = "vectors.json"


class Predicting(Protocol):
    """What is asked of the predictor that vectors are held against."""

    @property
    def estimator(self) -> PM25Estimator: ...

    def features(
        self, photo: Photo, metadata: PhotoMetadata, *, min_side: int | None = None
    ) -> tuple[dict[str, float], ImageValidationResult]: ...

    def estimate(self, features: Mapping[str, float], camera: str | None) -> Estimates: ...


@dataclass(frozen=True)
class Tolerance:
    """Largest relative difference of features and of the estimate [1]."""

    features: float
    estimate: float


TOLERANCES = {".png": Tolerance(1e-6, 1e-3), ".jpg": Tolerance(1e-2, 1e-2)}


def golden_vector(
    predictor: Predicting, photo: Path, metadata: Mapping[str, object]
) -> dict[str, Any]:
    """What `predictor` makes of one golden photo."""
    given = parse_metadata(metadata)
    features, _ = predictor.features(decode_photo(photo.read_bytes()), given, min_side=1)
    return {
        "photo": photo.name,
        "metadata": dict(metadata),
        "features": {k: v if np.isfinite(v) else None for k, v in features.items()},
        "pm25_estimate": float(predictor.estimate(features, given.camera).pm25[0]),
    }


def check_golden(predictor: Predicting, folder: Path) -> None:
    """Recompute every vector in `folder`. Raises ArtifactError naming the first that moved."""
    pipeline = predictor.estimator.new_place.pipeline
    spread = dict(zip(pipeline.names, pipeline.sd, strict=True))
    for expected in _read_vectors(folder):
        photo = folder / expected["photo"]
        tolerance = TOLERANCES[photo.suffix]
        got = golden_vector(predictor, photo, expected["metadata"])
        for name, value in expected["features"].items():
            if not _close(
                got["features"].get(name), value, tolerance.features, spread.get(name, 0.0)
            ):
                raise _moved(f"feature {name} of {photo.name}", value, got["features"].get(name))
        if not _close(got["pm25_estimate"], expected["pm25_estimate"], tolerance.estimate, 0.0):
            raise _moved(
                f"the estimate of {photo.name}", expected["pm25_estimate"], got["pm25_estimate"]
            )


def _read_vectors(folder: Path) -> list[dict[str, Any]]:
    """What `golden_vector` once made. Raises ArtifactError when one or its photo is missing."""
    try:
        vectors: list[dict[str, Any]] = json.loads((folder / VECTORS).read_text(encoding="utf-8"))
        if not vectors:
            raise ValueError("there are none")
        for vector in vectors:
            photo = folder / vector["photo"]
            if photo.suffix not in TOLERANCES or not photo.is_file():
                raise ValueError(f"{photo.name} is no golden photo")
            if not {"metadata", "features", "pm25_estimate"} <= vector.keys():
                raise ValueError(f"that of {photo.name} is not whole")
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            "broken_golden_vectors",
            f"The golden vectors cannot be read: {error}.",
            "Package the archive again from its training run.",
        ) from error
    return vectors


def _close(got: float | None, expected: float | None, tolerance: float, spread: float) -> bool:
    if got is None or expected is None:
        return got is expected
    return abs(got - expected) <= tolerance * max(abs(expected), spread)


def _moved(what: str, expected: object, got: object) -> ArtifactError:
    return ArtifactError(
        "golden_vector_moved",
        f"In this installation {what} is {got}, in training it was {expected}.",
        "Install the pinned versions of the serving set; after a change of code, train again.",
    )
