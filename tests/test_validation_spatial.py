"""Errors that know their place are found, others are not, and neighbours are compared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from sklearn.metrics.pairwise import haversine_distances

from tests.drawn_answers import NOON, answers
from training.great_circle import EARTH_RADIUS, haversine
from training.held_out import HeldOutAnswers
from training.validation.spatial import (
    inverse_distances,
    morans_i,
    morans_i_test,
    neighbour_agreement,
    same_hour_morans_i,
    site_residuals,
    spatial_consistency,
)

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
NEIGHBOURS_ON_A_LINE = np.eye(4, k=1) + np.eye(4, k=-1)


def places(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(5.8, 6.6, n), rng.uniform(-75.9, -75.2, n)


# ---- distance


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_is_that_of_scikit_learn(a: float, b: float, c: float, d: float) -> None:
    expected = haversine_distances(np.radians([[a, b]]), np.radians([[c, d]]))[0, 0]
    found = haversine(np.array(a), np.array(b), np.array(c), np.array(d))
    assert float(found) == pytest.approx(EARTH_RADIUS * expected, abs=1e-3)


def test_from_the_equator_to_the_pole_is_what_the_metre_was_made_from() -> None:
    """10,002 km along the ellipsoid of WGS 84."""
    d = haversine(np.array(0.0), np.array(9.19), np.array(90.0), np.array(9.19))
    assert float(d) == pytest.approx(10_001.97, rel=0.001)


def test_places_of_one_street_weigh_as_if_a_kilometre_apart() -> None:
    weights = inverse_distances(np.array([6.0, 6.0, 6.1]), np.array([-75.0, -75.0, -75.0]))
    assert weights[0, 1] == 1
    assert weights[0, 2] == pytest.approx(1 / 11.12, rel=1e-3)
    assert np.diag(weights).tolist() == [0, 0, 0]


# ---- Moran's I


def test_four_places_on_a_line_by_hand() -> None:
    """z = −1.5, −0.5, 0.5, 1.5: Σ w z z = 2 (0.75 − 0.25 + 0.75) = 2.5, Σ z² = 5, Σ w = 6, so
    I = 4/6 · 2.5/5; in turns high and low, I = 4/6 · 2 (−3)/4."""
    assert morans_i(np.array([1.0, 2, 3, 4]), NEIGHBOURS_ON_A_LINE) == pytest.approx(1 / 3)
    assert morans_i(np.array([1.0, -1, 1, -1]), NEIGHBOURS_ON_A_LINE) == pytest.approx(-1)


@given(arrays.arrays(float, 5, elements=st.integers(-100, 100).map(float)), st.integers(0, 9))
def test_over_all_orders_the_mean_is_its_expected_value(values: np.ndarray, seed: int) -> None:
    weights = inverse_distances(*places(5, seed))
    assume(values.min() < values.max())
    every = [morans_i(values[list(order)], weights) for order in permutations(range(5))]
    assert np.mean(np.array(every, dtype=float)) == pytest.approx(-1 / 4)


@given(
    arrays.arrays(float, 6, elements=st.integers(-100, 100).map(float)),
    st.integers(0, 9),
    st.floats(-100, 100),
    st.floats(0.1, 100),
)
def test_neither_unit_nor_offset_changes_it(
    values: np.ndarray, seed: int, offset: float, factor: float
) -> None:
    assume(values.min() < values.max())
    weights = inverse_distances(*places(6, seed))
    assert morans_i(offset + factor * values, weights) == pytest.approx(morans_i(values, weights))


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(float, 8, elements=st.integers(-100, 100).map(float)), st.integers(0, 5))
def test_no_values_go_beyond_the_largest_i(values: np.ndarray, seed: int) -> None:
    assume(values.min() < values.max())
    found: Any = morans_i_test(values, *places(8, seed), permutations=19)
    assert found["i"] <= found["largest_i"] + 1e-9
    assert found["expected"] == pytest.approx(-1 / 7)


def test_the_largest_i_is_reached() -> None:
    lat, lon = places(8)
    weights = inverse_distances(lat, lon)
    centre = np.eye(8) - 1 / 8
    values = np.linalg.eigh(centre @ weights @ centre)[1][:, -1]
    found: Any = morans_i_test(values, lat, lon)
    assert found["i"] == pytest.approx(found["largest_i"])


@pytest.mark.long
def test_independent_errors_give_every_p_equally_often() -> None:
    """The guarantee of a permutation test, over 300 fields at ten places."""
    rng = np.random.default_rng(0)
    lat, lon = places(10)
    p = [
        float(str(morans_i_test(rng.normal(size=10), lat, lon, permutations=99, seed=k)["p_value"]))
        for k in range(300)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) < 0.09


def test_a_gradient_is_found_and_few_places_say_how_little_they_can_find() -> None:
    lat, lon = places(40)
    many: Any = morans_i_test(100 * lat, lat, lon)
    assert many["p_value"] == pytest.approx(0.001)
    assert many["i"] > many["critical_i"] > many["expected"]
    few: Any = morans_i_test(100 * lat[:5], lat[:5], lon[:5])
    assert few["power"] < 0.5 < 0.8 < many["power"]
    assert few["critical_i"] > many["critical_i"]


def test_the_test_can_be_repeated() -> None:
    lat, lon = places(7)
    values = np.random.default_rng(1).normal(size=7)
    assert morans_i_test(values, lat, lon, seed=3) == morans_i_test(values, lat, lon, seed=3)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
def test_too_few_places_and_equal_errors_have_no_i(values: list[float]) -> None:
    n = len(values)
    found = morans_i_test(np.array(values), *places(n))
    assert found.pop("n") == n
    assert set(found.values()) == {None}


def test_a_site_errs_by_the_mean_of_its_sessions() -> None:
    record = answers(
        np.zeros(6),
        [1.0, 1, 1, 5, 10, 99],
        site=list("aaaabc"),
        session=list("xxxyxx"),
        lat=[6.0, 6, 6, 6, 7, np.nan],
        lon=[-75.0] * 6,
    )
    residual, lat, lon = site_residuals(record)
    assert residual.tolist() == [3, 10]
    assert lat.tolist() == [6, 7]
    assert lon.tolist() == [-75, -75]


# ---- within an hour


def network(pattern: np.ndarray, offsets: list[float], n: int) -> HeldOutAnswers:
    """The same n sites at each hour, with residuals pattern + the hour's offset."""
    lat, lon = places(n)
    hours = len(offsets)
    residual = np.concatenate([pattern + offset for offset in offsets])
    return answers(
        np.full(n * hours, 50.0),
        50 + residual,
        site=[f"s{i}" for _ in range(hours) for i in range(n)],
        session=[str(h) for h in range(hours) for _ in range(n)],
        captured_at=tuple(NOON + timedelta(hours=h) for h in range(hours) for _ in range(n)),
        lat=np.tile(lat, hours),
        lon=np.tile(lon, hours),
    )


def test_what_an_hour_does_to_all_sites_leaves_no_trace() -> None:
    pattern = np.random.default_rng(2).normal(size=9)
    still: Any = same_hour_morans_i(network(pattern, [0.0, 0.0, 0.0], 9))
    moved: Any = same_hour_morans_i(network(pattern, [-30.0, 5.0, 60.0], 9))
    assert still == pytest.approx(moved)
    assert (still["n_hours"], still["n_sites"]) == (3, 9)
    assert still["expected"] == pytest.approx(-1 / 8)


def test_a_pattern_of_every_hour_is_found_over_the_hours() -> None:
    lat, _ = places(8)
    found: Any = same_hour_morans_i(network(20 * lat, [0.0] * 6, 8))
    once: Any = same_hour_morans_i(network(20 * lat, [0.0], 8))
    assert found["i"] == pytest.approx(once["i"])
    assert found["p_value"] <= once["p_value"]
    assert found["p_value"] < 0.01


def test_three_sites_in_an_hour_are_too_few() -> None:
    found = same_hour_morans_i(network(np.arange(3.0), [0.0, 1.0], 3))
    assert found == {"n_hours": 0, **dict.fromkeys(("n_sites", "i", "expected", "p_value"))}


# ---- neighbours


def test_only_photos_near_in_place_and_time_are_paired() -> None:
    """Of photo 0: 1 is near, 2 is 2 km away, 3 is 40 minutes later, 4 has no place, 5 no time."""
    record = answers(
        np.full(6, 20.0),
        session=list("abcdef"),
        lat=[6.0, 6.005, 6.02, 6.0, np.nan, 6.0],
        captured_at=(*(NOON + timedelta(minutes=m) for m in (0, 29, 5, 40, 0)), None),
    )
    found = neighbour_agreement(record)
    # 0 with 1, and 1 with 3, 11 minutes apart
    assert found["n_pairs"] == found["between_sessions"] == 2
    assert found["n_sessions"] == 3


def test_the_band_is_that_of_a_difference() -> None:
    """Bounds of ±3 and ±4 hold a difference of 5, not one of 5.1, whichever is higher."""
    for gap, agree in ((5.0, 1.0), (5.1, 0.0), (-5.0, 1.0), (-5.1, 0.0)):
        record = answers(
            [20.0, 20.0],
            [20.0, 20.0 + gap],
            half_width=np.array([3.0, 4.0]),
            captured_at=(NOON, NOON),
        )
        found = neighbour_agreement(record)
        assert found["agree"] == found["agree_per_session"] == agree
        assert found["median_difference"] == pytest.approx(abs(gap))
        assert found["agree_between_sessions"] is None


def test_only_the_sides_that_face_each_other_count() -> None:
    """The higher one's way down is 3, the lower one's way up 4: the other sides are no help."""
    record = answers([20.0, 20.0], [25.1, 20.0], captured_at=(NOON, NOON))
    quantiles = record.estimate[:, None] + np.zeros(21)
    quantiles[0, :10], quantiles[0, 11:] = 25.1 - 3, 25.1 + 500
    quantiles[1, :10], quantiles[1, 11:] = 20 - 500, 20 + 4
    assert neighbour_agreement(replace(record, quantiles=quantiles))["agree"] == 0
    quantiles[0, :10] = 25.1 - 3.2
    assert neighbour_agreement(replace(record, quantiles=quantiles))["agree"] == 1


def test_independent_errors_and_honest_bands_agree_in_nine_of_ten() -> None:
    rng = np.random.default_rng(5)
    n = 4000
    sigma = rng.uniform(1, 10, 2 * n)
    record = answers(
        np.full(2 * n, 100.0),
        100 + sigma * rng.standard_normal(2 * n),
        half_width=sigma * stats.norm.ppf(0.95),
        session=[str(i // 2) for i in range(2 * n)],
        captured_at=tuple(NOON + timedelta(hours=i // 2) for i in range(2 * n)),
    )
    found: Any = neighbour_agreement(record)
    assert found["n_pairs"] == n
    assert found["agree"] == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / n))


def test_many_frames_of_one_visit_count_once() -> None:
    """Three pairs of frames that agree, one pair that does not: half of the two visits."""
    record = answers(
        np.full(5, 50.0),
        [50.0, 50, 50, 50, 90],
        session=list("aaabb"),
        captured_at=(NOON, NOON, NOON, NOON + timedelta(days=1), NOON + timedelta(days=1)),
    )
    found = neighbour_agreement(record)
    assert found["agree"] == 0.75
    assert found["agree_per_session"] == 0.5


# ---- what is not defined


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 8).flatmap(
        lambda n: st.tuples(
            arrays.arrays(float, (2, n), elements=st.integers(0, 50).map(float)),
            arrays.arrays(float, (2, n), elements=st.sampled_from([6.0, 6.001, 7.0, np.nan])),
        )
    )
)
def test_every_record_is_json_whatever_the_answers(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    (y, e), (lat, lon) = drawn
    n = len(y)
    record = answers(
        y,
        e,
        lat=lat,
        lon=lon,
        site=np.array([f"s{i % 6}" for i in range(n)], dtype=np.str_),
        captured_at=tuple(
            None if i == 2 else datetime(2024, 2, 1, 12, i % 3, tzinfo=UTC) for i in range(n)
        ),
    )
    found = spatial_consistency(record, permutations=19)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
