"""What one photo shows: its light, how near its parts are, and the air before them.

The verdict on a photo and all families of features read one scene, so that nothing is looked for
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from features.haze_network import HazeNetwork, TransmissionMap
from features.light import Light
from features.sky import PictureGeometry, picture_geometry


@dataclass(frozen=True)
class Scene:
    """One photo as it is read.

    light     its planes
    geometry  where its sky ends, and the depth bands below
    air       what the network sees before and behind them
    """

    light: Light
    geometry: PictureGeometry
    air: TransmissionMap


def scene_of(light: Light) -> Scene:
    """The scene of the photo whose light this is."""
    geometry = picture_geometry(light)
    return Scene(light, geometry, _network().see(light, geometry.sky_share))


@cache
def _network() -> HazeNetwork:
    """The network, read once a process and not sent along with every photo."""
    return HazeNetwork()
