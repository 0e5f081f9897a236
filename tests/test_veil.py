"""What is read from fixed parts of the picture follows its formula, and rises with any haze."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.light import SRGB_TO_LINEAR, light_of
from features.sky import PictureGeometry, picture_geometry
from features.veil import FAMILY, dark_channel, veil_features, white_point
from tests.added_haze import hazy_series
from tests.landscape import landscape, re_encoded

SIGNS = {feature.name: feature.expected_sign for feature in FAMILY.features}
# Those that need a geometry or the row of the horizon, or hold two parts against each other.
ON_BANDS = {name for name in FAMILY.names if name.startswith(("far_", "horizon_"))} | {
    "belt_lower_veil_difference"
}


def features_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
    light = light_of(pixels)
    return veil_features(light, picture_geometry(light))


def test_a_plain_picture_with_a_white_stripe_gives_the_formula() -> None:
    pixels = np.full((240, 320, 3), (120, 100, 140), np.uint8)
    pixels[:, :16] = (250, 240, 230)
    values = features_of(pixels)
    veil = SRGB_TO_LINEAR[100] / SRGB_TO_LINEAR[230]
    assert white_point(light_of(pixels)) == pytest.approx(SRGB_TO_LINEAR[230])
    assert values["belt_veil_p25"] == pytest.approx(veil)
    assert values["picture_veil_p75"] == pytest.approx(veil)
    assert values["belt_row_veil"] == pytest.approx(veil)
    assert values["clear_fraction"] == pytest.approx(float(veil < 0.2), abs=0.05)
    # The patch keeps white to the eight columns that no darker pixel is near.
    white = 2 / 80
    assert values["picture_veil_mean"] == pytest.approx((1 - white) * veil + white, abs=0.005)
    assert values["belt_veil_depth"] == pytest.approx(
        (1 - white) * -np.log(1 - veil) + white * -np.log(0.02), abs=0.03
    )


def test_each_part_is_where_its_name_says() -> None:
    pixels = np.full((300, 400, 3), 255, np.uint8)
    pixels[100:120] = 0  # within the middle third, above the belt
    values = features_of(pixels)
    assert values["upper_third_veil_mean"] > 0.9 > values["middle_third_veil_mean"]
    assert values["belt_veil_mean"] > 0.9
    assert values["lower_third_veil_mean"] == 1.0
    pixels[:] = 255
    pixels[215:] = 0  # below the belt
    values = features_of(pixels)
    assert values["belt_veil_mean"] > 0.9 > values["lower_third_veil_mean"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 60), st.integers(1, 255))
def test_added_haze_moves_every_fixed_part_one_way_in_any_picture(
    seed: int, side: int, brightest: int
) -> None:
    blocks = np.random.default_rng(seed).integers(
        0, brightest + 1, (-(-240 // side), -(-320 // side), 3), dtype=np.uint8
    )
    picture = np.kron(blocks, np.ones((side, side, 1), np.uint8))[:240, :320]
    series = [features_of(hazy) for hazy in hazy_series(picture)]
    for name in set(FAMILY.names) - ON_BANDS:
        if "detail" in name:  # dark colours may gain lightness steps where haze first lifts them
            continue
        steps = SIGNS[name] * np.diff([values[name] for values in series])
        assert (steps > -0.02).all(), (name, steps)


@pytest.mark.parametrize("seed", range(3))
def test_added_haze_moves_every_feature_of_a_view_its_way(seed: int) -> None:
    series = [features_of(hazy) for hazy in hazy_series(landscape(0.1, seed=seed)[0])]
    for name in FAMILY.names:
        values = [step[name] for step in series]
        steps = SIGNS[name] * np.diff(values)
        assert (steps >= -1e-6).all(), (name, values)


@pytest.mark.parametrize("width", [640, 427])
def test_mirroring_changes_nothing(width: int) -> None:
    pixels = landscape(0.5, width=width)[0]
    values, mirrored = features_of(pixels), features_of(pixels[:, ::-1])
    assert mirrored == pytest.approx(values, rel=1e-6, abs=1e-9)


def test_re_encoding_changes_little() -> None:
    pixels = landscape(0.5)[0]
    values, again = features_of(pixels), features_of(re_encoded(pixels, 75))
    for name in ("belt_veil_mean", "picture_veil_p25", "far_veil_mean", "belt_detail_log"):
        assert again[name] == pytest.approx(values[name], abs=0.03), name


def test_exposure_cancels_while_nothing_clips() -> None:
    view = landscape(0.5)[0]
    light, darker = light_of(view), light_of((view * 0.8).astype(np.uint8))
    names = [name for name in FAMILY.names if "veil_mean" in name]
    values, dimmed = (veil_features(x, picture_geometry(x)) for x in (light, darker))
    for name in names:
        assert dimmed[name] == pytest.approx(values[name], abs=0.04), name


def test_a_band_that_is_not_there_has_no_value() -> None:
    light = light_of(landscape(0.5, height=240, width=320)[0])
    ground = PictureGeometry(np.full((240, 320), 3, np.uint8), np.zeros(320, np.int32), 0.0)
    values = veil_features(light, ground)
    unknown = {name for name, value in values.items() if np.isnan(value)}
    assert unknown == {name for name in FAMILY.names if name.startswith("far_") or "detail" in name}


@pytest.mark.parametrize("code", [0, 255])
def test_black_and_white_pictures_are_answered(code: int) -> None:
    values = features_of(np.full((480, 640, 3), code, np.uint8))
    assert not np.isinf(list(values.values())).any()


def test_the_dark_channel_is_the_least_of_patch_and_channels() -> None:
    pixels = np.full((240, 320, 3), 200, np.uint8)
    pixels[120, 160, 1] = 30
    dark = dark_channel(light_of(pixels))
    assert dark[30, 40] == 30
    assert dark[30, 45] == 200
