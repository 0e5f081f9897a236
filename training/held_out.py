"""What was answered for photos while they were held out, beside what was measured there.

One record for each split and variant (`full`, without weather, without photo). Scores, the
validator and its report all read this record, and so does whoever wants to check them: a training
run leaves it as CSV, one row a photo.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import DataSetError
from handlers.conformal import QUANTILE_LEVELS, interval_columns
from handlers.estimator import DAYLIGHT, PM25Estimator
from training.alterations import ALTERATIONS
from training.climatology import climatology
from training.scores import Labels, Predictions, baselines, sun_elevation
from training.table import TrainingTable

Array = NDArray[np.float64]
Chosen = NDArray[np.bool_] | NDArray[np.int64]

HAZE_DEPTHS = tuple(step.optical_depth for step in ALTERATIONS if step.is_haze)
_QUANTILES = [f"q{1000 * level:03.0f}" for level in QUANTILE_LEVELS]
_HAZED = [f"hazed_{depth}" for depth in HAZE_DEPTHS]
_WORDS = ("file", "site", "session", "camera", "fold", "pm25_quality")
_NUMBERS = (
    *("lat", "lon", "sun_elevation", "pm25", "estimate", "epistemic", "aleatoric"),
    *("constant", "climatology"),
)


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """n labelled photos of one split and one variant; arrays (n,) where no shape is given.

    file, site, session, camera  names; camera is empty where it is unknown
    fold           the part of the split that the photo was held out in
    captured_at    time with its offset, or None
    lat, lon       [deg], nan where unknown
    sun_elevation  [deg], nan where unknown
    pm25_quality   A reference station, B published beside the photo, C converted
    pm25           the label [ug m-3]
    estimate       [ug m-3]
    quantiles      (n, 21) at QUANTILE_LEVELS [ug m-3], ascending
    epistemic, aleatoric  the parts of its uncertainty [ug m-3]
    known_camera   whether it was judged against a reference of its camera
    constant       what one says without looking: see `training.scores.baselines` [ug m-3]
    climatology    mean label at that site in that month and quarter of the day [ug m-3]
    hazed          (n, H) estimates with haze of HAZE_DEPTHS added, nan where none was read
    """

    file: NDArray[np.str_]
    site: NDArray[np.str_]
    session: NDArray[np.str_]
    camera: NDArray[np.str_]
    fold: NDArray[np.str_]
    captured_at: tuple[datetime | None, ...]
    lat: Array
    lon: Array
    sun_elevation: Array
    pm25_quality: NDArray[np.str_]
    pm25: Array
    estimate: Array
    quantiles: Array
    epistemic: Array
    aleatoric: Array
    known_camera: NDArray[np.bool_]
    constant: Array
    climatology: Array
    hazed: Array

    def __len__(self) -> int:
        return len(self.file)

    def of(self, chosen: Chosen) -> HeldOutAnswers:
        """Those of the `chosen` photos: a mask (n,), or row numbers."""
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return self._each(
            lambda values: (
                tuple(values[int(i)] for i in rows) if isinstance(values, tuple) else values[rows]
            )
        )

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Bounds (n,) [ug m-3] of the central interval at `level`: 0, 0.1 … 0.9, or 0.95.

        Raises ValueError for another one.
        """
        low, high = interval_columns(level)
        return self.quantiles[:, low], self.quantiles[:, high]

    def visits(self) -> NDArray[np.int64]:
        """The number (n,) of each photo's session, a session being one of one site."""
        names = np.char.add(np.char.add(self.site, "\0"), self.session)
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    def daytime(self) -> NDArray[np.bool_]:
        """Whether the sun is known to stand at least 5 deg high (n,)."""
        return np.asarray(self.sun_elevation >= DAYLIGHT)

    @property
    def labels(self) -> Labels:
        """What was measured, as `training.scores` takes it."""
        return Labels(self.pm25, self.site, self.session, self.daytime(), self.pm25_quality)

    @property
    def predictions(self) -> Predictions:
        """What was answered, as `training.scores` takes it: without the outermost quantiles."""
        lower, upper = self.interval()
        return Predictions(self.estimate, lower, upper, self.quantiles[:, 1:-1], self.constant)

    def per_session(self) -> HeldOutAnswers:
        """One row a session: its medians, and of what has none its first photo's."""
        visits = self.visits()
        groups = [np.flatnonzero(visits == visit) for visit in np.unique(visits)]
        first = np.array([group[0] for group in groups], dtype=np.int64)

        def median(values: Any) -> Any:
            if isinstance(values, tuple):
                return tuple(values[int(i)] for i in first)
            if values.dtype.kind != "f":
                return values[first]
            return np.array([_median(values[group]) for group in groups]).reshape(
                len(groups), *values.shape[1:]
            )

        return self._each(median)

    def _each(self, change: Callable[[Any], Any]) -> HeldOutAnswers:
        return HeldOutAnswers(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


def together(parts: Sequence[HeldOutAnswers]) -> HeldOutAnswers:
    """All `parts`, one below the other."""

    def joined(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        if isinstance(columns[0], tuple):
            return tuple(value for column in columns for value in column)
        return np.concatenate(columns)

    return HeldOutAnswers(**{f.name: joined(f.name) for f in fields(HeldOutAnswers)})


def held_out_answers(
    estimator: PM25Estimator, train: TrainingTable, test: TrainingTable, fold: str
) -> HeldOutAnswers:
    """What `estimator`, fitted on `train`, answers to `test`, which it has not seen."""
    estimates = estimator.estimate(test.X, test.cameras)
    constant, by_camera = baselines(train.photos)
    photos = test.photos
    return HeldOutAnswers(
        file=_names(photo.file for photo in photos),
        site=_names(photo.site for photo in photos),
        session=_names(photo.session for photo in photos),
        camera=_names(photo.camera for photo in photos),
        fold=_names(fold for _ in photos),
        captured_at=tuple(photo.metadata.captured_at for photo in photos),
        lat=_numbers(photo.metadata.lat for photo in photos),
        lon=_numbers(photo.metadata.lon for photo in photos),
        sun_elevation=_numbers(sun_elevation(photo) for photo in photos),
        pm25_quality=_names(photo.pm25_quality for photo in photos),
        pm25=test.pm25,
        estimate=estimates.pm25,
        quantiles=estimates.quantiles,
        epistemic=estimates.epistemic,
        aleatoric=estimates.aleatoric,
        known_camera=np.array([estimator.knows(camera) for camera in test.cameras], dtype=np.bool_),
        constant=_numbers(by_camera.get(photo.camera, constant) for photo in photos),
        climatology=climatology(train.photos, photos),
        hazed=_hazed(estimator, test),
    )


def _hazed(estimator: PM25Estimator, test: TrainingTable) -> Array:
    """Estimates (n, H) of the photos with haze added, nan where no copies were read."""
    hazed = np.full((len(test), len(HAZE_DEPTHS)), np.nan)
    rows = test.with_copies
    if len(rows):
        steps = [i for i, step in enumerate(ALTERATIONS) if step.is_haze]
        X = test.copied_rows(rows)[:, steps].reshape(-1, len(test.names))
        cameras = [test.cameras[int(i)] for i in rows for _ in steps]
        hazed[rows] = estimator.estimate(X, cameras).pm25.reshape(len(rows), len(steps))
    return hazed


def write_held_out(folder: Path, answers: Mapping[str, Mapping[str, HeldOutAnswers]]) -> None:
    """Write `folder`/SPLIT.VARIANT.csv for each; numbers with six digits."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, variants in answers.items():
        for variant, record in variants.items():
            _write(folder / f"{split}.{variant}.csv", record)


def read_held_out(folder: Path) -> dict[str, dict[str, HeldOutAnswers]]:
    """What `write_held_out` wrote, by split and variant.

    Raises DataSetError when there is nothing, or when a file is damaged, cut off or of another
    version.
    """
    files = sorted(folder.glob("*.*.csv"))
    if not files:
        raise DataSetError(
            "no_held_out_answers",
            f"{folder} holds no answers to held-out photos.",
            "Name the folder of a training run; `make train` leaves them there.",
        )
    answers: dict[str, dict[str, HeldOutAnswers]] = {}
    for file in files:
        split, variant = file.name.removesuffix(".csv").split(".", 1)
        answers.setdefault(split, {})[variant] = _read(file)
    return answers


def _write(path: Path, record: HeldOutAnswers) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_WORDS, "captured_at", "known_camera", *_NUMBERS, *_QUANTILES, *_HAZED])
        for i in range(len(record)):
            time = record.captured_at[i]
            numbers = [getattr(record, name)[i] for name in _NUMBERS]
            writer.writerow(
                [
                    *(str(getattr(record, name)[i]) for name in _WORDS),
                    "" if time is None else time.isoformat(),
                    int(record.known_camera[i]),
                    *map(_cell, [*numbers, *record.quantiles[i], *record.hazed[i]]),
                ]
            )


def _read(path: Path) -> HeldOutAnswers:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns: dict[str, Any] = {
            **{name: _names(row[name] for row in rows) for name in _WORDS},
            **{name: _column(rows, name) for name in _NUMBERS},
        }
        record = HeldOutAnswers(
            **columns,
            captured_at=tuple(
                datetime.fromisoformat(row["captured_at"]) if row["captured_at"] else None
                for row in rows
            ),
            known_camera=_column(rows, "known_camera") > 0,
            quantiles=_columns(rows, _QUANTILES),
            hazed=_columns(rows, _HAZED),
        )
        _check(record)
        return record
    except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataSetError(
            "broken_held_out_answers",
            f"{path.name} does not hold answers to held-out photos: {error!r}.",
            "Train again with this version: `make train`.",
        ) from error


def _check(record: HeldOutAnswers) -> None:
    """Raise ValueError where a file that can be read holds what no run writes."""
    for name in ("pm25", "estimate", "quantiles", "epistemic", "aleatoric", "constant"):
        values = getattr(record, name)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} is missing or not finite")
        if name in ("epistemic", "aleatoric") and (values < 0.0).any():
            raise ValueError(f"{name} is below 0")
    if (np.diff(record.quantiles, axis=1) < 0.0).any():
        raise ValueError("quantiles do not ascend")


def _names(values: Iterable[str]) -> NDArray[np.str_]:
    return np.array(list(values), dtype=np.str_)


def _numbers(values: Iterable[float | None]) -> Array:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _column(rows: Sequence[Mapping[str, str]], name: str) -> Array:
    return np.array([float(row[name] or "nan") for row in rows], dtype=np.float64)


def _columns(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> Array:
    return np.array([_column(rows, name) for name in names]).T.reshape(len(rows), len(names))


def _median(values: Array) -> Any:
    """The median of what is known along axis 0, nan where nothing is."""
    known = np.where(np.isnan(values).all(axis=0), 0.0, values)
    return np.where(np.isnan(values).all(axis=0), np.nan, np.nanmedian(known, axis=0))
