"""The record M against scikit-learn, scipy and its own definition, and what is undefined."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from sklearn import metrics

from features.metadata import PhotoMetadata
from training.dataset import LabelledPhoto, read_dataset
from training.scores import (
    CRPS_LEVELS,
    FIGURES,
    Predictions,
    baselines,
    is_daytime,
    labels_of,
    score,
    score_block,
    spearman,
)

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
KEYS = ["n", "mae", "rmse", "r2", "spearman", "bias", "slope", "sd_y", "baseline_mae",
        "coverage_90", "mean_width_90", "crps"]  # fmt: skip
concentrations = st.floats(0, 1000, allow_subnormal=False)


def photo(
    site: str = "hill",
    session: str = "one",
    pm25: float | None = 10.0,
    camera: str = "",
    metadata: PhotoMetadata | None = None,
) -> LabelledPhoto:
    return LabelledPhoto(
        path=Path("photo.jpg"),
        file="photo.jpg",
        sha256="0" * 64,
        min_side=512,
        site=site,
        camera=camera,
        country="CO",
        session=session,
        pm25=pm25,
        pm25_quality="A",
        pm25_as_published="",
        pm10=None,
        metadata=metadata or PhotoMetadata(camera=camera or None),
    )


def predictions(n: int, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    quantiles = np.sort(rng.gamma(2, 10, (n, 19)), axis=1)
    return Predictions(
        pm25=quantiles[:, 9],
        lower=quantiles[:, 0],
        upper=quantiles[:, 18],
        quantiles=quantiles,
        baseline=np.full(n, 15.0),
    )


def score_of(y: np.ndarray, p: Predictions) -> dict[str, Any]:
    return score(y, p.pm25, p.lower, p.upper, p.quantiles, p.baseline)


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_against_scipy_and_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.round(rng.gamma(2, 10, 60))  # rounded: with ties
    p = predictions(60, seed)
    m = score_of(y, p)
    assert m["n"] == 60
    assert m["mae"] == pytest.approx(metrics.mean_absolute_error(y, p.pm25))
    assert m["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, p.pm25))
    assert m["r2"] == pytest.approx(metrics.r2_score(y, p.pm25))
    assert m["r2"] == pytest.approx(1 - (m["rmse"] / m["sd_y"]) ** 2)
    assert m["spearman"] == pytest.approx(stats.spearmanr(y, p.pm25).statistic)
    assert m["bias"] == pytest.approx(np.mean(p.pm25) - np.mean(y))
    assert m["slope"] == pytest.approx(stats.linregress(y, p.pm25).slope)
    assert m["sd_y"] == pytest.approx(np.std(y))
    assert m["baseline_mae"] == pytest.approx(np.abs(y - 15).mean())
    assert m["mean_width_90"] == pytest.approx((p.upper - p.lower).mean())
    pinball = [
        metrics.mean_pinball_loss(y, p.quantiles[:, k], alpha=level)
        for k, level in enumerate(CRPS_LEVELS)
    ]
    assert m["crps"] == pytest.approx(2 * np.mean(pinball))


def test_the_keys_are_the_contract() -> None:
    assert list(score_of(np.arange(5.0), predictions(5))) == KEYS
    assert ["n", *FIGURES] == KEYS
    assert CRPS_LEVELS.tolist() == pytest.approx([k / 20 for k in range(1, 20)])


def test_bounds_count_as_inside() -> None:
    y = np.array([10.0, 20.0, 30.0, 30.0])
    p = predictions(4)
    p = Predictions(
        y, np.array([10, 0, 31, 31.0]), np.array([11, 20, 40, 40.0]), p.quantiles, p.baseline
    )
    assert score_of(y, p)["coverage_90"] == 0.5


def test_the_crps_of_quantiles_in_one_point_is_the_mae() -> None:
    p = predictions(40)
    point = Predictions(
        p.pm25, p.lower, p.upper, np.repeat(p.pm25[:, None], 19, axis=1), p.baseline
    )
    m = score_of(np.random.default_rng(1).gamma(2, 10, 40), point)
    assert m["crps"] == pytest.approx(m["mae"])


def test_the_crps_of_a_normal_forecast_comes_near_its_closed_form() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=4000)
    quantiles = np.tile(stats.norm.ppf(CRPS_LEVELS), (4000, 1))
    zero = np.zeros(4000)
    crps = score(y, zero, zero - 1, zero + 1, quantiles, zero)["crps"]
    closed = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / math.sqrt(math.pi)
    assert crps == pytest.approx(closed.mean(), rel=0.06)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_spearman_with_any_ties(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 40))
    few = st.integers(0, 6).map(float)
    a = data.draw(arrays.arrays(np.float64, n, elements=few))
    b = data.draw(arrays.arrays(np.float64, n, elements=few))
    ours = spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        assert spearman(np.exp(a / 3), b) == ours  # ranks alone count
        assert -1 <= (ours or 0) <= 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_is_ever_nan(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 6))
    column = arrays.arrays(np.float64, n, elements=concentrations)
    y, estimate, lower, upper, baseline = (data.draw(column) for _ in range(5))
    quantiles = data.draw(arrays.arrays(np.float64, (n, 19), elements=concentrations))
    m = score(y, estimate, lower, upper, quantiles, baseline)
    assert list(m) == KEYS
    json.dumps(m, allow_nan=False)
    spread = n >= 3 and len(set(y.tolist())) > 1
    assert (m["mae"] is None) == (n == 0)
    assert (m["sd_y"] is None) == (n < 3)
    if not spread:
        assert m["r2"] is m["spearman"] is m["slope"] is None
    assert m["crps"] is None or m["crps"] >= 0


def test_equal_labels_have_no_r2_whatever_rounding_makes_of_their_mean() -> None:
    m = score_of(np.full(10, 0.1), predictions(10))
    assert (m["r2"], m["slope"], m["spearman"], m["sd_y"]) == (None, None, None, 0.0)
    assert m["mae"] is not None


@pytest.mark.parametrize("damage", ["nan", "short"])
def test_a_prediction_that_is_no_number_is_not_scored(damage: str) -> None:
    p = predictions(4)
    estimate = np.array([1.0, np.nan, 3.0, 4.0]) if damage == "nan" else p.pm25[:3]
    with pytest.raises(ValueError, match="4 finite numbers"):
        score(np.arange(4.0), estimate, p.lower, p.upper, p.quantiles, p.baseline)


NOON = datetime(2025, 3, 1, 17, tzinfo=UTC)  # in Medellín
NIGHT = datetime(2025, 3, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("metadata", "daytime"),
    [
        (PhotoMetadata(captured_at=NOON, lat=6.24, lon=-75.58), True),
        (PhotoMetadata(captured_at=NIGHT, lat=6.24, lon=-75.58), False),
        # pvlib: 4.97 deg and 5.21 deg above the horizon, after the sunrise of that day
        (PhotoMetadata(captured_at=datetime(2025, 3, 1, 11, 38, tzinfo=UTC), lat=6.24, lon=-75.58),
         False),
        (PhotoMetadata(captured_at=datetime(2025, 3, 1, 11, 39, tzinfo=UTC), lat=6.24, lon=-75.58),
         True),
        (PhotoMetadata(captured_at=NOON), False),
        (PhotoMetadata(lat=6.24, lon=-75.58), False),
    ],
)  # fmt: skip
def test_daytime_is_a_known_sun_above_5_deg(metadata: PhotoMetadata, daytime: bool) -> None:
    assert is_daytime(photo(metadata=metadata)) is daytime


def test_a_block_counts_photos_by_site_and_every_session_once() -> None:
    at_noon = PhotoMetadata(captured_at=NOON, lat=6.24, lon=-75.58)
    rows = [
        photo("hill", "one", 10.0, metadata=at_noon),
        photo("hill", "one", 10.0),
        photo("hill", "one", 40.0),
        photo("hill", "two", 20.0, metadata=at_noon),
        photo("valley", "one", 30.0),
        photo("valley", "one", None),
    ]
    p = predictions(6)
    block: Any = score_block(labels_of(rows), p)
    assert list(block) == [
        *("overall", "daytime", "quality_a_b", "per_site", "per_site_daytime", "per_session"),
    ]
    labels = np.array([10.0, 10.0, 40.0, 20.0, 30.0])
    assert block["overall"] == score_of(labels, p.of(np.arange(5)))
    assert block["daytime"] == score_of(np.array([10.0, 20.0]), p.of(np.array([0, 3])))
    assert {site: m["n"] for site, m in block["per_site"].items()} == {"hill": 4, "valley": 1}
    assert block["per_site_daytime"]["hill"] == block["daytime"]
    assert block["per_site_daytime"]["valley"] == {"n": 0, **dict.fromkeys(FIGURES)}
    medians = [np.median(p.pm25[:3]), p.pm25[3], p.pm25[4]]
    assert block["per_session"]["n"] == 3
    assert block["per_session"]["bias"] == pytest.approx(np.mean(medians) - 20)
    assert block["per_session"]["sd_y"] == pytest.approx(np.std([10, 20, 30]))
    widths = [np.median(p.upper[:3]) - np.median(p.lower[:3]), *(p.upper - p.lower)[3:5]]
    assert block["per_session"]["mean_width_90"] == pytest.approx(np.mean(widths))
    json.dumps(block, allow_nan=False)


def test_a_block_of_nothing_is_all_none() -> None:
    block: Any = score_block(labels_of([photo(pm25=None)]), predictions(1))
    assert block["overall"] == {"n": 0, **dict.fromkeys(FIGURES)}
    assert block["per_session"] == block["daytime"] == block["overall"]
    assert block["per_site"] == block["per_site_daytime"] == {}


def test_the_baseline_is_the_cameras_median_or_that_of_the_sites() -> None:
    rows = [photo("hill", "one", pm25, camera="south") for pm25 in (10, 12, 50)]
    rows += [photo("hill", "two", 30, camera="south")]
    rows += [photo("valley", "one", 40), photo("valley", "one", 44), photo("valley", "two", None)]
    rows += [photo("lake", "one", 5)]
    # sessions: hill 12 and 30, valley 42, lake 5; sites: 21, 42, 5
    assert baselines(rows) == (21.0, {"south": 21.0})


def test_a_baseline_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one labelled photo"):
        baselines([photo(pm25=None)])


def test_the_real_webcam_has_the_daytime_photos_of_its_description() -> None:
    if not (SHARED / "milan").is_dir():
        pytest.skip("the data set milan is not beside this repository")
    rows = read_dataset(SHARED / "milan").rows
    by_day = [row for row in rows if is_daytime(row)]
    assert len(by_day) == 165
    assert np.std([row.pm25 or 0.0 for row in by_day]) == pytest.approx(15.2, abs=0.05)
