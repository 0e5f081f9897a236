"""Labelled rows, and how the learners are kept from reading 'no weather' as a place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from training.alterations import ALTERATIONS
from training.dataset import DataSet
from training.table import (
    LOWEST_LABEL,
    TrainingTable,
    numbered,
    training_table,
    variant_columns,
    with_weather_withheld,
)


def weather_columns(table: TrainingTable) -> np.ndarray:
    return np.array([name in WEATHER_FEATURES for name in table.names])


def knows_weather(table: TrainingTable) -> np.ndarray:
    known: np.ndarray = np.isfinite(table.X[:, weather_columns(table)]).any(axis=1)
    return known


def withheld(
    table: TrainingTable, seed: int = 0
) -> tuple[TrainingTable, np.ndarray, np.ndarray, np.ndarray]:
    """The table with weather withheld, its weights, the row behind each, and the weights before."""
    before = np.random.default_rng(99).uniform(0.5, 2.0, len(table))
    result, weights, origin = with_weather_withheld(table, before, np.random.default_rng(seed))
    return result, weights, origin, before


def test_the_rows_are_the_labelled_photos(rendered: DataSet, table: TrainingTable) -> None:
    assert len(table) == len(rendered.rows) == 60  # the quality gate refuses none of them
    assert [photo.file for photo in table.photos] == [photo.file for photo in rendered.rows]
    assert table.pm25.tolist() == [photo.pm25 for photo in rendered.rows]
    assert table.names[-15:] == (*SUN_FEATURES, *WEATHER_FEATURES)
    names = table.names[:-15]
    unlabelled = [replace(p, pm25=None) if i % 3 else p for i, p in enumerate(rendered.rows)]
    fewer = training_table(unlabelled, table.X[:, :-15], names)
    np.testing.assert_array_equal(fewer.X, table.X[::3])
    assert fewer.pm25.tolist() == table.pm25[::3].tolist()


def test_the_target_is_the_logarithm_with_a_floor(table: TrainingTable) -> None:
    pm25 = np.array([0.0, 0.3, 1.0, np.e, 100.0])
    low = replace(table.take(np.arange(5)), pm25=pm25)
    assert low.ln_pm25 == pytest.approx([0.0, 0.0, 0.0, 1.0, np.log(100.0)])
    assert LOWEST_LABEL == 1.0


def test_sessions_and_sites_are_told_apart(table: TrainingTable) -> None:
    assert len(np.unique(table.sites)) == 3
    assert len(np.unique(table.sessions)) == 30
    same_name = replace(
        table.take(np.array([0, 0, 59])),
        photos=tuple(replace(table.photos[i], session="first") for i in (0, 0, 59)),
    )
    assert same_name.sessions.tolist() == [1, 1, 0]  # one at each site
    assert numbered(["b", "a", "b"]).tolist() == [1, 0, 1]


def test_rows_and_columns_are_taken_together(table: TrainingTable) -> None:
    taken = table.take(np.array([5, 2, 5])).with_columns(["sky_fraction", "air_mass"])
    assert taken.names == ("sky_fraction", "air_mass")
    columns = [table.names.index(name) for name in taken.names]
    np.testing.assert_array_equal(taken.X, table.X[[5, 2, 5]][:, columns])
    assert taken.photos == (table.photos[5], table.photos[2], table.photos[5])
    assert taken.pm25.tolist() == table.pm25[[5, 2, 5]].tolist()


def test_copies_go_with_their_rows_and_columns(table: TrainingTable) -> None:
    rows = table.with_copies[[4, 1, 4]]
    columns = [table.names.index(name) for name in ("sky_fraction", "air_mass", "entropy")]
    taken = table.take(rows).with_columns([table.names[c] for c in columns])
    assert np.isfinite(taken.copies).any()
    np.testing.assert_array_equal(taken.copies, table.copies[rows][:, :, columns])
    joined = table.take(rows).joined(table.take(np.array([0, 59])))
    np.testing.assert_array_equal(joined.copies, table.copies[[*rows, 0, 59]])
    np.testing.assert_array_equal(joined.X, table.X[[*rows, 0, 59]])
    assert joined.pm25.tolist() == table.pm25[[*rows, 0, 59]].tolist()
    assert joined.photos == tuple(table.photos[i] for i in (*rows, 0, 59))


def test_a_copy_has_the_sun_and_the_weather_of_its_photo(table: TrainingTable) -> None:
    rows = table.with_copies[::4]
    around = np.array([name in (*SUN_FEATURES, *WEATHER_FEATURES) for name in table.names])
    assert np.isnan(table.copies[:, :, around]).all()
    complete = table.copied_rows(rows)
    assert complete.shape == (len(rows), len(ALTERATIONS), len(table.names))
    np.testing.assert_array_equal(complete[:, :, ~around], table.copies[rows][:, :, ~around])
    for k in range(len(ALTERATIONS)):
        np.testing.assert_array_equal(complete[:, k, around], table.X[rows][:, around])


def test_copies_of_unlabelled_photos_are_left_out_with_them(table: TrainingTable) -> None:
    photos = [replace(p, pm25=None) if i % 3 else p for i, p in enumerate(table.photos)]
    names = table.names[:-15]
    fewer = training_table(photos, table.X[:, :-15], names, table.copies[:, :, :-15])
    np.testing.assert_array_equal(fewer.copies, table.copies[::3])
    without = training_table(photos, table.X[:, :-15], names)
    assert without.copies.shape == fewer.copies.shape and len(without.with_copies) == 0


def test_a_row_whose_weather_is_withheld_keeps_its_copies(table: TrainingTable) -> None:
    result, _, origin, _ = withheld(table)
    np.testing.assert_array_equal(result.copies, table.copies[origin])
    hidden = result.with_copies[result.with_copies >= len(result) - knows_weather(table).sum()]
    assert len(hidden)
    weather = weather_columns(table)
    assert np.isnan(result.copied_rows(hidden)[:, :, weather]).all()


def test_the_variants_read_what_their_names_say() -> None:
    variants = variant_columns(["haze", "sky"])
    assert set(variants["full"]) == {"haze", "sky", *SUN_FEATURES, *WEATHER_FEATURES}
    assert set(variants["photo_without_weather"]) == {"haze", "sky", *SUN_FEATURES}
    assert set(variants["weather_and_sun_without_photo"]) == {*SUN_FEATURES, *WEATHER_FEATURES}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_withholding_keeps_the_weight_of_every_row(table: TrainingTable, seed: int) -> None:
    result, weights, origin, before = withheld(table, seed)
    assert weights.sum() == pytest.approx(before.sum())
    np.testing.assert_allclose(np.bincount(origin, weights, len(table)), before)
    assert [photo.file for photo in result.photos] == [table.photos[i].file for i in origin]
    np.testing.assert_array_equal(result.pm25, table.pm25[origin])


def test_each_row_with_weather_stands_there_in_three_forms(table: TrainingTable) -> None:
    known = knows_weather(table)
    n = known.sum()
    assert 0 < n < len(table)
    result, weights, origin, before = withheld(table)
    assert np.bincount(origin).tolist() == np.where(known, 3, 1).tolist()
    whole, single, none = np.split(np.arange(len(result)), [len(table), len(table) + n])
    np.testing.assert_array_equal(result.X[whole], table.X)
    assert not knows_weather(result.take(none)).any()
    for rows, share in ((whole[known], 0.25), (single, 0.25), (none, 0.5), (whole[~known], 1.0)):
        np.testing.assert_array_equal(weights[rows], share * before[origin[rows]])
    columns = weather_columns(table)
    np.testing.assert_array_equal(result.X[:, ~columns], table.X[origin][:, ~columns])


def test_of_the_second_form_one_field_in_five_is_dropped_and_none_is_changed(
    table: TrainingTable,
) -> None:
    known, columns = knows_weather(table), weather_columns(table)
    before = table.X[known][:, columns]
    dropped = []
    for seed in range(10):
        single = slice(len(table), len(table) + known.sum())
        second = withheld(table, seed)[0].X[single][:, columns]
        kept = np.isfinite(second)
        np.testing.assert_array_equal(second[kept], before[kept])
        dropped.append(1 - kept.sum() / np.isfinite(before).sum())
    assert np.mean(dropped) == pytest.approx(0.2, abs=0.02)


@given(st.integers(1, 20))
def test_what_else_is_read_does_not_decide_which_field_is_dropped(
    table: TrainingTable, fewer: int
) -> None:
    columns = weather_columns(table)
    narrow = table.with_columns(table.names[fewer:])
    wide, some = withheld(table)[0].X[:, columns], withheld(narrow)[0].X[:, weather_columns(narrow)]
    np.testing.assert_array_equal(wide, some)


def test_rows_without_weather_do_not_notice(table: TrainingTable) -> None:
    known = knows_weather(table)
    without = replace(table, X=np.where(weather_columns(table), np.nan, table.X))
    some, some_weights, some_origin, _ = withheld(table)
    none, none_weights, none_origin, before = withheld(without)
    assert none_origin.tolist() == list(range(len(table)))
    np.testing.assert_array_equal(none.X, without.X)
    np.testing.assert_array_equal(none_weights, before)
    rows, same = ~known[some_origin], ~known
    np.testing.assert_array_equal(some.X[rows], none.X[same])
    np.testing.assert_array_equal(some_weights[rows], none_weights[same])


def test_the_given_table_stays_as_it_was(table: TrainingTable) -> None:
    before = table.X.copy()
    withheld(table)
    np.testing.assert_array_equal(table.X, before)
