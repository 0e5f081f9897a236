"""What a drawn table says of its data sets is what was put into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from features.metadata import PhotoMetadata
from training.dataset import LabelledPhoto
from training.separability import TELLING_AREA, roc_area, set_of, set_separability
from training.table import TrainingTable, training_table

NAMES = ("tells", "haze", "noise", "unknown")


def drawn(
    sets: dict[str, int], *, photos: int = 4, gap: float = 8.0, seed: int = 0
) -> TrainingTable:
    """Sessions of each set: `tells` shifts by `gap` from set to set, `haze` follows PM2.5, which
    is alike everywhere, `noise` follows nothing, `unknown` is never defined."""
    rng = np.random.default_rng(seed)
    rows, of = [], []
    for number, (name, sessions) in enumerate(sets.items()):
        for session in range(sessions):
            pm25 = float(np.exp(rng.normal(3.0, 0.6)))
            for photo in range(photos):
                haze = np.log(pm25) + rng.normal(0, 0.1)
                rows.append([gap * number + rng.normal(), haze, rng.normal(), np.nan])
                of.append(replace(at(name, f"{name}_{session}", photo), pm25=pm25))
    return training_table(of, np.array(rows), NAMES)


def at(folder: str, session: str, number: int) -> LabelledPhoto:
    file = f"images/{session}_{number}.jpg"
    return LabelledPhoto(
        path=Path("/data") / folder / file,
        file=file,
        sha256="",
        min_side=128,
        site=f"{folder}_site",
        camera="",
        country="",
        session=session,
        pm25=10.0,
        pm25_quality="A",
        pm25_as_published="",
        pm10=None,
        metadata=PhotoMetadata(),
    )


def test_the_data_set_of_a_photo_is_the_folder_of_its_labels() -> None:
    assert set_of(at("milan", "s", 0)) == "milan"


def test_a_feature_that_names_the_set_is_found_and_one_of_the_air_is_not() -> None:
    found = set_separability(drawn({"one": 30, "other": 40}), NAMES)
    assert found is not None
    assert found.sessions == {"one": 30, "other": 40}
    assert found.chance == 0.5
    assert found.accuracy > 0.95 and found.area > 0.98
    assert found.telling == ("tells",)
    assert found.areas["tells"] >= TELLING_AREA
    assert found.areas["haze"] == pytest.approx(found.label_area, abs=0.05)
    assert found.areas["noise"] < 0.7
    assert "unknown" not in found.areas


def test_without_that_feature_the_sets_cannot_be_told_apart() -> None:
    areas = []
    for seed in range(8):
        found = set_separability(drawn({"one": 40, "other": 40}, seed=seed), NAMES[1:])
        assert found is not None and found.telling == ()
        areas.append((found.area, found.accuracy))
    area, accuracy = np.mean(areas, axis=0)
    assert area == pytest.approx(0.5, abs=0.1)
    assert accuracy == pytest.approx(0.5, abs=0.1)


def test_frames_of_one_session_count_once() -> None:
    """One session of a thousand frames does not outweigh the others."""
    table = drawn({"one": 12, "other": 12}, gap=0.0)
    first = np.flatnonzero(table.sessions == table.sessions[0])
    crowded = table.take(np.concatenate([np.arange(len(table)), np.repeat(first, 250)]))
    found, again = (set_separability(t, NAMES) for t in (table, crowded))
    assert found is not None and again is not None
    assert again.areas == found.areas
    assert again.sessions == found.sessions


def test_three_sets_have_a_chance_of_a_third() -> None:
    found = set_separability(drawn({"a": 20, "b": 20, "c": 20}), NAMES)
    assert found is not None
    assert found.chance == pytest.approx(1 / 3)
    assert found.accuracy > 0.9
    assert found.areas["tells"] > 0.99


def test_one_set_or_too_few_sessions_have_no_answer() -> None:
    assert set_separability(drawn({"one": 30}), NAMES) is None
    assert set_separability(drawn({"one": 30, "other": 4}), NAMES) is None


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
)
def test_the_area_is_that_of_scikit_learn(one: list[int], other: list[int]) -> None:
    a, b = np.array(one, float), np.array(other, float)
    truth = roc_auc_score([1] * len(a) + [0] * len(b), np.concatenate([a, b]))
    assert roc_area(a, b) == pytest.approx(truth)
    assert roc_area(a, b) == pytest.approx(1 - roc_area(b, a))
    assert roc_area(np.append(a, np.nan), b) == pytest.approx(truth)


def test_an_area_without_values_is_that_of_a_coin() -> None:
    assert roc_area(np.array([np.nan]), np.array([1.0])) == 0.5
