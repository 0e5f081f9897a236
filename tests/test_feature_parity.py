"""Parity: a stored value that no photo gives any more is found, and named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import DataSetError
from tests.logging_extractor import LoggingExtractor
from tests.test_extraction import photos
from training.dataset import LabelledPhoto
from training.extraction import extract_features, made_by, photo_key
from training.feature_parity import Difference, Parity, feature_parity
from training.feature_store import FeatureStore
from training.photo_reading import Reading, Refusal


@pytest.fixture
def rows(tmp_path: Path) -> list[LabelledPhoto]:
    return photos(tmp_path / "photos", 6)


@pytest.fixture
def extractor(tmp_path: Path) -> LoggingExtractor:
    return LoggingExtractor(tmp_path / "log")


@pytest.fixture
def store(
    tmp_path: Path, rows: list[LabelledPhoto], extractor: LoggingExtractor
) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path / "store.sqlite") as store:
        extract_features(rows, store, extractor, jobs=1, progress=False)
        yield store


def parity(
    rows: list[LabelledPhoto],
    store: FeatureStore,
    extractor: LoggingExtractor,
    sample: int = 100,
    tolerance: float = 1e-6,
) -> Parity:
    rng = np.random.default_rng(1)
    return feature_parity(
        rows, store, extractor, sample=sample, rng=rng, tolerance=tolerance, progress=False
    )


def put(
    store: FeatureStore, row: LabelledPhoto, extractor: LoggingExtractor, reading: Reading
) -> None:
    store.put({photo_key(row): reading}, extractor.feature_set, made_by(extractor))


def test_what_was_just_stored_is_equal_to_the_last_bit(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    assert parity(rows, store, extractor, tolerance=0.0) == Parity(8, 8, ())


def test_a_sample_reads_no_more_photos_than_asked(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    before = len(extractor.read())
    assert parity(rows[:6], store, extractor, sample=3) == Parity(3, 6, ())
    assert len(extractor.read()) == before + 3


def test_the_feature_that_moved_is_named(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    stored = store.get_many([photo_key(rows[2])], extractor.feature_set)[photo_key(rows[2])].values
    assert stored is not None
    put(store, rows[2], extractor, Reading(stored + np.array([0.0, 0.01, 0.0])))
    (difference,) = parity(rows, store, extractor).differences
    now = float(stored[1])
    assert difference == Difference("2.png", "spread_of_lightness", now + 0.01, now)


@pytest.mark.parametrize(("tolerance", "moved"), [(1e-6, 0), (1e-12, 1), (0.0, 1)])
def test_rounding_passes_unless_the_same_bits_are_asked_for(
    rows: list[LabelledPhoto],
    store: FeatureStore,
    extractor: LoggingExtractor,
    tolerance: float,
    moved: int,
) -> None:
    stored = store.get_many([photo_key(rows[2])], extractor.feature_set)[photo_key(rows[2])].values
    assert stored is not None
    put(store, rows[2], extractor, Reading(stored * [1 + 1e-9, 1, 1]))
    assert len(parity(rows, store, extractor, tolerance=tolerance).differences) == moved


def test_undefined_and_defined_differ(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    put(store, rows[0], extractor, Reading(np.array([np.nan, 0.0, 1.0])))
    found = {it.feature: it for it in parity(rows, store, extractor).differences}
    assert found.keys() == set(extractor.names)
    assert found["mean_lightness"].stored is None
    assert found["undefined"].recomputed is None


def test_another_verdict_is_a_difference(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    put(store, rows[0], extractor, Reading(None, Refusal("blurred", "")))
    put(store, rows[6], extractor, Reading(np.array([1.0, 2.0, 3.0])))
    assert set(parity(rows, store, extractor).differences) == {
        Difference("0.png", "verdict", "blurred", "valid"),
        Difference("small.png", "verdict", "valid", "too_small"),
    }


def test_photos_that_are_not_stored_are_not_compared(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    others = [replace(row, sha256="0" * 64) for row in rows]
    assert parity(others, store, extractor) == Parity(0, 0, ())


def test_a_photo_that_has_changed_is_no_difference_but_an_error(
    rows: list[LabelledPhoto], store: FeatureStore, extractor: LoggingExtractor
) -> None:
    rows[0].path.write_bytes(rows[1].path.read_bytes())
    with pytest.raises(DataSetError, match="not the photo that it was"):
        parity(rows, store, extractor)
