"""Humid air takes more light away: the correction goes one way only, and is 0 on the whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ArtifactError
from features.meteorology import humidity_growth
from handlers.estimator import PM25Estimator
from handlers.expert import Expert
from handlers.humidity import GROWTH, HumidityCorrection
from training.table import TrainingTable

NAMES = ("haze", GROWTH)


def corrections(correction: HumidityCorrection, f: list[float]) -> np.ndarray:
    return correction.growth(np.column_stack([np.zeros(len(f)), f]), NAMES)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 1), st.floats(-1, 2))
def test_humid_air_never_means_more_dust(
    one: float, other: float, exponent: float, usual: float
) -> None:
    dry, humid = sorted([one, other])
    taken = corrections(
        HumidityCorrection(exponent, usual), [humidity_growth(dry), humidity_growth(humid)]
    )
    assert taken[1] >= taken[0]


def test_by_hand() -> None:
    correction = HumidityCorrection(0.5, np.log(2.0))
    np.testing.assert_allclose(
        corrections(correction, [2.0, 8.0, 1.0]), [0.0, np.log(2.0), -0.5 * np.log(2.0)]
    )
    # Air that is drier than dry is dry.
    assert (
        corrections(correction, [-3.0, 0.0]).tolist()
        == corrections(correction, [1.0, 1.0]).tolist()
    )


def test_where_humidity_is_unknown_nothing_changes() -> None:
    correction = HumidityCorrection(0.7, 0.4)
    assert corrections(correction, [np.nan, np.inf]).tolist() == [0.0, 0.0]
    assert correction.growth(np.ones((3, 1)), ("haze",)).tolist() == [0.0] * 3
    assert corrections(HumidityCorrection(0.0, 0.4), [3.0]).tolist() == [0.0]
    assert correction.growth(np.empty((0, 2)), NAMES).shape == (0,)


def test_the_estimate_is_the_models_less_the_growth(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    expert = estimator.new_place
    bare = replace(expert, humidity=HumidityCorrection(0.0, 0.0))
    rows = table.X[:10]
    growth = expert.humidity.growth(rows, table.names)
    assert np.isfinite(rows[:, table.names.index(GROWTH)]).any()
    np.testing.assert_allclose(expert.judge(rows).mu, bare.judge(rows).mu - growth)
    np.testing.assert_array_equal(expert.judge(rows).sigma, bare.judge(rows).sigma)


@pytest.mark.parametrize("known_camera", [False, True])
def test_raising_humidity_alone_never_raises_an_estimate(
    estimator: PM25Estimator, table: TrainingTable, known_camera: bool
) -> None:
    camera = next(iter(estimator.cameras)) if known_camera else None
    for row in table.X[:12]:
        rising = np.tile(row, (5, 1))
        rising[:, table.names.index(GROWTH)] = [humidity_growth(rh) for rh in (10, 40, 70, 90, 99)]
        pm25 = estimator.estimate(rising, [camera] * 5).pm25
        assert np.all(np.diff(pm25) <= 1e-9 * pm25[0])


def test_over_the_rows_that_it_was_fitted_on_it_is_0_on_the_whole(table: TrainingTable) -> None:
    from training.fit import _fit_humidity

    weights = np.random.default_rng(0).uniform(0.1, 2.0, len(table))
    known = np.isfinite(table.X[:, table.names.index(GROWTH)])
    assert 0 < known.sum() < len(table)
    growth = _fit_humidity(table, weights, 0.7).growth(table.X, table.names)
    assert np.average(growth[known], weights=weights[known]) == pytest.approx(0.0, abs=1e-12)
    assert not growth[~known].any()


def test_without_any_humidity_there_is_nothing_to_correct(table: TrainingTable) -> None:
    from training.fit import _fit_humidity

    hidden = table.X.copy()
    hidden[:, table.names.index(GROWTH)] = np.nan
    without = replace(table, X=hidden)
    assert not _fit_humidity(without, np.ones(len(table)), 0.7).growth(hidden, table.names).any()


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    correction = HumidityCorrection(1 / 3, 0.1 + 0.2)
    correction.save(tmp_path / "humidity.json")
    assert HumidityCorrection.load(tmp_path / "humidity.json") == correction
    correction.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "humidity.json").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"exponent": 0.5}),
        json.dumps({"exponent": None, "usual": 0.1}),
        json.dumps({"exponent": -0.1, "usual": 0.1}),
        json.dumps({"exponent": 1.1, "usual": 0.1}),
        json.dumps({"exponent": float("nan"), "usual": 0.1}),
        json.dumps({"exponent": 0.5, "usual": float("inf")}),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "humidity.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=r"humidity\.json"):
        HumidityCorrection.load(path)


def test_an_expert_without_its_humidity_is_refused(
    estimator: PM25Estimator, tmp_path: Path
) -> None:
    estimator.new_place.save(tmp_path)
    assert Expert.load(tmp_path).humidity == estimator.new_place.humidity
    (tmp_path / "humidity.json").unlink()
    with pytest.raises(ArtifactError):
        Expert.load(tmp_path)
