"""The archive's entry for TorchServe, and the only file that knows its context.

TorchServe calls `handle(None, context)` once when a worker starts, then `handle(rows, context)`
for every batch. A module-level function on purpose: with a class, a second class anywhere in this
module would make the worker crash in a loop.
"""

from __future__ import annotations

from handlers.serving_set import leave_out_training_libraries

leave_out_training_libraries()

import logging  # noqa: E402  (xgboost and lightgbm must not meet scikit-learn, see serving_set)
from collections.abc import Mapping, Sequence  # noqa: E402
from functools import cache  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import cv2  # noqa: E402
import torch  # noqa: E402

from features.errors import PM25Error  # noqa: E402
from handlers.predictor import Predictor  # noqa: E402
from handlers.service import ANSWERED, Outcome, description, reply  # noqa: E402

# Counters and their label beside `version`, as infra/torchserve/metrics.yaml declares them.
COUNTERS = {
    "pm25_photos_total": ("count", "outcome"),
    "pm25_processing_le_total": ("count", "le"),
    "pm25_stage_seconds_total": ("s", "stage"),
}
# Bounds of the counted processing times [s]; TorchServe's own histograms cannot be set.
PROCESSING_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


def handle(rows: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
    """Answer a batch: one JSON document for each row, status and media type set beside it.

    rows     one mapping of part names to values for each request; None when the worker starts
    context  ts.context.Context
    """
    predictor = _predictor(context.system_properties["model_dir"])
    if rows is None:
        _declare_counters(context.metrics)
        return None
    return [_answer_row(predictor, row, context, index) for index, row in enumerate(rows)]


@cache
def _predictor(model_dir: str) -> Predictor:
    """The archive's predictor, loaded once. One thread each: workers share the machine's cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        return Predictor.load(Path(model_dir) / "artifact")
    except PM25Error as error:
        logging.error("archive_refused %s: %s %s", error.code, error.detail, error.how_to_fix)
        raise


def _answer_row(predictor: Predictor, row: Mapping[str, Any], context: Any, index: int) -> bytes:
    headers = {
        name.lower(): value
        for name, value in context.get_all_request_header(index).items()
        if isinstance(value, str)  # beside the headers stand the parts' own, as mappings
    }
    request_id = context.get_request_id(index)
    if headers.get("describe", "").lower() == "true" and not any(row.values()):
        answered = description(predictor)
    else:
        content_type = headers.get("content-type", "").lower()
        # TorchServe's /explanations shares its batches with /predictions, and says so in a header.
        explain = headers.get("explain", "").lower() == "true"
        answered = reply(
            predictor, row, content_type=content_type, request_id=request_id, explain=explain
        )
    context.set_response_status(answered.status, idx=index)
    context.set_response_content_type(index, answered.media_type)
    for outcome in answered.outcomes:
        _count(outcome, predictor.manifest.version, context, index)
    return answered.body


def _declare_counters(metrics: Any) -> None:
    """Declare what the server's metrics file leaves out: a counter must never fail an answer."""
    declared = metrics.cache_keys()
    for name, (unit, label) in COUNTERS.items():
        if f"counter:{name}" not in declared:
            metrics.add_metric_to_cache(name, unit, ["version", label])


def _count(outcome: Outcome, version: str, context: Any, index: int) -> None:
    """Emit the counters of one photo."""
    request_id = context.get_request_id(index)

    def add(metric: str, value: float, label: str) -> None:
        context.metrics.get_metric(metric).add_or_update(value, [version, label], request_id)

    add("pm25_photos_total", 1, outcome.code)
    if outcome.code != ANSWERED:
        return
    for bound in PROCESSING_BOUNDS:
        if outcome.seconds <= bound:
            add("pm25_processing_le_total", 1, str(bound))
    add("pm25_processing_le_total", 1, "+Inf")
    add("pm25_stage_seconds_total", outcome.seconds, "all")
    for stage, seconds in outcome.stages.items():
        add("pm25_stage_seconds_total", seconds, stage)
