"""The cost of every feature: whole, shared out, and of functions that exist."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import pytest

from benchmarks.feature_costs import (
    COLUMNS,
    FAMILIES,
    GROUPS,
    SHARED,
    FeatureCosts,
    feature_costs,
    group_of,
    groups_of,
    shared_out,
    write_costs,
)
from tests.landscape import landscape
from training.features_page import feature_costs as read_costs

NAMES = [name for family in FAMILIES for name in family.names]


def test_every_group_has_features_and_every_feature_a_group() -> None:
    assert set(GROUPS) <= {family.name for family in FAMILIES}
    for family in FAMILIES:
        found = {group_of(family, feature) for feature in family.names}
        assert found == set(groups_of(family)), family.name


def test_what_is_shared_out_is_the_time_of_the_family() -> None:
    times = dict.fromkeys(SHARED, 1000.0)
    for k, family in enumerate(FAMILIES):
        times[family.name] = 100.0 * (k + 1)
        for group in groups_of(family):
            times[f"{family.name}/{group.name}"] = 7.0
    costs = shared_out(times)
    for family in FAMILIES:
        rows = [row for row in costs.rows() if row["family"] == family.name]
        assert [row["feature"] for row in rows] == list(family.names)
        total = sum(costs.by_group[family.name, group.name] for group in groups_of(family))
        assert total == pytest.approx(times[family.name])
        assert sum(float(row["cost_us"]) for row in rows) == pytest.approx(total, abs=5)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> FeatureCosts:
    photo = tmp_path_factory.mktemp("photos") / "photo.jpg"
    pixels = landscape(0.3, height=480, width=640)[0]
    photo.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
    return feature_costs([photo], rounds=1)


def test_everything_that_is_timed_takes_time(measured: FeatureCosts) -> None:
    assert set(measured.shared) == set(SHARED)
    assert min(measured.shared.values()) > 0
    # A small group's time is a difference of two larger ones: noise may leave nothing of it.
    assert min(measured.by_group.values()) >= 0
    for family in FAMILIES:
        assert sum(measured.by_group[family.name, g.name] for g in groups_of(family)) > 0
    assert all(name in measured.table() for name in (*GROUPS, *SHARED))


def test_the_page_of_features_reads_what_was_measured(
    measured: FeatureCosts, tmp_path: Path
) -> None:
    write_costs(measured, tmp_path / "costs.csv")
    with (tmp_path / "costs.csv").open(encoding="utf-8", newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    assert list(read_costs(tmp_path / "costs.csv")) == NAMES
