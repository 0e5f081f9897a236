"""What each feature costs [µs]: the time of what computes it, shared out among all that come of it.

Features share planes, histograms and spectra, so none has a cost of its own. A family is parted
into groups that are computed together; each is timed in its place, between decode and models, and
its time is divided by the number of its features. What families share (decoding, the planes of
light, the geometry of the picture) is computed before them and stands apart: no feature's cost
holds a part of it, and leaving a feature out saves its cost only together with its group.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.cpu_time import timed
from benchmarks.planes import geometry_with_zones, light_with_planes
from features import deep, extractor, meteorology, scene
from features.extractor import ScientificFeatureExtractor
from features.haze_network import HazeNetwork
from features.metadata import PhotoMetadata
from features.meteorology import MeteorologicalFeatureExtractor
from features.photo import decode_photo
from features.schema import FeatureFamily

FAMILIES: tuple[FeatureFamily, ...] = (*ScientificFeatureExtractor.families, meteorology.FAMILY)
COLUMNS = ("feature", "family", "group", "cost_us")
DECODING, LIGHT, GEOMETRY = "decoding", "planes of light", "geometry of the picture"
SHARED = (DECODING, LIGHT, GEOMETRY)
ROUNDS = 9


@dataclass(frozen=True)
class Group:
    """Features that are computed together.

    functions  those of the family's file that take the group's time; without any, the group takes
               what is left of the family's
    names      a pattern of which the name of each of its features holds one; the first group counts
    """

    name: str
    functions: tuple[str, ...]
    names: str


# A family that is not named here is one group. Where no group takes what is left of the family's
# time, its features share that equally.
GROUPS: dict[str, tuple[Group, ...]] = {
    "visibility": (
        Group("skyline", ("_skyline_features", "_roughness"), "^skyline"),
        Group("horizon sky", ("_zone_luminances",), "airlight|black_target|sky_luminance_gradient"),
        Group("lightness", (), ""),
    ),
    "colour": (
        Group("value", ("_value_moments",), "_value_"),
        Group("grey world", ("_grey_world_gains",), "^grey_world"),
        Group("Lab and RGB", (), ""),
    ),
    "saturation": (
        Group("wavelets", ("wavelet_entropies",), "wavelet"),
        Group("moments and entropies", (), ""),
    ),
    "haze": (
        Group("dark channel", ("darkest_channels",), "dark_channel"),
        Group("airlight", ("airlight_of",), "^airlight"),
        Group("transmission", ("transmission_of",), "transmission|optical_depth|hidden"),
        Group("attenuation", ("_attenuation_depths",), "attenuation"),
    ),
    "texture": (
        Group("co-occurrence", ("co_occurrences", "haralick"), r"^glcm_.*_d\d$"),
        Group("steps by band", ("step_histogram",), "^glcm"),
        Group("binary patterns", ("local_binary_patterns", "pattern_histogram"), "^lbp"),
    ),
    "gradient": (
        Group("Laplacian", ("laplacian_histogram",), "^laplacian"),
        Group("edge width", ("edge_widths",), "^edge_width"),
        Group("skyline", ("skyline_sharpness",), "^skyline"),
        Group("Sobel", ("gradient_histogram",), ""),
    ),
    "frequency": (
        Group("Haar", ("haar_energies",), "^haar"),
        Group("spectrum", ("radial_spectrum", "power_law"), ""),
    ),
}


def groups_of(family: FeatureFamily) -> tuple[Group, ...]:
    """The groups that the features of `family` are computed in; one where it names none."""
    return GROUPS.get(family.name, (Group(family.name, (), ""),))


def group_of(family: FeatureFamily, feature: str) -> Group:
    """The first group of `family` whose pattern the name of `feature` holds."""
    return next(group for group in groups_of(family) if re.search(group.names, feature))


@dataclass(frozen=True)
class FeatureCosts:
    """Medians over photos [µs].

    shared     what families share, by name
    by_group   (family, group) → time of the group, its part of what is left included
    n_of_group (family, group) → how many features share it
    """

    shared: dict[str, float]
    by_group: dict[tuple[str, str], float]
    n_of_group: dict[tuple[str, str], int]

    def rows(self) -> Iterator[dict[str, str]]:
        """One for each feature, in the order of a feature row; keys are COLUMNS."""
        for family in FAMILIES:
            for feature in family.names:
                key = (family.name, group_of(family, feature).name)
                cost = self.by_group[key] / self.n_of_group[key]
                cells = (feature, *key, f"{cost:.1f}")
                yield dict(zip(COLUMNS, cells, strict=True))

    def table(self) -> str:
        """A line for what is shared, for each family and for each of its groups."""
        lines = [f"{'':44}{'features':>10}{'µs':>8}{'µs each':>9}"]
        lines += [f"{'shared: ' + name:44}{'':10}{time:8.0f}" for name, time in self.shared.items()]
        for family in FAMILIES:
            keys = [key for key in self.by_group if key[0] == family.name]
            total = sum(self.by_group[key] for key in keys)
            lines.append(_line(family.name, len(family.names), total))
            if len(keys) > 1:
                lines += [
                    _line(f"    {key[1]}", self.n_of_group[key], self.by_group[key]) for key in keys
                ]
        lines.append(_line("all", sum(self.n_of_group.values()), sum(self.by_group.values())))
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        return {"shared_us": self.shared, "features": list(self.rows())}


def feature_costs(photos: Sequence[Path], rounds: int = ROUNDS) -> FeatureCosts:
    """Times of all groups over `photos`, the best of some rounds for each photo."""
    files = [photo.read_bytes() for photo in photos]
    spent: defaultdict[str, list[float]] = defaultdict(list)
    photo_features, weather = ScientificFeatureExtractor(), MeteorologicalFeatureExtractor()
    best: defaultdict[str, dict[int, float]] = defaultdict(dict)
    with ExitStack() as stack:
        for owner, attribute, key in _timed_calls():
            call = timed(getattr(owner, attribute), spent[key])
            stack.enter_context(patch.object(owner, attribute, call))
        decode = timed(decode_photo, spent[DECODING])
        light_of = timed(light_with_planes, spent[LIGHT])
        stack.enter_context(
            patch.object(scene, "picture_geometry", timed(geometry_with_zones, spent[GEOMETRY]))
        )
        families = extractor._READERS
        stack.enter_context(
            patch.dict(families, {name: timed(families[name], spent[name]) for name in families})
        )
        for _ in range(rounds + 1):  # the first fills the tables that are made once
            for number, data in enumerate(files):
                photo_features.extract(scene.scene_of(light_of(decode(data))))
                weather.extract(PhotoMetadata())
                for key, times in spent.items():
                    best[key][number] = min(best[key].get(number, np.inf), 1e3 * sum(times))
                    times.clear()
    return shared_out({key: float(np.median(list(by.values()))) for key, by in best.items()})


def write_costs(costs: FeatureCosts, path: Path) -> None:
    """`path` as CSV, a line a feature: what `python -m training.features_page` prints."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(costs.rows())


def _timed_calls() -> Iterator[tuple[object, str, str]]:
    """Owner, attribute and key of the calls that are timed beside the reading of a family."""
    yield MeteorologicalFeatureExtractor, "extract", meteorology.FAMILY.name
    yield HazeNetwork, "see", deep.FAMILY.name
    for family in FAMILIES:
        for group in groups_of(family):
            for function in group.functions:
                yield getattr(extractor, family.name), function, f"{family.name}/{group.name}"


def _line(name: str, features: int, time: float) -> str:
    return f"{name:44}{features:10}{time:8.0f}{time / features:9.1f}"


def shared_out(times: Mapping[str, float]) -> FeatureCosts:
    """Costs from the times [µs] of what is shared, of families, and of groups as family/group."""
    by_group: dict[tuple[str, str], float] = {}
    n_of_group: dict[tuple[str, str], int] = {}
    for family in FAMILIES:
        groups = groups_of(family)
        timed_groups = [group for group in groups if group.functions]
        own = {group.name: times[f"{family.name}/{group.name}"] for group in timed_groups}
        left = max(times[family.name] - sum(own.values()), 0.0)
        for group in groups:
            n = sum(group_of(family, name) == group for name in family.names)
            share = left
            if len(timed_groups) == len(groups):
                share *= n / len(family.names)
            elif group.functions:
                share = 0.0
            key = (family.name, group.name)
            by_group[key], n_of_group[key] = own.get(group.name, 0.0) + share, n
    return FeatureCosts({name: times[name] for name in SHARED}, by_group, n_of_group)
