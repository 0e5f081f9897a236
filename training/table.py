"""Labelled feature rows: what the learners are fitted on and scored against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES, MeteorologicalFeatureExtractor
from features.pipeline import as_matrix
from handlers.expert import knows_weather
from training.alterations import ALTERATIONS
from training.dataset import LabelledPhoto

# The learners see ln PM2.5; below this the logarithm would magnify the noise of the monitor.
LOWEST_LABEL = 1.0
WITHOUT_PHOTO = "weather_and_sun_without_photo"
_AROUND = {*SUN_FEATURES, *WEATHER_FEATURES}


@dataclass(frozen=True)
class TrainingTable:
    """n labelled photos with their F features.

    names   (F,) feature names
    X       (n, F), nan for unknown
    pm25    (n,) labels [ug m-3]
    photos  (n,) where each row comes from
    copies  (n, K, F) photo features of the altered copies, in the order of ALTERATIONS; all nan
            for a photo of which none were read, and in the columns of sun and weather
    """

    names: tuple[str, ...]
    X: NDArray[np.float64]
    pm25: NDArray[np.float64]
    photos: tuple[LabelledPhoto, ...]
    copies: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def ln_pm25(self) -> NDArray[np.float64]:
        """Learning target (n,) ln(PM2.5 [ug m-3])."""
        return np.log(np.maximum(self.pm25, LOWEST_LABEL))

    @property
    def sessions(self) -> NDArray[np.int64]:
        return numbered(["/".join(photo.visit) for photo in self.photos])

    @property
    def sites(self) -> NDArray[np.int64]:
        return numbered([photo.site for photo in self.photos])

    @property
    def cameras(self) -> list[str | None]:
        return [photo.metadata.camera for photo in self.photos]

    @property
    def with_copies(self) -> NDArray[np.int64]:
        """The rows of which altered copies were read, ascending."""
        return np.flatnonzero(np.isfinite(self.copies).any(axis=(1, 2)))

    def copied_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Complete rows (m, K, F) of the copies of `rows`: sun and weather are the photo's own."""
        around = np.array([name in _AROUND for name in self.names])
        result: NDArray[np.float64] = np.where(
            around, self.X[rows][:, np.newaxis, :], self.copies[rows]
        )
        return result

    def take(self, rows: NDArray[np.int64]) -> TrainingTable:
        """The table of `rows` alone; a row may be named twice."""
        return replace(
            self,
            X=self.X[rows],
            copies=self.copies[rows],
            pm25=self.pm25[rows],
            photos=tuple(self.photos[int(i)] for i in rows),
        )

    def joined(self, other: TrainingTable) -> TrainingTable:
        """These rows, and below them those of `other`, which has the same columns."""
        return TrainingTable(
            self.names,
            np.vstack([self.X, other.X]),
            np.concatenate([self.pm25, other.pm25]),
            self.photos + other.photos,
            np.vstack([self.copies, other.copies]),
        )

    def with_columns(self, names: Sequence[str]) -> TrainingTable:
        """The table of the features `names` alone."""
        position = {name: i for i, name in enumerate(self.names)}
        chosen = [position[name] for name in names]
        return replace(
            self, names=tuple(names), X=self.X[:, chosen], copies=self.copies[:, :, chosen]
        )


def numbered(labels: Sequence[str]) -> NDArray[np.int64]:
    """Equal labels → equal numbers, in alphabetical order."""
    return np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)


def training_table(
    photos: Sequence[LabelledPhoto],
    X_photo: NDArray[np.float64],
    photo_names: Sequence[str],
    photo_copies: NDArray[np.float64] | None = None,
) -> TrainingTable:
    """Join the photo features (n, P) of answered photos with sun and weather.

    photo_copies (n, K, P): those of their altered copies, None where none were read. Photos
    without a label are left out.
    """
    labelled = [i for i, photo in enumerate(photos) if photo.pm25 is not None]
    chosen = tuple(photos[i] for i in labelled)
    meteorology = MeteorologicalFeatureExtractor()
    names = (*SUN_FEATURES, *WEATHER_FEATURES)
    around = as_matrix([meteorology.extract(photo.metadata) for photo in chosen], names)
    copies = np.full((len(chosen), len(ALTERATIONS), len(photo_names) + len(names)), np.nan)
    if photo_copies is not None:
        copies[:, :, : len(photo_names)] = photo_copies[labelled]
    return TrainingTable(
        names=(*photo_names, *names),
        X=np.hstack([X_photo[labelled], around]),
        pm25=np.array([photo.pm25 for photo in chosen], dtype=np.float64),
        photos=chosen,
        copies=copies,
    )


def variant_columns(photo_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The three rows of every score table: which features each may read."""
    return {
        "full": (*photo_names, *SUN_FEATURES, *WEATHER_FEATURES),
        "photo_without_weather": (*photo_names, *SUN_FEATURES),
        WITHOUT_PHOTO: (*SUN_FEATURES, *WEATHER_FEATURES),
    }


def with_weather_withheld(
    table: TrainingTable, weights: NDArray[np.float64], rng: np.random.Generator
) -> tuple[TrainingTable, NDArray[np.float64], NDArray[np.int64]]:
    """Every row that knows weather three times: as it is and with single fields unknown, a quarter
    of its weight each, and with all weather unknown, the other half.

    Weather is known at some sites and not at others. Without this, 'unknown' would mean those
    sites and carry their level. Single fields are dropped at random, one in five. Returns the
    table, its weights (m,), and the original row of each new one (m,).
    """
    columns = np.array([name in WEATHER_FEATURES for name in table.names])
    known = np.flatnonzero(knows_weather(table.X, table.names))
    origin = np.concatenate([np.arange(len(table)), known, known])
    result = table.take(origin)
    X = result.X.copy()
    single, none = np.split(np.arange(len(table), len(origin)), 2)
    # Drawn for the weather alone: no other feature decides which field is dropped.
    dropped = rng.random((len(known), int(columns.sum()))) < 0.2
    X[np.ix_(single, columns)] = np.where(dropped, np.nan, X[np.ix_(single, columns)])
    X[np.ix_(none, columns)] = np.nan
    share = np.ones(len(origin))
    share[known] = share[single] = 0.25
    share[none] = 0.5
    return replace(result, X=X), share * weights[origin], origin
