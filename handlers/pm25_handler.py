"""The archive's entry for TorchServe, and the only file that knows its context.

TorchServe calls `handle(None, context)` once when a worker starts, then `handle(rows, context)`
for every batch. A module-level function on purpose: with a class, a second class anywhere in this
module would make the worker crash in a loop.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import torch

from features.errors import PM25Error
from handlers.account import Account
from handlers.metrics import METRICS, Metric
from handlers.predictor import Predictor
from handlers.service import description, reply


def handle(rows: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
    """Answer a batch: one JSON document for each row, status and media type set beside it.

    rows     one mapping of part names to values for each request; None when the worker starts
    context  ts.context.Context
    """
    predictor, account = _loaded(context.system_properties["model_dir"], context.metrics)
    if rows is None:
        return None
    return [_answer_row(predictor, account, row, context, i) for i, row in enumerate(rows)]


@cache
def _loaded(model_dir: str, counters: Any) -> tuple[Predictor, Account]:
    """The archive's predictor, and its account; once. One thread: workers share the cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        predictor = Predictor.load(Path(model_dir) / "artifact")
        return predictor, _open_account(predictor.manifest.version, counters)
    except PM25Error as error:
        logging.error("archive_refused %s: %s %s", error.code, error.detail, error.how_to_fix)
        raise


def _answer_row(
    predictor: Predictor, account: Account, row: Mapping[str, Any], context: Any, index: int
) -> bytes:
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
        account.record(outcome, request_id)
    return answered.body


def _open_account(version: str, counters: Any) -> Account:
    """Counters and prediction log of this worker.

    counters  ts.metrics.metric_cache_yaml_impl.MetricsCacheYamlImpl
    """
    declared = counters.cache_keys()
    for metric in METRICS:  # what the server's metrics file leaves out must never fail an answer
        if f"counter:{metric.name}" not in declared:
            counters.add_metric_to_cache(metric.name, metric.unit, list(metric.label_names))

    def emit(metric: Metric, amount: float, labels: list[str]) -> None:
        counters.get_metric(metric.name).add_or_update(amount, labels)

    return Account.opened(version, emit)
