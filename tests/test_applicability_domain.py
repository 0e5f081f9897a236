"""The distance from the training photos: which photos it calls far, and what it does to sigma."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import ArtifactError
from features.extractor import ScientificFeatureExtractor
from handlers.applicability_domain import (
    DIMENSIONS,
    WIDEST,
    ApplicabilityDomain,
    UsualRange,
)
from tests.drawn_tables import drawn_photo, drawn_table
from training.applicability_domain import fit_applicability_domain, held_out_distances
from training.table import TrainingTable

NAMES = tuple(DIMENSIONS)
K = len(NAMES)
DOMAIN = ApplicabilityDomain(tuple(UsualRange(name, 1.0, 0.5, 2.0) for name in NAMES), reach=1.5)
ANY = st.floats(allow_nan=True, allow_infinity=True)
OFF = st.floats(0.0, 1e4)


def at(offsets: object) -> np.ndarray:
    """One row, `offsets` above the centre in each dimension."""
    return np.atleast_2d(1.0 + np.asarray(offsets, dtype=float))


def places(n_sites: int, spread_of_sites: float, seed: int = 0) -> TrainingTable:
    """40 photos of each site, sites apart by `spread_of_sites`, photos of one by 1."""
    rng = np.random.default_rng(seed)
    sites = np.repeat(np.arange(n_sites), 40)
    X = rng.normal(size=(len(sites), K)) + spread_of_sites * rng.normal(size=(n_sites, K))[sites]
    table = drawn_table(X, NAMES)
    photos = tuple(
        drawn_photo(f"{site}-{i % 8}", site=site) for i, site in enumerate(sites.tolist())
    )
    return TrainingTable(table.names, table.X, table.pm25, photos, table.copies)


def test_every_dimension_is_a_feature() -> None:
    known = {f.name for family in ScientificFeatureExtractor().families for f in family.features}
    assert set(DIMENSIONS) <= known


def test_the_distance_is_the_root_mean_square_of_what_is_known() -> None:
    row = np.full(K, np.nan)
    row[:3] = 1.0 + 2.0, 1.0 - 1.0, 1.0  # z = 1, 2, 0
    assert DOMAIN.distance(row[np.newaxis], NAMES)[0] == pytest.approx(np.sqrt(5 / 3))


def test_what_is_unknown_or_no_dimension_counts_for_nothing() -> None:
    row = np.array([[5.0, 1e9, np.nan]])
    names = (NAMES[0], "gradient_mean_sky", NAMES[1])
    assert DOMAIN.distance(row, names) == pytest.approx([2.0])
    assert DOMAIN.distance(np.full((2, K), np.nan), NAMES).tolist() == [0.0, 0.0]
    assert DOMAIN.distance(np.array([[3.0]]), ("another",)).tolist() == [0.0]


@given(offsets=arrays(float, K, elements=OFF), more=OFF, column=st.integers(0, K - 1))
def test_further_off_in_one_dimension_is_never_nearer(
    offsets: np.ndarray, more: float, column: int
) -> None:
    further = offsets.copy()
    further[column] += more
    rows = np.vstack([at(offsets), at(further)])
    near, far = DOMAIN.distance(rows, NAMES)
    assert far >= near * (1 - 1e-12)


@given(X=arrays(float, (3, K), elements=ANY))
def test_the_factor_is_1_within_reach_and_grows_with_the_distance_to_a_bound(X: np.ndarray) -> None:
    distance, widening = DOMAIN.distance(X, NAMES), DOMAIN.widening(X, NAMES)
    assert np.isfinite(distance).all() and (distance >= 0).all()
    assert (widening >= 1.0).all() and (widening <= WIDEST).all()
    assert (widening[distance <= DOMAIN.reach] == 1.0).all()
    order = np.argsort(distance)
    assert (np.diff(widening[order]) >= 0).all()
    scores = np.array([DOMAIN.score(float(d)) for d in distance])
    assert ((scores > 0) & (scores <= 1)).all()
    assert (np.diff(scores[order]) <= 0).all()
    assert (scores[distance <= DOMAIN.reach] == 1.0).all()


def test_just_beyond_reach_the_factor_is_in_proportion() -> None:
    beyond = at(np.full(K, 2.0 * 1.25 * DOMAIN.reach))
    assert DOMAIN.widening(beyond, NAMES) == pytest.approx([1.25])
    assert DOMAIN.score(float(DOMAIN.distance(beyond, NAMES)[0])) == pytest.approx(0.8)


@given(X=arrays(float, (4, K), elements=ANY))
def test_a_row_alone_is_judged_as_in_a_batch(X: np.ndarray) -> None:
    alone = [float(DOMAIN.widening(row[np.newaxis], NAMES)[0]) for row in X]
    assert DOMAIN.widening(X, NAMES).tolist() == alone


def test_the_furthest_dimension_is_named_in_words_and_units() -> None:
    features = {**dict.fromkeys(NAMES, 1.0), "sky_fraction": 0.0, "unrelated": 1e9}
    told = DOMAIN.furthest(features)
    assert told == (
        "share of sky 0 %, usually 18 to 4.3e+02 %",
        DIMENSIONS["sky_fraction"].how_to_fix,
    )
    assert DOMAIN.furthest({"unrelated": 1.0}) is None


def test_a_dimension_on_a_logarithm_is_told_as_what_it_is_the_logarithm_of() -> None:
    usual = UsualRange("deep_log_optical_depth_far", np.log(0.5), 0.1, 0.1)
    assert usual.told(np.log(2.0))[0].startswith("optical depth of the air before far things 2,")


def test_ranges_are_the_quantiles_of_sessions_with_equal_weight() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(101, K))
    once = fit_applicability_domain(drawn_table(X, NAMES, sessions=list(range(101))))
    # The first session photographed 50 times weighs no more than before.
    repeated = np.vstack([X, np.repeat(X[:1], 49, axis=0)])
    often = drawn_table(repeated, NAMES, sessions=[*range(101), *[0] * 49])
    assert fit_applicability_domain(often).dimensions == once.dimensions
    for column, usual in enumerate(once.dimensions):
        low, middle, high = np.quantile(X[:, column], (0.05, 0.5, 0.95), method="inverted_cdf")
        assert usual.centre == middle
        assert usual.centre - 1.645 * usual.below == pytest.approx(low)
        assert usual.centre + 1.645 * usual.above == pytest.approx(high)


@pytest.mark.parametrize("spread_of_sites", [0.0, 1.0, 3.0])
def test_a_new_place_like_the_old_ones_is_within_reach(spread_of_sites: float) -> None:
    """Whole sites are held out, so the reach knows how much places differ."""
    within = []
    for seed in range(20):
        table = places(8, spread_of_sites, seed)
        sites = table.sites
        domain = fit_applicability_domain(table.take(np.flatnonzero(sites < 7)))
        new = table.X[sites == 7]
        within.append(np.quantile(domain.distance(new, NAMES), 0.95) <= domain.reach)
    assert np.mean(within) >= 0.7  # 7 / 8 of new sites; 20 were drawn


def test_a_strange_photo_is_beyond_the_reach_of_places_that_are_alike() -> None:
    domain = fit_applicability_domain(places(7, 0.3))
    assert domain.widening(at(np.full(K, 8.0)), NAMES)[0] == WIDEST


def test_with_one_site_its_sessions_are_held_out() -> None:
    table = drawn_table(np.random.default_rng(2).normal(size=(60, K)), NAMES)
    domain = fit_applicability_domain(table)
    assert domain.reach == max(held_out_distances(table))


def test_a_table_without_the_dimensions_widens_nothing() -> None:
    table = drawn_table(np.ones((5, 2)), ("temperature_c", NAMES[0]))  # one unknown, one constant
    domain = fit_applicability_domain(table)
    assert domain.dimensions == ()
    assert domain.widening(table.X, table.names).tolist() == [1.0] * 5


def test_a_saved_domain_is_the_loaded_one(tmp_path: Path) -> None:
    DOMAIN.save(tmp_path / "domain.json")
    assert ApplicabilityDomain.load(tmp_path / "domain.json") == DOMAIN


@pytest.mark.parametrize(
    "damage",
    [
        {"reach": 0.0},
        {"reach": None},
        {"dimensions": [{"name": "unheard_of", "centre": 0, "below": 1, "above": 1}]},
        {"dimensions": [{"name": NAMES[0], "centre": 0, "below": 0, "above": 1}]},
        {"dimensions": [{"name": NAMES[0], "centre": float("nan"), "below": 1, "above": 1}]},
        {"dimensions": [{"name": NAMES[0]}]},
    ],
)
def test_a_damaged_domain_is_refused(damage: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "domain.json"
    DOMAIN.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(ArtifactError, match="applicability domain"):
        ApplicabilityDomain.load(path)
    with pytest.raises(ArtifactError):
        ApplicabilityDomain.load(tmp_path / "none.json")
