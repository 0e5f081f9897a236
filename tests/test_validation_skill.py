"""Skill against scikit-learn's, its fixed points, and the comparison photo by photo."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from features.errors import DataSetError
from tests.drawn_answers import answers, forecasts
from training.held_out import HeldOutAnswers
from training.validation.bootstrap import Resampling
from training.validation.probabilistic import crps
from training.validation.skill import aligned, skill

QUICK = Resampling(resamples=100)
WEATHER = "weather_and_sun_without_photo"


def days(n: int) -> np.ndarray:
    return np.array([f"day {i}" for i in range(n)], dtype=np.str_)


def test_skill_against_the_best_constants_is_what_scikit_learn_calls_d2_and_r2() -> None:
    record = forecasts(90)
    y, estimate = record.pm25, record.estimate
    against_median = skill(forecasts(90, constant=float(np.median(y))), None, QUICK)
    assert against_median["training_median"]["mae"]["skill"] == pytest.approx(
        metrics.d2_absolute_error_score(y, estimate)
    )
    against_mean = skill(forecasts(90, climatology=float(np.mean(y))), None, QUICK)
    assert against_mean["climatology"]["rmse"]["skill"] == pytest.approx(
        1 - np.sqrt(1 - metrics.r2_score(y, estimate))
    )


def test_scores_and_references_are_those_of_the_photos() -> None:
    record, weather = forecasts(60), forecasts(60, sharpness=3)
    blocks = skill(record, weather, QUICK)
    y = record.pm25
    assert blocks["climatology"]["mae"]["reference"] == pytest.approx(
        metrics.mean_absolute_error(y, record.climatology)
    )
    assert blocks["training_median"]["crps"]["reference"] == pytest.approx(
        metrics.mean_absolute_error(y, record.constant)
    )
    crps_block = blocks[WEATHER]["crps"]
    assert crps_block["score"] == pytest.approx(crps(record).mean())
    assert crps_block["reference"] == pytest.approx(crps(weather).mean())
    assert crps_block["difference"] == pytest.approx((crps(weather) - crps(record)).mean())
    assert crps_block["skill"] == pytest.approx(1 - crps(record).mean() / crps(weather).mean())
    assert all(block["n"] == 60 for block in blocks.values())


def test_perfect_is_one_no_better_is_nothing_and_worse_is_below() -> None:
    y = np.linspace(5, 60, 40)
    perfect = answers(y, half_width=0.0, session=days(40))
    for name in ("mae", "rmse", "crps"):
        assert skill(perfect, None, QUICK)["training_median"][name]["skill"] == pytest.approx(1)
    same = answers(y, np.full(40, 20.0), half_width=0.0, session=days(40))
    block = skill(same, same, QUICK)
    for reference in ("training_median", WEATHER):
        for name in ("mae", "rmse", "crps"):
            assert block[reference][name]["skill"] == pytest.approx(0)
            assert block[reference][name]["difference_interval"] == pytest.approx([0, 0])
    worse = skill(answers(y, y + 50, session=days(40)), None, QUICK)["training_median"]["mae"]
    assert worse["skill"] < 0
    assert worse["difference_interval"][1] < 0


def test_an_exact_reference_leaves_no_skill_to_speak_of() -> None:
    y = np.full(10, 20.0)
    block = skill(answers(y, y + 1, session=days(10)), None, QUICK)["training_median"]["mae"]
    assert block["skill"] is block["skill_interval"] is None
    assert block["difference"] == -1


def noisy(seed: int, spread: float) -> HeldOutAnswers:
    """60 sessions whose difficulty all forecasters share."""
    y = np.full(60, 40.0)
    hard = np.random.default_rng(0).normal(0, 12, 60)
    own = np.random.default_rng(seed).normal(0, spread, 60)
    return answers(y, y + hard + own, session=days(60))


def test_pairs_tell_a_difference_apart_from_none() -> None:
    better = skill(noisy(1, 1.0), noisy(2, 25.0))[WEATHER]["mae"]
    assert 0 < better["difference_interval"][0] < better["difference"]
    assert 0 < better["skill_interval"][0] < better["skill"] < better["skill_interval"][1]
    equal = skill(noisy(1, 1.0), noisy(2, 1.0))[WEATHER]["mae"]
    assert equal["difference_interval"][0] < 0 < equal["difference_interval"][1]
    # What all share cancels: the interval is far shorter than that of either score.
    paired = equal["difference_interval"][1] - equal["difference_interval"][0]
    single = skill(noisy(1, 1.0))["training_median"]["mae"]["difference_interval"]
    assert paired < 0.3 * (single[1] - single[0])


def test_the_slow_bootstrap_gives_the_same_intervals() -> None:
    record = forecasts(60)
    block = skill(record, None, QUICK)["climatology"]
    for name in ("mae", "rmse", "crps"):
        for figure in ("skill", "difference"):
            slow = QUICK.interval(
                record,
                lambda drawn, name=name, figure=figure: skill(drawn, None, Resampling(resamples=1))[
                    "climatology"
                ][name][figure],
            )
            assert block[name][f"{figure}_interval"] == pytest.approx(slow)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(30)), st.integers(5, 30))
def test_photos_are_compared_with_themselves(order: list[int], kept: int) -> None:
    record, weather = forecasts(30), forecasts(30, sharpness=2)
    rows = np.array(order[:kept])
    ours, theirs = aligned(record, weather.of(rows))
    assert ours.file.tolist() == theirs.file.tolist()
    assert set(ours.file) == set(record.file[rows])
    assert skill(record, weather.of(rows), QUICK)[WEATHER] == skill(
        record.of(np.sort(rows)), weather.of(np.sort(rows)), QUICK
    )[WEATHER]  # fmt: skip


def test_a_session_is_aligned_as_a_photo_is() -> None:
    record, weather = forecasts(60), forecasts(60, sharpness=2)
    block = skill(record.per_session(), weather.per_session(), QUICK)[WEATHER]
    assert block["n"] == 20
    assert block["mae"]["skill"] == pytest.approx(0)


def test_answers_of_other_data_are_refused() -> None:
    record = forecasts(12)
    twice = record.of(np.array([0, 0, 1]))
    with pytest.raises(DataSetError, match="stands twice"):
        aligned(record, twice)
    with pytest.raises(DataSetError, match="stands twice"):
        aligned(twice, record)
    with pytest.raises(DataSetError, match="two labels"):
        aligned(record, forecasts(12, seed=1))


def test_without_photos_or_a_weather_model_there_is_null_and_never_nan() -> None:
    assert skill(forecasts(9), None, QUICK)[WEATHER] is None
    for n in (0, 1, 3):
        blocks = skill(forecasts(n), forecasts(n), QUICK)
        json.dumps(blocks, allow_nan=False)
        assert (blocks["climatology"]["mae"]["skill"] is None) == (n == 0)
        assert blocks[WEATHER]["rmse"]["skill_interval"] is None
    apart = skill(forecasts(9), forecasts(9).of(np.zeros(9, dtype=np.bool_)), QUICK)[WEATHER]
    assert apart["n"] == 0
    assert apart["crps"]["score"] is None
