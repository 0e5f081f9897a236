"""Every photo feature, family by family, in one fixed order."""

from __future__ import annotations

from functools import cache

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
from features.light import Light
from features.photo import WORKING_SIDE
from features.schema import FeatureFamily, feature_set_hash
from features.sky import picture_geometry


class ScientificFeatureExtractor:
    """Reads the named photo features from the light of one photo.

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

    def extract(self, light: Light) -> dict[str, float]:
        """All features of one photo by name; `nan` where the photo does not define one."""
        geometry = picture_geometry(light)
        return {
            **visibility.visibility_features(light, geometry),
            **colour.colour_features(light, geometry),
            **saturation.saturation_features(light, geometry),
            **skylight.skylight_features(light, geometry),
            **haze.haze_features(light, geometry),
            **veil.veil_features(light, geometry),
            **texture.texture_features(light, geometry),
            **gradient.gradient_features(light, geometry),
            **frequency.frequency_features(light, geometry),
            **_network().extract(light, geometry),
        }


@cache
def _network() -> deep.DeepFeatureExtractor:
    """The network, read once a process and not sent along with every photo."""
    return deep.DeepFeatureExtractor()
