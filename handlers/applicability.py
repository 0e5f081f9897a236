"""What an answer warns of: circumstances in which an estimate means less than its number.

Nothing here refuses a photo. Where it lies beyond the applicability domain its interval is wider
(`handlers/applicability_domain.py`); the rest is said in words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import ArtifactError
from features.finding import Finding
from features.metadata import PhotoMetadata
from features.pipeline import as_matrix
from handlers.applicability_domain import ApplicabilityDomain

# Above this relative humidity water on the particles dominates extinction: fog and haze look alike.
FOG_HUMIDITY_PCT = 93.0
# Within civil twilight: below it there is no skylight left that haze could redden or whiten.
NIGHT_SUN_ELEVATION_DEG = -3.0
# Unknown where no far band was found: without a sky, without ground, or in a white-out.
FAR_FIELD = "far_rms_contrast"
# Below this the photo is none by day (`handlers/estimator.py`): airlight is red, shadows are long.
LOW_SUN_ELEVATION_DEG = 5.0


@dataclass(frozen=True)
class Applicability:
    """score [0..1]: reach of the training data over the photo's distance from it, 1 within reach.

    warnings: in the order in which they were found, none for a usual photo.
    """

    score: float
    warnings: tuple[Finding, ...]


@dataclass(frozen=True)
class TrainingStatistics:
    """What the training data looked like: quantiles of features and labels, and the baselines.

    levels              (q,) quantile levels [1]
    feature_quantiles   name → (q,) over training photos, every session with equal weight
    pm25_quantiles      (q,) of the labels [ug m-3]
    baseline_pm25       the constant for a camera that is not known: median over training sites of
                        each site's median session [ug m-3]
    baseline_by_camera  camera → median of its training labels [ug m-3]
    """

    levels: tuple[float, ...]
    feature_quantiles: Mapping[str, tuple[float, ...]]
    pm25_quantiles: tuple[float, ...]
    baseline_pm25: float
    baseline_by_camera: Mapping[str, float]

    def baseline(self, camera: str | None) -> float:
        """The constant that an estimate has to beat [ug m-3]."""
        return self.baseline_by_camera.get(camera or "", self.baseline_pm25)

    def save(self, path: Path) -> None:
        """Write JSON, names sorted: the same statistics, the same bytes."""
        path.write_text(json.dumps(self.__dict__, indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> TrainingStatistics:
        """Read what `save` wrote. Raises ArtifactError when it is missing or damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                levels=tuple(content["levels"]),
                feature_quantiles={k: tuple(v) for k, v in content["feature_quantiles"].items()},
                pm25_quantiles=tuple(content["pm25_quantiles"]),
                baseline_pm25=float(content["baseline_pm25"]),
                baseline_by_camera=dict(content["baseline_by_camera"]),
            )
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "broken_statistics",
                f"{path.name} does not hold training statistics: {error}.",
                "Package the archive again from its training run.",
            ) from error


def applicability(
    features: Mapping[str, float],
    metadata: PhotoMetadata,
    statistics: TrainingStatistics,
    domain: ApplicabilityDomain,
    *,
    estimate: float,
    known_camera: bool,
) -> Applicability:
    """Judge one photo. `estimate` in [ug m-3]."""
    warnings: list[Finding] = []

    def warn(code: str, detail: str, how_to_fix: str) -> None:
        warnings.append(Finding(code, "warning", detail, how_to_fix))

    distance = float(domain.distance(as_matrix([features], domain.names), domain.names)[0])
    furthest = domain.furthest(features)
    if distance > domain.reach and furthest is not None:
        detail, how_to_fix = furthest
        warn(
            "unlike_training",
            f"The photo lies {distance / domain.reach:.1f} times as far from the training photos "
            f"as new places do, most of all by its {detail}.",
            how_to_fix,
        )
    if metadata.camera is not None and not known_camera:
        warn(
            "unseen_camera",
            f"The archive holds no reference for the camera '{metadata.camera}'.",
            "The estimate is that of an unknown place; leave the camera out, or name a known one.",
        )
    if metadata.captured_at is None or metadata.lat is None:
        warn(
            "unknown_sun",
            "Without time and place the height of the sun is unknown.",
            "Send captured_at with its offset, lat and lon.",
        )
    elevation = features.get("sun_elevation_deg", math.nan)
    if elevation < NIGHT_SUN_ELEVATION_DEG:
        warn(
            "night",
            f"The sun stood at {elevation:.0f}°: at night a photo says little about dust.",
            "Take the photo by day, with the sun at least 5° up.",
        )
    elif elevation < LOW_SUN_ELEVATION_DEG:
        warn(
            "low_sun",
            f"The sun stood at {elevation:.0f}°: twilight colours the air by itself.",
            "Take the photo by day, with the sun at least 5° up.",
        )
    if not math.isfinite(features.get(FAR_FIELD, math.nan)):
        warn(
            "no_far_field",
            "No distant ground below a sky was found: there is none, or haze hides all of it.",
            "Take a photo that shows the sky and something far below it.",
        )
    humidity = metadata.relative_humidity_pct
    if humidity is not None and humidity > FOG_HUMIDITY_PCT:
        warn(
            "fog_suspected",
            f"At a relative humidity of {humidity:.0f} % fog and dust look alike.",
            "Take the photo again when the air is drier.",
        )
    if estimate > statistics.pm25_quantiles[-1]:
        warn(
            "beyond_training_range",
            f"The estimate lies above the highest training label, "
            f"{statistics.pm25_quantiles[-1]:.0f} µg/m³.",
            "Read it as 'at least this much'.",
        )
    return Applicability(score=domain.score(distance), warnings=tuple(warnings))
