"""The hash of a feature set: what changes a number's meaning changes it, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.extractor import ScientificFeatureExtractor
from features.light import light_of
from features.meteorology import FAMILY as METEOROLOGY
from features.photo import WORKING_SIDE
from features.scene import scene_of
from features.schema import Feature, FeatureFamily, feature_set_hash
from tests.landscape import landscape

HAZE = Feature("haze", "1", "how hazy it is", 1, "Koschmieder 1924")
SKY = Feature("sky", "1", "share of the sky", 0, "geometry")
FAMILIES = (FeatureFamily("far", 1, (HAZE, SKY)), FeatureFamily("near", 1, (SKY,)))


def changed(*features: Feature, version: int = 1, name: str = "far") -> tuple[FeatureFamily, ...]:
    return (FeatureFamily(name, version, features), FAMILIES[1])


@pytest.mark.parametrize(
    ("families", "side"),
    [
        (FAMILIES, 800),
        (FAMILIES[:1], 640),
        (FAMILIES[::-1], 640),
        (changed(HAZE, SKY, version=2), 640),
        (changed(HAZE, SKY, name="other"), 640),
        (changed(SKY, HAZE), 640),
        (changed(HAZE), 640),
        (changed(replace(HAZE, name="mist"), SKY), 640),
        (changed(replace(HAZE, unit="km"), SKY), 640),
    ],
)
def test_another_meaning_is_another_hash(families: tuple[FeatureFamily, ...], side: int) -> None:
    assert feature_set_hash(families, side) != feature_set_hash(FAMILIES, 640)


def test_other_words_for_the_same_number_are_the_same_hash() -> None:
    said = replace(HAZE, meaning="mistiness", reference="Middleton 1952", expected_sign=0)
    assert feature_set_hash(changed(said, SKY), 640) == feature_set_hash(FAMILIES, 640)


def test_the_extractor_gives_what_its_families_promise() -> None:
    extractor = ScientificFeatureExtractor()
    features = extractor.extract(scene_of(light_of(landscape(2.0)[0])))
    assert tuple(features) == extractor.names
    assert all(isinstance(value, float) for value in features.values())
    assert not np.isinf(list(features.values())).any()
    assert extractor.feature_set == feature_set_hash(extractor.families, WORKING_SIDE)


def test_every_feature_has_one_name_and_is_described() -> None:
    families = (*ScientificFeatureExtractor.families, METEOROLOGY)
    features = [feature for family in families for feature in family.features]
    names = [feature.name for feature in features]
    assert len(set(names)) == len(names)
    assert len({family.name for family in families}) == len(families)
    for feature in features:
        assert feature.name.isidentifier() and feature.name == feature.name.lower()
        assert feature.unit and feature.meaning and feature.reference
        assert feature.expected_sign in (-1, 0, 1)
