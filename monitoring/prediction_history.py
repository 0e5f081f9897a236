"""Reading the prediction log: what was answered lately, as drift is judged from it.

Readers neither lock the log nor wait for its writers.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from handlers.metrics import TOTAL
from handlers.prediction_log import FEATURE_VALUES, PredictionLogError
from handlers.trace import STAGES

_UNCHANGED = (
    *("model_version", "request_id", "pm25_estimate", "lower", "upper", "epistemic", "aleatoric"),
    *("quality_score", "applicability", "camera", "lat", "lon"),
)
_TIMES = tuple(f"{stage}_us" for stage in (*STAGES, TOTAL))
# By position: to look each up by its name would take as long as all the rest.
_SELECT = (
    f"SELECT answered_at, {', '.join((*_UNCHANGED, *_TIMES))}, issues, warnings, feature_set_id, "
    "feature_values FROM predictions"
)


class LoggedPrediction(NamedTuple):
    """One row. Columns as in the table `predictions` (handlers/prediction_log.py).

    pm25_estimate, lower, upper (of the 90 % interval), epistemic, aleatoric [ug m-3];
    lat, lon [deg] rounded to 0.1°; times_us [µs] in the order of STAGES, and the total;
    features (F,) float32 in the order of feature_names, nan where the photo defined none
    """

    answered_at: datetime
    model_version: str
    request_id: str | None
    pm25_estimate: float
    lower: float
    upper: float
    epistemic: float
    aleatoric: float
    quality_score: float
    applicability: float
    camera: str | None
    lat: float | None
    lon: float | None
    issues: tuple[str, ...]
    warnings: tuple[str, ...]
    times_us: tuple[int, ...]
    feature_set: str
    feature_names: tuple[str, ...]
    features: NDArray[np.float32]


class PredictionHistory:
    """The rows of the log in the file `path`. Raises PredictionLogError: no_log, log_unusable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise PredictionLogError(
                "no_log",
                f"{path} is no prediction log.",
                "Name the file: PM25_PREDICTION_LOG=…; a server makes it when it starts.",
            )
        with self._naming_the_file():
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)

    def last(self, n: int, *, model_version: str | None = None) -> list[LoggedPrediction]:
        """The last `n` answers that were written, newest first; of one version, or of all."""
        condition = "" if model_version is None else "WHERE model_version = :version"
        return self._select(f"{condition} ORDER BY id DESC LIMIT :n", n=n, version=model_version)

    def between(self, start: datetime, end: datetime) -> list[LoggedPrediction]:
        """What was answered from `start` on and before `end`, oldest first."""
        limits = (time.astimezone(UTC).isoformat(timespec="milliseconds") for time in (start, end))
        return self._select(
            "WHERE answered_at >= :start AND answered_at < :end ORDER BY answered_at",
            **dict(zip(("start", "end"), limits, strict=True)),
        )

    def count(self) -> int:
        """How many rows there are."""
        with self._naming_the_file():
            ((n,),) = self._connection.execute("SELECT count(*) FROM predictions")
        return int(n)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _select(self, clauses: str, **values: object) -> list[LoggedPrediction]:
        with self._naming_the_file():
            found = self._connection.execute(f"{_SELECT} {clauses}", values).fetchall()
            sets = {
                number: (feature_set, tuple(json.loads(names)))
                for number, feature_set, names in self._connection.execute(
                    "SELECT id, feature_set, names FROM feature_sets"
                )
            }
        return [_prediction(row, sets) for row in found]

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """SQLite's errors as ours: which file, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise PredictionLogError(
                "log_unusable",
                f"{self.path} cannot be read as a prediction log: {error}.",
                "Check the file and its permissions; a damaged one may be moved away, and a "
                "server begins another.",
            ) from error


def _prediction(
    row: tuple[Any, ...], sets: Mapping[int, tuple[str, tuple[str, ...]]]
) -> LoggedPrediction:
    time, *same, issues, warnings, feature_set_id, values = row
    return LoggedPrediction._make(
        (
            datetime.fromisoformat(time),
            *same[: len(_UNCHANGED)],
            _codes(issues),
            _codes(warnings),
            tuple(same[len(_UNCHANGED) :]),
            *sets[feature_set_id],
            np.frombuffer(values, FEATURE_VALUES),
        )
    )


@lru_cache(maxsize=1000)
def _codes(text: str) -> tuple[str, ...]:
    """The codes of one row; most rows have the same few."""
    return tuple(json.loads(text))
