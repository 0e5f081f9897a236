"""Every photo feature, family by family, in one fixed order."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from features.sky import PictureGeometry, picture_geometry


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

    def extract(
        self,
        light: Light,
        families: Collection[str] | None = None,
        geometry: PictureGeometry | None = None,
    ) -> dict[str, float]:
        """The features of one photo by name; `nan` where the photo does not define one.

        families  names of those that are read; all of them if None
        geometry  of `light`, where it is known already
        """
        geometry = geometry or picture_geometry(light)
        features: dict[str, float] = {}
        for family in self.families:
            if families is None or family.name in families:
                features.update(_READERS[family.name](light, geometry))
        return features


@cache
def _network() -> deep.DeepFeatureExtractor:
    """The network, read once a process and not sent along with every photo."""
    return deep.DeepFeatureExtractor()


_READERS: dict[str, Callable[[Light, PictureGeometry], dict[str, float]]] = {
    "visibility": visibility.visibility_features,
    "colour": colour.colour_features,
    "saturation": saturation.saturation_features,
    "skylight": skylight.skylight_features,
    "haze": haze.haze_features,
    "veil": veil.veil_features,
    "texture": texture.texture_features,
    "gradient": gradient.gradient_features,
    "frequency": frequency.frequency_features,
    "deep": lambda light, geometry: _network().extract(light, geometry),
}
