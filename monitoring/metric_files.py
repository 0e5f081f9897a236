"""The files that are written from the one declaration of the metrics, `handlers/metrics.py`.

python -m monitoring.metric_files    # a test holds them equal to the code

infra/torchserve/metrics.yaml    what TorchServe passes on; it drops the rest in silence
docs/how-to/operate-a-server.md  the table for people, between two marks
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from handlers.metrics import INFINITY, METRICS, Metric

_ROOT = Path(__file__).resolve().parent.parent
SETTINGS = _ROOT / "infra" / "torchserve" / "metrics.yaml"
PAGE = _ROOT / "docs" / "how-to" / "operate-a-server.md"
BEGIN, END = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"
# TorchServe's own, with its own names for units and labels.
_OF_THE_SERVER = """\
# What /metrics shows; a metric that is not declared here is dropped in silence.
# Written by `python -m monitoring.metric_files` from handlers/metrics.py; a test holds them equal.

ts_metrics:
  counter:
    - {name: Requests2XX, unit: Count, dimensions: [Level, Hostname]}
    - {name: Requests4XX, unit: Count, dimensions: [Level, Hostname]}
    - {name: Requests5XX, unit: Count, dimensions: [Level, Hostname]}
    - {name: ts_inference_requests_total, unit: Count, dimensions: [model_name, model_version, hostname]}
    - {name: ts_inference_latency_microseconds, unit: Microseconds, dimensions: [model_name, model_version, hostname]}
    - {name: ts_queue_latency_microseconds, unit: Microseconds, dimensions: [model_name, model_version, hostname]}
  gauge:
    - {name: QueueTime, unit: Milliseconds, dimensions: [Level, Hostname]}
    - {name: WorkerThreadTime, unit: Milliseconds, dimensions: [Level, Hostname]}
    - {name: WorkerLoadTime, unit: Milliseconds, dimensions: [WorkerName, Level, Hostname]}

model_metrics:
  counter:
"""  # noqa: E501


def settings() -> str:
    """infra/torchserve/metrics.yaml. TorchServe adds `Hostname` to the labels of our metrics."""
    return _OF_THE_SERVER + "".join(
        f"    - {{name: {metric.name}, unit: {metric.unit}, "
        f"dimensions: [{', '.join(metric.label_names)}]}}\n"
        for metric in METRICS
    )


def table() -> str:
    """The metrics as a table in Markdown."""
    return "\n".join(
        [
            "| metric | unit | labels | counts |",
            "|---|---|---|---|",
            *(
                f"| `{metric.name}` | [{metric.unit}] | {', '.join(_labels(metric))} "
                f"| {metric.meaning} |"
                for metric in METRICS
            ),
            "",
        ]
    )


def page(text: str) -> str:
    """The page `text` with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def _labels(metric: Metric) -> Iterator[str]:
    yield "`version`"
    if metric.label:
        values = " ".join(metric.values)
        yield f"`{metric.label}`" + (f" ({values})" if values else "")
    if metric.bounds:
        yield f"`le` ({' '.join(f'{bound:g}' for bound in metric.bounds)} {INFINITY})"


if __name__ == "__main__":
    SETTINGS.write_text(settings(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
