"""An extractor of three numbers that says which pictures it has read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.light import Light
from features.scene import Scene
from features.schema import Feature, FeatureFamily


def family(name: str, *features: str, version: int = 1) -> FeatureFamily:
    described = (Feature(feature, "1", "something", 0, "made up") for feature in features)
    return FeatureFamily(name, version, tuple(described))


@dataclass(frozen=True)
class LoggingExtractor:
    """Three numbers per photo; each photo that it really reads leaves a line in `log`."""

    log: Path
    seconds: float = 0.0
    feature_set: str = "three numbers"
    families: tuple[FeatureFamily, ...] = (
        family("lightness", "mean_lightness", "spread_of_lightness", "undefined"),
    )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for family in self.families for name in family.names)

    def extract(self, scene: Scene, families: Collection[str] | None = None) -> Mapping[str, float]:
        time.sleep(self.seconds)
        with self.log.open("a") as log:
            log.write(fingerprint(scene.light) + "\n")
        lightness = scene.light.lightness
        mean, spread = float(lightness.mean()), float(lightness.std())
        return {"undefined": np.nan, "spread_of_lightness": spread, "mean_lightness": mean}

    def read(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


def fingerprint(light: Light) -> str:
    return hashlib.sha256(light.grey.tobytes()).hexdigest()
