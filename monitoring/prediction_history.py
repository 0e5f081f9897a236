"""Reading the prediction log: what was answered lately, as drift is judged from it.

Readers neither lock the log nor wait for its writers.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from handlers.metrics import TOTAL
from handlers.prediction_log import FEATURE_VALUES, PredictionLogError
from handlers.trace import STAGES

_UNCHANGED = (
    *("model_version", "request_id", "pm25_estimate", "lower", "upper", "epistemic", "aleatoric"),
    *("quality_score", "applicability", "camera", "lat", "lon"),
)


@dataclass(frozen=True, eq=False)
class LoggedPrediction:
    """One row. Columns as in the table `predictions` (handlers/prediction_log.py).

    pm25_estimate, lower, upper (of the 90 % interval), epistemic, aleatoric [ug m-3];
    lat, lon [deg] rounded to 0.1°; seconds [s] by stage, and `total`;
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
    issues: tuple[str, ...]
    applicability: float
    warnings: tuple[str, ...]
    camera: str | None
    lat: float | None
    lon: float | None
    seconds: dict[str, float]
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
                "Name the file: PM25_PREDICTION_LOG=…; a server makes it with its first answer.",
            )
        with self._naming_the_file():
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            self._connection.row_factory = sqlite3.Row

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
            rows = self._connection.execute(f"SELECT * FROM predictions {clauses}", values)
            found = rows.fetchall()
            sets = {
                number: (feature_set, tuple(json.loads(names)))
                for number, feature_set, names in self._connection.execute(
                    "SELECT id, feature_set, names FROM feature_sets"
                )
            }
        return [_prediction(row, *sets[row["feature_set_id"]]) for row in found]

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


def _prediction(row: Any, feature_set: str, names: tuple[str, ...]) -> LoggedPrediction:
    same = {name: row[name] for name in _UNCHANGED}
    return LoggedPrediction(
        answered_at=datetime.fromisoformat(row["answered_at"]),
        issues=tuple(json.loads(row["issues"])),
        warnings=tuple(json.loads(row["warnings"])),
        seconds={stage: row[f"{stage}_us"] / 1e6 for stage in (*STAGES, TOTAL)},
        feature_set=feature_set,
        feature_names=names,
        features=np.frombuffer(row["feature_values"], FEATURE_VALUES),
        **same,
    )
