"""Histograms stand for planes: their statistics are those of the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew
from skimage.measure import shannon_entropy

from features.distribution import Distribution


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40))
def test_statistics_are_those_of_the_pixels(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (height, width), dtype=np.uint16)
    regions = rng.integers(0, 3, (height, width), dtype=np.uint8)
    values = np.sort(rng.normal(size=256))
    found = Distribution.of(codes, regions, (3, 256), minimum=1)
    means, sds, medians = found.mean(values), found.sd(values), found.quantile(values, 0.5)
    entropies = found.entropy()
    for region in range(3):
        pixels = codes[regions == region]
        if len(pixels) == 0:
            assert np.isnan([means[region], sds[region], medians[region]]).all()
            continue
        assert means[region] == pytest.approx(values[pixels].mean(), abs=1e-12)
        assert sds[region] == pytest.approx(values[pixels].std(), abs=1e-7)
        assert medians[region] == np.quantile(values[pixels], 0.5, method="inverted_cdf")
        assert entropies[region] == pytest.approx(shannon_entropy(pixels), abs=1e-9)


@given(st.integers(0, 10**6), st.floats(0.2, 5.0))
def test_skewness_is_that_of_the_pixels(seed: int, tail: float) -> None:
    rng = np.random.default_rng(seed)
    codes = np.rint(255 * rng.random((20, 20)) ** tail).astype(np.uint16)
    values = np.linspace(0.0, 1.0, 256)
    found = Distribution.of(codes, np.zeros((20, 20), np.uint8), (1, 256), minimum=1)
    assert found.skewness(values)[0] == pytest.approx(skew(values[codes.ravel()]), abs=1e-6)


def test_one_level_has_no_skewness() -> None:
    codes = np.full((20, 20), 7, np.uint16)
    found = Distribution.of(codes, np.zeros((20, 20), np.uint8), (1, 256), minimum=1)
    assert found.skewness(np.linspace(0.0, 1.0, 256))[0] == 0.0


def test_regions_below_the_minimum_have_no_statistics() -> None:
    codes = np.zeros((4, 4), np.uint16)
    regions = np.zeros((4, 4), np.uint8)
    regions[0, :2] = 1
    found = Distribution.of(codes, regions, (2, 4), minimum=3)
    values = np.arange(4.0)
    for statistic in (
        found.mean(values),
        found.skewness(values),
        found.quantile(values, 0.9),
        found.entropy(),
    ):
        assert np.array_equal(np.isnan(statistic), [False, True])


def test_merging_and_coarsening_keep_every_pixel() -> None:
    rng = np.random.default_rng(0)
    found = Distribution(rng.integers(0, 9, (3, 8)).astype(np.float64), 1)
    both = found.merged(np.array([[1.0, 1.0, 0.0]]))
    assert np.array_equal(both.counts[0], found.counts[0] + found.counts[1])
    assert np.array_equal(found.coarsened(4).counts.sum(axis=1), found.counts.sum(axis=1))
    assert found.coarsened(4).counts.shape == (3, 2)
