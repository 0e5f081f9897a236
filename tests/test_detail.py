"""Detail sets in at the horizon, whatever the haze, and the gain makes up for what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.detail import detail_of, horizon_step
from features.light import light_of
from tests.added_haze import OPTICAL_DEPTHS, with_added_haze
from tests.landscape import landscape


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("optical_depth", [0.0, *OPTICAL_DEPTHS])
def test_the_horizon_is_found_in_any_haze(optical_depth: float, seed: int) -> None:
    view, skyline = landscape(0.2, seed=seed)
    detail = detail_of(light_of(with_added_haze(view, optical_depth, round(0.4 * len(view)))))
    assert abs(4 * detail.horizon - skyline.min()) <= 0.06 * len(view)


def test_the_gain_rises_as_the_horizon_fades() -> None:
    view, _ = landscape(0.2)
    gains = [
        detail_of(light_of(with_added_haze(view, depth, round(0.4 * len(view))))).gain
        for depth in (0.0, *OPTICAL_DEPTHS)
    ]
    assert gains[0] == 1.0
    assert gains == sorted(gains)
    assert gains[-1] > 2.0


def test_a_plain_picture_has_no_horizon_and_no_gain() -> None:
    detail = detail_of(light_of(np.full((480, 640, 3), 150, np.uint8)))
    assert detail.gain == 1.0
    assert not detail.rows.any()


@given(
    st.lists(st.floats(0.5, 50), min_size=40, max_size=120),
    st.floats(0.2, 1.0),
)
def test_the_step_stays_where_everything_fades_alike(rows: list[float], share: float) -> None:
    profile = np.array(rows) + 2.0
    profile[: len(rows) // 2] *= 0.02
    row, below, ratio = horizon_step(profile)
    assert abs(row - len(rows) // 2) <= 8
    faded_row, faded_below, faded_ratio = horizon_step(share * profile)
    assert abs(faded_row - row) <= 8
    assert faded_below < below + 1e-9 or faded_row != row
    assert min(ratio, faded_ratio) > 1.2


@pytest.mark.parametrize("height", [8, 12, 20, 40])
def test_small_pictures_are_answered(height: int) -> None:
    rng = np.random.default_rng(0)
    detail = detail_of(light_of(rng.integers(0, 255, (height, 40, 3), dtype=np.uint8)))
    assert 0 <= detail.horizon < height // 4
    assert 1.0 <= detail.gain <= 10.0


@pytest.mark.parametrize("width", [640, 427])
def test_a_mirrored_picture_has_the_same_rows(width: int) -> None:
    view, _ = landscape(0.5, width=width)
    detail, mirrored = detail_of(light_of(view)), detail_of(light_of(view[:, ::-1]))
    assert np.array_equal(detail.rows, mirrored.rows)
    assert detail.horizon == mirrored.horizon
