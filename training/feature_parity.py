"""Parity: what the store holds is what today's code reads from the same photos.

A family whose values moved without a new version, a library that computes differently, a damaged
disk: all of them end in rows that no photo would give any more, and in models fitted to them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import LabelledPhoto
from training.extraction import (
    Extractor,
    check_photo,
    naming_the_photo,
    photo_key,
    read_photo,
)
from training.feature_store import FeatureStore
from training.photo_reading import Reading
from training.progress import progress_bar

# As golden vectors: another processor passes, another code does not.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """One value that is not what it was. Refused photos differ in `verdict`, by their codes.

    stored, recomputed  a number, or the code of a refusal; None for a value that is not defined
    """

    file: str
    feature: str
    stored: float | str | None
    recomputed: float | str | None


@dataclass(frozen=True)
class Parity:
    """The photos that were read again, of how many that are stored, and what differs in them."""

    checked: int
    stored: int
    differences: tuple[Difference, ...]


def feature_parity(
    rows: Sequence[LabelledPhoto],
    store: FeatureStore,
    extractor: Extractor,
    *,
    sample: int,
    rng: np.random.Generator,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Parity:
    """Read `sample` of the stored photos among `rows` again, drawn with `rng`, and compare.

    tolerance  relative to each value or to its spread over the sample, whichever is larger [1];
               0 asks for the same bits

    Raises DataSetError photo_changed, photo_missing.
    """
    row_of = {photo_key(row): row for row in rows}
    known = store.known(row_of, extractor.feature_set)
    stored = [key for key in row_of if key in known]
    chosen = rng.choice(len(stored), size=min(sample, len(stored)), replace=False)
    keys = [stored[number] for number in sorted(chosen)]
    readings = store.get_many(keys, extractor.feature_set)
    spread = _spread(list(readings.values()), len(extractor.names))
    differences: list[Difference] = []
    with progress_bar("parity", len(keys), 0, progress) as advance:
        for key in keys:
            row = row_of[key]
            with naming_the_photo(row.path):
                sha256, recomputed = read_photo(row.path, row.min_side, extractor)
            check_photo(row.path, sha256, row.sha256)
            for name, before, after in _moved(
                extractor.names, readings[key], recomputed, tolerance * spread, tolerance
            ):
                differences.append(Difference(row.file, name, before, after))
            advance(1)
    return Parity(len(keys), len(stored), tuple(differences))


def _spread(readings: Sequence[Reading], features: int) -> NDArray[np.float64]:
    """Standard deviation (F,) over the sample: what a value near zero is held against."""
    values = [reading.values for reading in readings if reading.values is not None]
    stacked = np.array(values).reshape(-1, features)
    defined = np.isfinite(stacked)
    count = np.maximum(defined.sum(axis=0), 1)
    mean = np.where(defined, stacked, 0).sum(axis=0) / count
    squares = np.where(defined, (stacked - mean) ** 2, 0).sum(axis=0) / count
    return np.asarray(np.sqrt(squares))


def _moved(
    names: Sequence[str],
    stored: Reading,
    recomputed: Reading,
    absolute: NDArray[np.float64],
    relative: float,
) -> Iterator[tuple[str, float | str | None, float | str | None]]:
    """Name, value before and after of what differs by more than the larger of two tolerances."""
    if stored.values is None or recomputed.values is None:
        if _verdict(stored) != _verdict(recomputed):
            yield "verdict", _verdict(stored), _verdict(recomputed)
        return
    before, after = stored.values, recomputed.values
    both_undefined = np.isnan(before) & np.isnan(after)
    close = np.abs(after - before) <= np.maximum(relative * np.abs(before), absolute)
    for i in map(int, np.flatnonzero(~(close | both_undefined | (before == after)))):
        yield names[i], _number(before[i]), _number(after[i])


def _verdict(reading: Reading) -> str:
    return "valid" if reading.refusal is None else reading.refusal.code


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
