"""What a worker keeps of its photos: the counters, and the rows of the prediction log."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from handlers import metrics
from handlers.prediction_log import ANSWER_FIELDS, Prediction
from handlers.prediction_writer import PredictionWriter
from handlers.tally import Emit, Tally, report_in_background
from handlers.trace import EXPLANATION

if TYPE_CHECKING:  # with it would come all models
    from handlers.service import Outcome


class Account:
    """Counts what becomes of each photo, and has each answer logged."""

    def __init__(self, tally: Tally, writer: PredictionWriter | None) -> None:
        self.tally = tally
        self.writer = writer

    @classmethod
    def opened(cls, version: str, emit: Emit) -> Account:
        """The account of a worker of `version`, as its environment says, until the process ends.

        Raises PredictionLogError invalid_setting.
        """
        tally = Tally(version)
        writer = PredictionWriter.of_environment(tally)
        report_in_background(tally, emit)
        if writer is not None:
            atexit.register(writer.close)  # runs before the last report: last in, first out
        if threading.current_thread() is threading.main_thread():
            # As Python's own answer to it, but by way of what is registered above.
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        return cls(tally, writer)

    def record(self, outcome: Outcome, request_id: str | None) -> None:
        """Count one photo; of an answered one, write down what it was answered."""
        add = self.tally.add
        if outcome.answer is None:
            failed = outcome.status >= 500
            add(metrics.PHOTOS, 1, metrics.FAILED if failed else metrics.REFUSED)
            add(metrics.REFUSALS, 1, outcome.code)
            return
        add(metrics.PHOTOS, 1, metrics.ANSWERED)
        stages = outcome.trace.seconds
        total = outcome.seconds - stages.get(EXPLANATION, 0.0)
        for stage, seconds in {**stages, metrics.TOTAL: total}.items():
            add(metrics.STAGE_TIMES, seconds, stage)
            add(metrics.STAGE_SECONDS, seconds, stage)
        estimate, uncertainty = outcome.answer["pm25_estimate"], outcome.answer["uncertainty"]
        add(metrics.ESTIMATES, estimate)
        add(metrics.ESTIMATE_SUM, estimate)
        add(metrics.UNCERTAINTIES, uncertainty)
        add(metrics.UNCERTAINTY_SUM, uncertainty)
        if self.writer is not None:
            now = datetime.now(UTC)
            kept = {k: value for k, value in outcome.answer.items() if k in ANSWER_FIELDS}
            self.writer.put(Prediction(now, request_id, total, kept, outcome.trace))
