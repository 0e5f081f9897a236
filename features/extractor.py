"""Every photo feature, family by family, in one fixed order."""

from __future__ import annotations

from collections.abc import Callable, Collection

from features import (
    colour,
    deep,
    frequency,
    gradient,
    haze,
    saturation,
    skylight,
    texture,
    veil,
    visibility,
)
from features.photo import WORKING_SIDE
from features.scene import Scene
from features.schema import FeatureFamily, feature_set_hash


class ScientificFeatureExtractor:
    """Reads the named photo features from the scene of one photo.

    The numbers depend on the picture at the working size alone: not on the file's resolution,
    compression or exposure data, which identify where a photo comes from and not its air.
    """

    families: tuple[FeatureFamily, ...] = (
        visibility.FAMILY,
        colour.FAMILY,
        saturation.FAMILY,
        skylight.FAMILY,
        haze.FAMILY,
        veil.FAMILY,
        texture.FAMILY,
        gradient.FAMILY,
        frequency.FAMILY,
        deep.FAMILY,
    )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for family in self.families for name in family.names)

    @property
    def feature_set(self) -> str:
        """The hash under which rows of these features may be stored and compared."""
        return feature_set_hash(self.families, WORKING_SIDE)

    def extract(self, scene: Scene, families: Collection[str] | None = None) -> dict[str, float]:
        """The features of one photo by name; `nan` where the photo does not define one.

        families  names of those that are read; all of them if None
        """
        features: dict[str, float] = {}
        for family in self.families:
            if families is None or family.name in families:
                features.update(_READERS[family.name](scene))
        return features


_READERS: dict[str, Callable[[Scene], dict[str, float]]] = {
    "visibility": lambda scene: visibility.visibility_features(scene.light, scene.geometry),
    "colour": lambda scene: colour.colour_features(scene.light, scene.geometry),
    "saturation": lambda scene: saturation.saturation_features(scene.light, scene.geometry),
    "skylight": lambda scene: skylight.skylight_features(scene.light, scene.geometry),
    "haze": lambda scene: haze.haze_features(scene.light, scene.geometry),
    "veil": lambda scene: veil.veil_features(scene.light, scene.geometry),
    "texture": lambda scene: texture.texture_features(scene.light, scene.geometry),
    "gradient": lambda scene: gradient.gradient_features(scene.light, scene.geometry),
    "frequency": lambda scene: frequency.frequency_features(scene.light, scene.geometry),
    "deep": lambda scene: deep.DeepFeatureExtractor().extract(scene),
}
