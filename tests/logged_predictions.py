"""Answers to be written down, without a model; and the counts of those who write them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from features.metadata import PhotoMetadata
from handlers.metrics import Metric
from handlers.prediction_log import Prediction, PredictionLog
from handlers.tally import Tally
from handlers.trace import STAGES, Trace

FEATURES = {"dark_channel": 0.25, "sun_elevation_deg": float("nan"), "haze": 1e-3}
MORNING = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def prediction(
    number: int = 0,
    *,
    answered_at: datetime | None = None,
    version: str = "1.2.3",
    metadata: PhotoMetadata | None = None,
    estimate: float = 40.0,
) -> Prediction:
    """What a worker would write down of one answer."""
    answer = {
        "pm25_estimate": estimate,
        "uncertainty": 5.0,
        "uncertainty_parts": {"epistemic": 3.0, "aleatoric": 4.0},
        "interval": {"level": 0.9, "lower": 20.0, "upper": 60.0},
        "quality": {"is_valid": True, "quality_score": 0.9, "issues": [{"code": "blurred"}]},
        "applicability": {"score": 0.8, "warnings": [{"code": "unknown_sun"}]},
        "model_version": version,
        "feature_set": "f" * 64,
    }
    trace = Trace(dict.fromkeys(STAGES, 0.002), FEATURES, metadata or PhotoMetadata())
    return Prediction(answered_at or datetime.now(UTC), f"r-{number}", 0.0123, answer, trace)


def rows(path: Path) -> int:
    """How many rows the file at `path` holds, once it has proved to be whole."""
    with PredictionLog(path, patience=10) as log:
        ((verdict,),) = log.connection.execute("PRAGMA integrity_check")
        assert verdict == "ok"
        ((count,),) = log.connection.execute("SELECT count(*) FROM predictions")
    return int(count)


class Counts(Counter[str]):
    """What was counted so far, by metric and label."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def read(self) -> Counts:
        """These counts, with what was added meanwhile."""
        self._tally.report(self._add)
        return self

    def _add(self, metric: Metric, amount: float, labels: list[str]) -> None:
        name = metric.name.removeprefix("pm25_prediction_log_").removesuffix("_total")
        self[" ".join([name, *labels[1:]])] += int(amount)
