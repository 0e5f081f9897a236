"""From the bytes of a photo to the answer: the whole road, in one object, with no server around it.

The server, `pm25 predict` and `pm25 evaluate` all call `Predictor.answer`: what is measured is
what is served.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from features.errors import PhotoError
from features.extractor import ScientificFeatureExtractor
from features.finding import Finding
from features.metadata import PhotoMetadata, parse_metadata
from features.meteorology import MeteorologicalFeatureExtractor
from features.overlay import overlays_of
from features.photo import Photo, decode_photo
from features.quality import ImageQualityValidator, ImageValidationResult
from features.scene import scene_of
from handlers.air_quality_index import air_quality
from handlers.applicability import Applicability, TrainingStatistics, applicability
from handlers.artifact import Manifest, verify
from handlers.camera import CameraReference
from handlers.camera_folder import CameraFolder
from handlers.circumstances import Circumstances, circumstances_of
from handlers.content_hash import running_content_hash
from handlers.contributions import contributions
from handlers.estimator import LEVEL, Estimates, PM25Estimator
from handlers.explanation import explanation
from handlers.flaw_spread import flaw_spread
from handlers.golden import check_golden
from handlers.size_limit import DEFAULT_MIN_SIDE, serving_min_side
from handlers.trace import EXPLANATION, Trace

FURTHER_LEVELS = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class _Judged:
    """One photo, what is known of it, and what the models say; `ignored`: of its camera."""

    circumstances: Circumstances
    photo: Photo
    features: Mapping[str, float]
    verdict: ImageValidationResult
    estimator: PM25Estimator
    ignored: Finding | None
    estimates: Estimates


class Predictor:
    """Answers photos with one archive's models."""

    def __init__(
        self,
        estimator: PM25Estimator,
        statistics: TrainingStatistics,
        manifest: Manifest,
        cameras: CameraFolder,
        min_side: int = DEFAULT_MIN_SIDE,
    ) -> None:
        self.estimator = estimator
        self.statistics = statistics
        self.manifest = manifest
        self.cameras = cameras
        self.min_side = min_side
        self._photo_features = ScientificFeatureExtractor()
        self._meteorology = MeteorologicalFeatureExtractor()

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Load the artefact in `folder` after its sums and before its first answer.

        Raises ArtifactError when a file was changed, or when this code or this installation
        computes other numbers than training did.
        """
        predictor = cls.unproven(folder)
        check_golden(predictor, folder / "golden")
        return predictor

    @classmethod
    def unproven(cls, folder: Path) -> Predictor:
        """Load the artefact without recomputing its golden vectors: to make them."""
        manifest = verify(folder, ScientificFeatureExtractor().feature_set)
        return cls(
            PM25Estimator.load(folder),
            TrainingStatistics.load(folder / "statistics.json"),
            manifest,
            CameraFolder.of_environment(running_content_hash(folder), manifest.feature_set),
            serving_min_side(),
        )

    def features(
        self,
        photo: Photo,
        metadata: PhotoMetadata,
        *,
        min_side: int | None = None,
        trace: Trace | None = None,
    ) -> tuple[dict[str, float], ImageValidationResult]:
        """Named features of a decoded photo and its quality verdict.

        min_side  of this photo [px]; the server's own where it is None

        Raises PhotoError with the verdict's first error when the photo is not fit to be judged.
        """
        scene = scene_of(photo.light())
        with (trace or Trace()).stage("quality"):
            validator = ImageQualityValidator(min_side or self.min_side)
            verdict = validator.validate(photo, scene)
        if not verdict.is_valid:
            raise _refusal(verdict)
        return {
            **self._photo_features.extract(scene),
            **self._meteorology.extract(metadata),
        }, verdict

    def estimate(self, features: Mapping[str, float], camera: str | None) -> Estimates:
        """The estimate of one photo (n = 1) from its named features."""
        estimator, _ = self._knowing(camera)
        return estimator.estimate(estimator.row(features), [camera])

    def _knowing(self, camera: str | None) -> tuple[PM25Estimator, Finding | None]:
        """The models with the reference of `camera` that came after training, if there is one, or
        with a warning if it cannot be used. What the archive itself knows comes first.
        """
        if self.estimator.knows(camera):
            return self.estimator, None
        reference, warning = self.cameras.find(camera)
        return (self.estimator.with_camera(reference) if reference else self.estimator), warning

    def answer(
        self,
        data: bytes,
        metadata: Mapping[str, object] | None = None,
        *,
        include: Collection[str] = (),
        min_side: int | None = None,
        trace: Trace | None = None,
    ) -> dict[str, object]:
        """The answer to one photo, as the service gives it. `include` may name "features" and
        "quantiles" (19, at 5 … 95 %), which are large and left out otherwise.

        Raises PhotoError when the bytes are no photo that can be judged, MetadataError when a
        field is unknown or out of range.
        """
        judged = self._judged(data, metadata, min_side, trace or Trace())
        return self._answer(judged, include)

    def explain(
        self,
        data: bytes,
        metadata: Mapping[str, object] | None = None,
        *,
        include: Collection[str] = (),
        min_side: int | None = None,
        trace: Trace | None = None,
    ) -> dict[str, object]:
        """The answer to one photo as `answer` gives it, and its `explanation`
        (handlers/explanation.py). Raises what `answer` raises.
        """
        trace = trace or Trace()
        judged = self._judged(data, metadata, min_side, trace)
        with trace.stage(EXPLANATION):
            estimator, features = judged.estimator, judged.features
            camera = judged.circumstances.metadata.camera
            parts = contributions(estimator, estimator.row(features), camera)
            overlays = overlays_of(judged.photo.light())
            explained = explanation(parts, features, judged.photo, overlays)
        return {**self._answer(judged, include), "explanation": explained}

    def _judged(
        self,
        data: bytes,
        metadata: Mapping[str, object] | None,
        min_side: int | None,
        trace: Trace,
    ) -> _Judged:
        """What the models say of a photo, and all that they say it of."""
        given = parse_metadata(metadata or {})
        with trace.stage("decode"):
            photo = decode_photo(data)
        circumstances = circumstances_of(given, photo)
        given = trace.metadata = circumstances.metadata
        with trace.stage("features"):
            features, verdict = self.features(photo, given, min_side=min_side, trace=trace)
        trace.features = features
        with trace.stage("ensemble"):
            estimator, ignored = self._knowing(given.camera)
            row = estimator.row(features)
            flaws = flaw_spread(
                (issue.code for issue in verdict.issues),
                fixed_view=estimator.is_fixed_view(given.camera),
                night_is_usual=estimator.night_is_usual(row, given.camera),
            )
            estimates = estimator.estimate(row, [given.camera], trace).widened(flaws)
        return _Judged(circumstances, photo, features, verdict, estimator, ignored, estimates)

    def _answer(self, judged: _Judged, include: Collection[str]) -> dict[str, object]:
        given, estimator = judged.circumstances.metadata, judged.estimator
        estimates = judged.estimates
        judgement = applicability(
            judged.features,
            given,
            self.statistics,
            estimator.domain,
            estimate=float(estimates.pm25[0]),
            known_camera=estimator.knows(given.camera),
        )
        if judged.ignored is not None:
            judgement = replace(judgement, warnings=(*judgement.warnings, judged.ignored))
        reference = estimator.cameras.get(given.camera or "")
        known = reference if estimator.knows(given.camera) else None
        answer = self._as_json(estimates, judged.verdict, judgement, known, judged.circumstances)
        if "quantiles" in include:
            answer["quantiles"] = estimates.quantiles[0, 1:-1].tolist()
        if "features" in include:
            answer["features"] = {
                name: value if np.isfinite(value) else None
                for name, value in judged.features.items()
            }
        return answer

    def _as_json(
        self,
        estimates: Estimates,
        verdict: ImageValidationResult,
        judged: Applicability,
        reference: CameraReference | None,
        circumstances: Circumstances,
    ) -> dict[str, object]:
        pm25 = float(estimates.pm25[0])
        epistemic, aleatoric = float(estimates.epistemic[0]), float(estimates.aleatoric[0])
        return {
            "pm25_estimate": pm25,
            "uncertainty": float(np.hypot(epistemic, aleatoric)),
            "uncertainty_parts": {"epistemic": epistemic, "aleatoric": aleatoric},
            "interval": _interval(estimates, LEVEL),
            "intervals": [_interval(estimates, level) for level in FURTHER_LEVELS],
            "confidence": float(estimates.confidence[0]),
            "air_quality": air_quality(pm25),
            "quality": {
                "is_valid": verdict.is_valid,
                "quality_score": verdict.quality_score,
                "issues": [asdict(issue) for issue in verdict.issues],
            },
            "applicability": {
                "score": judged.score,
                "warnings": [asdict(warning) for warning in judged.warnings],
            },
            "camera_reference": None
            if reference is None
            else {
                "camera": reference.camera,
                "n": reference.n,
                "version": self.manifest.version,
            },
            "metadata_used": circumstances.as_json(),
            "model_version": self.manifest.version,
            "dataset_hash": self.manifest.dataset_hash,
            "feature_set": self.manifest.feature_set,
        }


def _interval(estimates: Estimates, level: float) -> dict[str, float]:
    """The central interval of the one photo [ug m-3], as the answer gives it."""
    lower, upper = estimates.interval(level)
    return {"level": level, "lower": float(lower[0]), "upper": float(upper[0])}


def _refusal(verdict: ImageValidationResult) -> PhotoError:
    error: Finding = next(issue for issue in verdict.issues if issue.severity == "error")
    return PhotoError(error.code, error.detail, error.how_to_fix)
