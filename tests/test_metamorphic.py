"""What is known of a change of the photo holds for the features, and for the archive in production.

How often each relation must hold stands in `benchmarks.relations.REQUIRED` alone, at the values
that are asked for. What the production archive is known to miss is named in `missed_rates.txt`;
anything else that it misses is a failure. `make metamorphic` prints every rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.metamorphic import AS_SENT, DRY, HAZE, WET, Block, measure
from benchmarks.relations import REQUIRED
from benchmarks.views import (
    BARE_SKY,
    DATASETS,
    HORIZON,
    INDIA,
    MILAN,
    NO_FAR_FIELD,
    indian_frames,
    milan_by_day,
    real_groups,
    rendered_group,
)
from features import veil
from features.extractor import ScientificFeatureExtractor
from features.photo import photo_from_pixels
from features.scene import scene_of
from lifecycle.production import production_archive
from tests.added_haze import (
    CHANGES,
    OPTICAL_DEPTHS,
    airlight,
    as_png,
    exposed,
    hazy_series,
    horizon_row,
    mirrored,
    read_picture,
    resized,
    to_linear,
    to_picture,
    with_added_haze,
)

# A line for each rate that model_store/production is known to miss: the block, a tab, the rate.
MISSED = Path(__file__).with_name("missed_rates.txt")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[np.uint8]]:
    """Rendered photos at their own size."""
    group = rendered_group(tmp_path_factory.mktemp("rendered") / "places", places=6)
    return [read_picture(view.photo.path.read_bytes()) for view in group.views]


def features_of(picture: NDArray[np.uint8]) -> dict[str, float]:
    return ScientificFeatureExtractor().extract(scene_of(photo_from_pixels(picture).light()))


# What adds the haze -------------------------------------------------------------------------------


def test_haze_is_what_koschmieder_says(pictures: list[NDArray[np.uint8]]) -> None:
    picture = pictures[0]
    row, depth = horizon_row(len(picture)), 0.8
    hazy = to_linear(with_added_haze(picture, depth, row))
    air, clear = airlight(picture), to_linear(picture)
    bottom, middle = len(picture) - 1, (len(picture) - 1 + row) // 2
    assert np.array_equal(to_picture(hazy)[bottom], picture[bottom])
    for at, tau in ((row, depth), (0, depth), (middle, depth * (bottom - middle) / (bottom - row))):
        expected = clear[at] * np.exp(-tau) + air * (1 - np.exp(-tau))
        assert hazy[at] == pytest.approx(expected, abs=0.006)  # half a code of 8 bits


def test_changes_do_what_their_names_say(pictures: list[NDArray[np.uint8]]) -> None:
    picture = pictures[0]
    assert np.array_equal(to_picture(to_linear(picture)), picture)
    assert np.array_equal(mirrored(mirrored(picture)), picture)
    assert np.array_equal(read_picture(as_png(picture)), picture)
    dark = picture // 4
    assert to_linear(exposed(dark, 1.0)) == pytest.approx(2 * to_linear(dark), abs=0.006)
    assert resized(picture, 0.5).shape[:2] == tuple(side // 2 for side in picture.shape[:2])
    assert {change.kind for change in CHANGES} == {"mirror", "jpeg", "resize", "exposure"}


# The features -------------------------------------------------------------------------------------


def test_added_haze_moves_the_veil_of_every_rendered_photo_one_way(
    pictures: list[NDArray[np.uint8]],
) -> None:
    signs = {feature.name: feature.expected_sign for feature in veil.FAMILY.features}
    fixed = [n for n in signs if not n.startswith(("far_", "horizon_")) and "difference" not in n]
    for picture in pictures:
        series = [features_of(hazy) for hazy in hazy_series(picture)]
        assert len(series) == 1 + len(OPTICAL_DEPTHS)
        for name in fixed:
            steps = signs[name] * np.diff([step[name] for step in series])
            assert (steps > -0.003).all(), (name, steps)
            assert steps.sum() > 0, name


def test_mirroring_moves_no_feature(pictures: list[NDArray[np.uint8]]) -> None:
    for picture in pictures:
        values = features_of(picture)
        assert features_of(mirrored(picture)) == pytest.approx(
            values, rel=1e-4, abs=1e-6, nan_ok=True
        )


# The archive in production ------------------------------------------------------------------------


def known_misses() -> set[tuple[str, str]]:
    lines = MISSED.read_text(encoding="utf-8").splitlines()
    return {(block, rate) for block, rate in (line.split("\t") for line in lines if line)}


def check(blocks: Sequence[Block]) -> None:
    rates = {(block.title, rate.name): rate for block in blocks for rate in block.rates()}
    asked = {title for title, _ in rates}
    known = {miss for miss in known_misses() if miss[0] in asked}
    assert known <= set(rates), "missed_rates.txt names what is not measured"
    assert all(rate.n for rate in rates.values())
    missed = {name for name, rate in rates.items() if not rate.holds}
    assert missed <= known, {name: rates[name] for name in missed - known}


def test_every_rate_that_is_asked_for_is_measured() -> None:
    estimates = dict.fromkeys((*HAZE, AS_SENT, DRY, WET, *(c.name for c in CHANGES)), 20.0)
    for photos in ("rendered", "milan", "india"):
        rates = Block("", photos, [estimates]).rates()
        required = [rate.at_least for rate in rates if rate.at_least is not None]
        kinds = {photos_relation[1] for photos_relation in REQUIRED if photos_relation[0] == photos}
        # One of haze, two of humidity; of each change its rate, and but for exposure its median.
        assert len(required) == 3 + sum(1 + (c.kind != "exposure") for c in CHANGES)
        assert len(kinds) == 10
        # An estimate that nothing moves keeps all but what should move it.
        assert {rate.name for rate in rates if not rate.holds} == {
            "haze: no step lowers, and the last stands clear",
            "humidity: fall of the mean",
        }


def test_the_production_archive_answers_changes_of_rendered_photos(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    group = rendered_group(tmp_path_factory.mktemp("asked") / "places")
    check(measure(production_archive(), [group]))


@pytest.mark.long
def test_the_production_archive_answers_changes_of_real_photos() -> None:
    groups = real_groups()
    if not groups:
        pytest.skip(f"the development photos are not in {DATASETS}")
    check(measure(production_archive(), groups))


def test_the_views_are_those_that_were_judged() -> None:
    if not (MILAN.is_dir() and INDIA.is_dir()):
        pytest.skip(f"the development photos are not in {DATASETS}")
    assert len(milan_by_day()) == 165
    shown = Counter(view.shows for view in indian_frames())
    assert shown == {HORIZON: 104, BARE_SKY: 35, NO_FAR_FIELD: 14}
