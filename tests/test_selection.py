"""The choice of features: what haze moves and nuisances do not, told by altered copies alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from tests.drawn_tables import drawn_table
from training import selection
from training.alterations import ALTERATIONS
from training.selection import HAZE, fit_pipeline, haze_response, haze_signs, weighted_median
from training.table import TrainingTable

N = 40
NUISANCES = [change.name for change in ALTERATIONS if not change.is_haze]
DEPTH = {change.name: change.optical_depth for change in ALTERATIONS}
AROUND = ("sun_elevation_deg", "wind_speed_ms")


def drawn(seed: int = 0, **moved: dict[str, float]) -> TrainingTable:
    """Photo features and, last, sun and weather.

    Each photo feature is moved by its haze · (optical depth) and by as much as its nuisances say.
    """
    rng = np.random.default_rng(seed)
    names = (*moved, *AROUND)
    X = rng.normal(size=(N, len(names)))
    copies = np.full((N, len(ALTERATIONS), len(names)), np.nan)
    for column, (_, moves) in enumerate(moved.items()):
        for k, change in enumerate(ALTERATIONS):
            move = moves.get("haze", 0.0) * change.optical_depth + moves.get(change.name, 0.0)
            copies[:, k, column] = X[:, column] + move
    return drawn_table(X, names, copies=copies)


def selected(table: TrainingTable, **options: object) -> tuple[str, ...]:
    return fit_pipeline(table, np.ones(len(table)), **options).selected_names  # type: ignore[arg-type]


def test_a_feature_that_only_haze_moves_is_read_and_one_that_exposure_moves_as_much_is_not() -> (
    None
):
    step = DEPTH[HAZE]
    table = drawn(
        veil={"haze": 1.0},
        down={"haze": -1.0},
        brightness={"haze": 1.0, NUISANCES[0]: step},
        sharpness={"haze": 1.0, NUISANCES[-1]: -3 * step},
        indifferent={"haze": 0.0},
        noise={NUISANCES[1]: 0.5},
    )
    assert selected(table) == ("veil", "down", *AROUND)


@pytest.mark.parametrize("nuisance", NUISANCES)
def test_one_nuisance_is_enough_to_drop_a_feature(nuisance: str) -> None:
    assert "x" not in selected(drawn(x={"haze": 1.0, nuisance: 1.01 * DEPTH[HAZE]}))


def test_the_response_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn(
        a={"haze": 2.0, NUISANCES[0]: DEPTH[HAZE], NUISANCES[1]: -0.5 * DEPTH[HAZE]},
        b={"haze": -1.0},
        c={NUISANCES[0]: 1.0},
        d={},
    )
    np.testing.assert_allclose(
        haze_response(table), [2.0, np.inf, 0.0, 0.0, np.inf, np.inf], rtol=1e-9
    )
    response = haze_response(table)[0]
    monkeypatch.setattr(selection, "LEAST_RESPONSE", 0.99 * response)
    assert "a" in selected(table)
    monkeypatch.setattr(selection, "LEAST_RESPONSE", 1.01 * response)
    assert "a" not in selected(table)


def test_unknown_values_of_copies_have_no_part_in_the_response() -> None:
    table = drawn(a={"haze": 2.0, NUISANCES[0]: 0.5})
    expected = haze_response(table)
    copies = table.copies.copy()
    copies[: N // 2, 3:, 0] = np.nan
    copies[N // 2] = np.nan  # of one photo no copies were read
    np.testing.assert_allclose(haze_response(replace(table, copies=copies)), expected)


def test_a_table_without_copies_keeps_every_feature() -> None:
    X = np.random.default_rng(0).normal(size=(N, 5))
    table = drawn_table(X, [f"f{i}" for i in range(5)])
    assert np.all(haze_response(table) == np.inf)
    assert selected(table) == table.names
    assert haze_signs(table, np.ones(5)).tolist() == [0] * 5


def test_what_never_changes_is_never_known_or_left_out_is_not_selected() -> None:
    still = {"haze": 1.0}
    table = drawn(constant=still, unknown=still, left_out=still, read=still)
    X = table.X.copy()
    X[:, 0], X[:, 1] = 7.0, np.nan
    table = replace(table, X=X)
    chosen = selected(table, leave_out=("left_out", "wind_speed_ms", "not among the names"))
    assert chosen == ("read", "sun_elevation_deg")


def test_only_named_features_are_chosen_from_whatever_their_response() -> None:
    table = drawn(a={"haze": 1.0}, b={NUISANCES[0]: 1.0}, c={"haze": 1.0})
    assert selected(table, only=("b", "c", "not among the names"), leave_out=("c",)) == ("b",)
    assert selected(table, only=("not among the names",)) == selected(table)


def test_labels_choose_nothing() -> None:
    table = drawn(a={"haze": 1.0}, b={"haze": 1.0, NUISANCES[0]: 0.6})
    told = replace(table, pm25=np.exp(table.X[:, 1]))
    one, other = fit_pipeline(table, np.ones(N)), fit_pipeline(told, np.ones(N))
    np.testing.assert_array_equal(one.selected, other.selected)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.floats(0.01, 100.0), st.floats(-50.0, 50.0))
def test_units_choose_nothing(seed: int, unit: float, zero: float) -> None:
    rng = np.random.default_rng(seed)
    table = drawn(
        seed, **{f"f{i}": {"haze": 1.0, NUISANCES[0]: float(rng.uniform(0, 1))} for i in range(6)}
    )
    other = replace(table, X=unit * table.X + zero, copies=unit * table.copies + zero)
    np.testing.assert_allclose(haze_response(other)[:6], haze_response(table)[:6], rtol=1e-6)


def test_signs_are_those_on_which_photos_agree() -> None:
    table = drawn(up={"haze": 1.0}, down={"haze": -2.0}, either={"haze": 1.0}, still={})
    copies = table.copies.copy()
    either = table.names.index("either")
    copies[: N // 2, :, either] = (
        2 * table.X[: N // 2, either, np.newaxis] - copies[: N // 2, :, either]
    )
    table = replace(table, copies=copies)
    assert haze_signs(table, np.ones(6)).tolist() == [1, -1, 0, 0, 0, 0]


def test_a_feature_that_turns_back_on_the_way_has_no_sign() -> None:
    table = drawn(x={"haze": 1.0})
    last = max(range(len(ALTERATIONS)), key=lambda k: ALTERATIONS[k].optical_depth)
    assert ALTERATIONS[last].before == ALTERATIONS[last - 1].name
    copies = table.copies.copy()
    copies[:, last, 0] = table.X[:, 0] + 0.1  # further than the photo, less far than before
    assert haze_signs(replace(table, copies=copies), np.ones(3))[0] == 0
    copies[:, last, 0] = table.copies[:, last - 1, 0] - 1e-4  # as good as none
    assert haze_signs(replace(table, copies=copies), np.ones(3))[0] == 1


def test_of_rendered_photos_sun_and_weather_stay_and_the_photo_is_read(
    table: TrainingTable,
) -> None:
    pipeline = fit_pipeline(table, np.ones(len(table)))
    response = haze_response(table)
    around = [name in (*SUN_FEATURES, *WEATHER_FEATURES) for name in table.names]
    assert np.all(response[around] == np.inf)
    photo = np.flatnonzero(~np.array(around))
    assert 0 < np.isin(photo, pipeline.selected).sum() < len(photo)
    varying: NDArray[np.bool_] = np.nanstd(table.X[:, around], axis=0) > 0
    assert np.isin(np.flatnonzero(around)[varying], pipeline.selected).all()


@settings(max_examples=60)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_the_weighted_median_of_whole_weights_is_that_of_repeats(values: list[float]) -> None:
    weights = np.arange(1, len(values) + 1) % 4 + 1
    repeated = np.sort(np.repeat(values, weights))
    expected = repeated[(len(repeated) - 1) // 2]
    assert weighted_median(np.array(values), weights.astype(float)) == expected


def test_unknown_values_have_no_part_in_the_median() -> None:
    values = np.array([np.nan, 3.0, np.inf, 1.0, 2.0])
    assert weighted_median(values, np.array([99.0, 1.0, 99.0, 1.0, 1.0])) == 2.0
    assert weighted_median(np.full(3, np.nan), np.ones(3)) == 0.0
