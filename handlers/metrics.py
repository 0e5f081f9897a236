"""What a server tells Prometheus of its photos: every counter, declared once.

`infra/torchserve/metrics.yaml` and the table in docs/how-to/operate-a-server.md are written from
`METRICS` (`python -m monitoring.metric_files`); TorchServe drops what its file does not declare.
Its histograms cannot be given buckets, so a distribution is a counter with a label `le`: it counts
values ≤ `le`, for each bound and for +Inf, and stands beside the sum of the values.

Labels have few values, and none comes from a request: versions, the codes of our own errors, the
names of stages, our own bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.trace import EXPLANATION, STAGES

INFINITY = "+Inf"
ANSWERED, REFUSED, FAILED = "answered", "refused", "failed"
TOTAL = "total"
# Why the prediction log cannot be written.
LOG_REASONS = LOCKED, DISK_FULL, READ_ONLY, NO_FOLDER, DAMAGED, IO_ERROR, OTHER = (
    *("locked", "disk_full", "read_only", "no_folder"),
    *("damaged", "io_error", "other"),
)


@dataclass(frozen=True)
class Metric:
    """One counter, by `version` of the archive that answered.

    label   what it is counted by besides; empty: by nothing
    values  those of `label`, where they are known beforehand: their counts begin at 0
    bounds  ascending, in `unit`: of a distribution
    """

    name: str
    unit: str
    meaning: str
    label: str = ""
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """All labels, in the order in which a server is given their values."""
        return ("version", *filter(None, [self.label]), *(("le",) if self.bounds else ()))


PHOTOS = Metric(
    "pm25_photos_total",
    "count",
    "photos by what became of them: answered, refused (4xx) or failed (5xx); a request that "
    "cannot be read counts as one",
    "outcome",
    (ANSWERED, REFUSED, FAILED),
)
REFUSALS = Metric(
    "pm25_refusals_total",
    "count",
    "photos that were refused or failed, by the `code` of their problem",
    "reason",
)
STAGE_TIMES = Metric(
    "pm25_stage_le_total",
    "s",
    "answered photos by the time in each stage, which is part of no other; "
    "`total` goes from bytes to answer, without an explanation",
    "stage",
    (*STAGES, EXPLANATION, TOTAL),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
STAGE_SECONDS = Metric(
    "pm25_stage_seconds_total", "s", "the sum of those times", "stage", STAGE_TIMES.values
)
ESTIMATES = Metric(
    "pm25_estimate_le_total",
    "ug_m3",
    "answered photos by estimate; among the bounds are those of the US categories",
    bounds=(5.0, 9.0, 15.0, 25.0, 35.4, 55.4, 75.0, 100.0, 125.4, 150.0, 225.4, 325.4, 500.0),
)
ESTIMATE_SUM = Metric("pm25_estimate_sum_total", "ug_m3", "the sum of the estimates")
UNCERTAINTIES = Metric(
    "pm25_uncertainty_le_total",
    "ug_m3",
    "answered photos by `uncertainty`",
    bounds=(1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 200.0),
)
UNCERTAINTY_SUM = Metric("pm25_uncertainty_sum_total", "ug_m3", "the sum of the uncertainties")
LOG_ROWS = Metric(
    "pm25_prediction_log_rows_total", "count", "answers that the prediction log holds"
)
LOG_DROPPED = Metric(
    "pm25_prediction_log_dropped_total",
    "count",
    "answers that it will never hold, because it failed for longer than its queue reaches",
)
LOG_FAILURES = Metric(
    "pm25_prediction_log_failures_total",
    "count",
    "failed attempts to write it: at a worker's start and with an answer, then about one a second "
    "until one succeeds",
    "reason",
    LOG_REASONS,
)

METRICS = (
    *(PHOTOS, REFUSALS, STAGE_TIMES, STAGE_SECONDS),
    *(ESTIMATES, ESTIMATE_SUM, UNCERTAINTIES, UNCERTAINTY_SUM),
    *(LOG_ROWS, LOG_DROPPED, LOG_FAILURES),
)
