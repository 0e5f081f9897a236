"""What an answer warns of, one circumstance at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.metadata import PhotoMetadata
from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.applicability import Applicability, TrainingStatistics, applicability
from handlers.applicability_domain import DIMENSIONS, ApplicabilityDomain, UsualRange
from training.scores import baselines
from training.table import TrainingTable
from training.training_statistics import LEVELS, training_statistics, weighted_quantiles

STATISTICS = TrainingStatistics(
    levels=(0.0, 0.01, 0.5, 0.99, 1.0),
    feature_quantiles={f"f{i}": (-9.0, 0.0, 0.5, 1.0, 9.0) for i in range(10)},
    pm25_quantiles=(2.0, 3.0, 20.0, 90.0, 120.0),
    baseline_pm25=20.0,
    baseline_by_camera={"south": 31.0},
)
DOMAIN = ApplicabilityDomain(
    tuple(UsualRange(name, 0.5, 0.25, 0.25) for name in DIMENSIONS), reach=1.5
)
USUAL = {**dict.fromkeys(DIMENSIONS, 0.5), "sun_elevation_deg": 40.0, "far_rms_contrast": 0.1}
AT_NOON = PhotoMetadata(captured_at=datetime(2025, 3, 1, 17, tzinfo=UTC), lat=6.2, lon=-75.6)


def judge(
    features: Mapping[str, float] = USUAL,
    metadata: PhotoMetadata = AT_NOON,
    estimate: float = 20.0,
    known_camera: bool = False,
) -> Applicability:
    return applicability(
        features,
        metadata,
        STATISTICS,
        domain=DOMAIN,
        estimate=estimate,
        known_camera=known_camera,
    )


def codes(judged: Applicability) -> list[str]:
    return [warning.code for warning in judged.warnings]


def test_a_usual_photo_is_fully_applicable_and_warns_of_nothing() -> None:
    assert judge() == Applicability(1.0, ())


@pytest.mark.parametrize(
    ("code", "judged"),
    [
        ("unseen_camera", judge(metadata=replace(AT_NOON, camera="north"))),
        ("unknown_sun", judge(metadata=replace(AT_NOON, captured_at=None))),
        ("unknown_sun", judge(metadata=replace(AT_NOON, lat=None, lon=None))),
        ("night", judge({**USUAL, "sun_elevation_deg": -3.1})),
        ("low_sun", judge({**USUAL, "sun_elevation_deg": 4.9})),
        ("low_sun", judge({**USUAL, "sun_elevation_deg": -2.9})),
        ("no_far_field", judge({**USUAL, "far_rms_contrast": np.nan})),
        ("fog_suspected", judge(metadata=replace(AT_NOON, relative_humidity_pct=93.5))),
        ("beyond_training_range", judge(estimate=120.5)),
        ("unlike_training", judge({**USUAL, "lightness_mean": 4.0})),
    ],
)
def test_each_circumstance_has_its_warning(code: str, judged: Applicability) -> None:
    (warning,) = judged.warnings
    assert (warning.code, warning.severity) == (code, "warning")
    assert warning.detail and warning.how_to_fix


@pytest.mark.parametrize(
    "judged",
    [
        judge(metadata=replace(AT_NOON, camera="south"), known_camera=True),
        judge({**USUAL, "sun_elevation_deg": 5.0}),
        judge(metadata=replace(AT_NOON, relative_humidity_pct=93.0)),
        judge(estimate=120.0),
        judge({**dict.fromkeys(DIMENSIONS, 0.875), "far_rms_contrast": 0.1}),  # just at reach
        judge({**USUAL, "chroma_of_another_feature": 1e9}),
    ],
)
def test_just_inside_there_is_none(judged: Applicability) -> None:
    assert judged.warnings == ()


def test_warnings_stand_side_by_side() -> None:
    metadata = PhotoMetadata(camera="north", relative_humidity_pct=99.0)
    judged = judge({"sky_fraction": -1.0}, metadata, estimate=500.0)
    assert codes(judged) == [
        *("unlike_training", "unseen_camera", "unknown_sun", "no_far_field"),
        *("fog_suspected", "beyond_training_range"),
    ]


def test_a_photo_of_which_nothing_is_known_is_not_called_strange() -> None:
    assert judge({"far_rms_contrast": 0.1}) == Applicability(1.0, ())


def test_the_warning_names_the_dimension_that_is_furthest_and_what_to_do_about_it() -> None:
    features = {**USUAL, "sky_fraction": 0.0, "picture_chroma_mean": 90.0}
    (warning,) = judge(features).warnings
    assert "mean chroma 90 C*" in warning.detail and "sky" not in warning.detail
    assert warning.how_to_fix == DIMENSIONS["picture_chroma_mean"].how_to_fix


@given(offsets=st.lists(st.floats(0.0, 1e9), min_size=2, max_size=2))
def test_the_score_falls_with_the_distance_and_warns_from_where_it_is_below_1(
    offsets: list[float],
) -> None:
    near, far = (judge({**USUAL, "sky_fraction": 0.5 + off}) for off in sorted(offsets))
    assert 0.0 < far.score <= near.score <= 1.0
    for judged in (near, far):
        assert ("unlike_training" in codes(judged)) == (judged.score < 1.0)


def test_the_baseline_is_the_cameras_or_that_of_elsewhere() -> None:
    assert STATISTICS.baseline("south") == 31.0
    assert STATISTICS.baseline("north") == STATISTICS.baseline(None) == 20.0


def test_saved_statistics_are_the_loaded_ones(tmp_path: Path) -> None:
    STATISTICS.save(tmp_path / "statistics.json")
    assert TrainingStatistics.load(tmp_path / "statistics.json") == STATISTICS


def test_statistics_describe_the_photo_features_that_are_read(table: TrainingTable) -> None:
    selected = ("sky_fraction", "sun_elevation_deg", "temperature_c")
    statistics = training_statistics(table, selected)
    assert list(statistics.feature_quantiles) == ["sky_fraction"]
    assert not {*SUN_FEATURES, *WEATHER_FEATURES} & set(statistics.feature_quantiles)
    assert statistics.pm25_quantiles[0] == table.pm25.min()
    assert statistics.pm25_quantiles[-1] == table.pm25.max()
    assert (statistics.baseline_pm25, statistics.baseline_by_camera) == baselines(table.photos)


def test_quantiles_of_whole_weights_are_those_of_repeats() -> None:
    values = np.random.default_rng(0).normal(size=40)
    weights = np.random.default_rng(1).integers(1, 5, 40)
    repeated = np.repeat(values, weights)
    expected = np.quantile(repeated, LEVELS, method="inverted_cdf")
    assert weighted_quantiles(values, weights.astype(float), LEVELS) == pytest.approx(expected)
