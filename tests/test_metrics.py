"""Every counter is declared once, and counts what happened: in numbers that Prometheus can read."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import defaultdict
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handlers import metrics
from handlers.metrics import INFINITY, METRICS, Metric
from handlers.tally import Tally
from monitoring import metric_files

AMOUNTS = st.floats(0, 1e6)


def reported(tally: Tally) -> dict[tuple[str, ...], float]:
    """What a report emits, by name and labels; each series at most once."""
    found: dict[tuple[str, ...], float] = {}

    def emit(metric: Metric, amount: float, labels: list[str]) -> None:
        series = (metric.name, *labels)
        assert series not in found
        assert len(labels) == len(metric.label_names)
        found[series] = amount

    tally.report(emit)
    return found


# ---- the declaration


def test_the_server_s_file_and_the_page_are_what_the_code_says() -> None:
    told = "run: python -m monitoring.metric_files"
    assert metric_files.SETTINGS.read_text(encoding="utf-8") == metric_files.settings(), told
    page = metric_files.PAGE.read_text(encoding="utf-8")
    assert page == metric_files.page(page), told
    assert page.count("_total` | [") == len(METRICS)


def test_what_torchserve_reads_declares_every_counter_with_its_labels() -> None:
    declared = yaml.safe_load(metric_files.settings())["model_metrics"]
    assert declared.keys() == {"counter"}
    assert {entry["name"]: tuple(entry["dimensions"]) for entry in declared["counter"]} == {
        metric.name: metric.label_names for metric in METRICS
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_and_bounded_as_prometheus_wants_it(metric: Metric) -> None:
    assert metric.name.startswith("pm25_") and metric.name.endswith("_total")
    assert metric.meaning and metric.unit
    assert ("_le_" in metric.name) == bool(metric.bounds)
    assert sorted(set(metric.bounds)) == list(metric.bounds)
    assert all(math.isfinite(bound) and bound > 0 for bound in metric.bounds)


# ---- counting


@given(st.lists(st.tuples(st.sampled_from(metrics.STAGE_TIMES.values), AMOUNTS)))
def test_buckets_are_cumulative_and_count_what_was_added(added: list[tuple[str, float]]) -> None:
    tally = Tally("1.2.3")
    for stage, seconds in added:
        tally.add(metrics.STAGE_TIMES, seconds, stage)
    found = reported(tally)
    bounds = metrics.STAGE_TIMES.bounds
    for stage in metrics.STAGE_TIMES.values:
        row = [found[metrics.STAGE_TIMES.name, "1.2.3", stage, str(bound)] for bound in bounds]
        row.append(found[metrics.STAGE_TIMES.name, "1.2.3", stage, INFINITY])
        times = [seconds for name, seconds in added if name == stage]
        assert row == sorted(row)
        assert row == [sum(t <= bound for t in times) for bound in (*bounds, math.inf)]


@given(st.lists(st.lists(AMOUNTS)))
def test_reports_add_up(batches: list[list[float]]) -> None:
    tally, total = Tally("1.2.3"), defaultdict[Any, float](float)
    for batch in batches:
        for amount in batch:
            tally.add(metrics.ESTIMATES, amount)
            tally.add(metrics.ESTIMATE_SUM, amount)
        for series, amount in reported(tally).items():
            total[series] += amount
    amounts = [amount for batch in batches for amount in batch]
    if batches:
        assert total[metrics.ESTIMATE_SUM.name, "1.2.3"] == pytest.approx(sum(amounts))
        assert total[metrics.ESTIMATES.name, "1.2.3", INFINITY] == len(amounts)
        (first, *_) = metrics.ESTIMATES.bounds
        within = bisect_left(sorted(amounts), math.nextafter(first, math.inf))
        assert total[metrics.ESTIMATES.name, "1.2.3", str(first)] == within


def test_counters_begin_at_zero_and_are_not_repeated() -> None:
    """A series that begins with its first count hides that count from rate()."""
    tally = Tally("1.2.3")
    first = reported(tally)
    assert set(first.values()) == {0.0}
    assert {name for name, *_ in first} == {metric.name for metric in METRICS} - {
        metrics.REFUSALS.name
    }
    assert reported(tally) == {}
    tally.add(metrics.PHOTOS, 1, metrics.ANSWERED)
    assert reported(tally) == {(metrics.PHOTOS.name, "1.2.3", metrics.ANSWERED): 1.0}


def test_what_is_no_amount_is_left_out() -> None:
    tally = Tally("1.2.3")
    reported(tally)
    for amount in (math.nan, -1.0):
        tally.add(metrics.ESTIMATE_SUM, amount)
        tally.add(metrics.ESTIMATES, amount)
    assert reported(tally) == {}


def test_nothing_is_lost_between_threads() -> None:
    tally = Tally("1.2.3")
    total = defaultdict[Any, float](float)

    def add() -> None:
        for _ in range(2000):
            tally.add(metrics.PHOTOS, 1, metrics.ANSWERED)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for series, amount in reported(tally).items():
            total[series] += amount
    for series, amount in reported(tally).items():
        total[series] += amount
    assert total[metrics.PHOTOS.name, "1.2.3", metrics.ANSWERED] == 8000
