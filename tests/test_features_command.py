"""`pm25 features`: extract, look, compare; what it prints can be read by a program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.extractor import ScientificFeatureExtractor
from tests.test_cli import Pm25
from tests.test_cli import pm25 as pm25
from training.dataset import DataSet, LabelledPhoto, read_dataset
from training.extraction import made_by, photo_key
from training.feature_store import FeatureStore
from training.photo_reading import Reading
from training.run import STORE


@pytest.fixture
def data(tmp_path: Path, rendered: DataSet) -> Path:
    """Four photos of `rendered` as a data set of their own."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = (rendered.folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    (folder / "labels.csv").write_text("\n".join(lines[:5]) + "\n", encoding="utf-8")
    shutil.copy(rendered.folder / "dataset.toml", folder)
    for row in rendered.rows[:4]:
        (folder / row.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(row.path, folder / row.file)
    return folder


def test_photos_are_read_once(pm25: Pm25, data: Path, tmp_path: Path) -> None:
    options = ("--data", data, "--jobs", 1, "--json")
    status, printed, told = pm25("features", "extract", *options)
    assert status == 0
    counts = {"photos": 4, "known": 0, "carried": 0, "read": 4, "refused_by_reason": {}}
    assert json.loads(printed) == counts
    assert "4/4" in told
    assert (tmp_path / STORE).is_file()
    status, printed, _ = pm25("features", "extract", *options, "--copies")
    counts = json.loads(printed)
    assert (status, counts["known"], counts["read"], counts["copied"] > 0) == (0, 4, 0, True)


def test_the_store_tells_what_it_holds(pm25: Pm25, data: Path) -> None:
    pm25("features", "extract", "--data", data, "--jobs", 1)
    status, printed, _ = pm25("features", "show", "--json")
    summary = json.loads(printed)
    (of_set,) = summary["feature_sets"]
    (readings,) = of_set["readings"]
    assert (status, summary["n_readings"], readings["n_readings"]) == (0, 4, 4)
    assert summary["bytes"] > 4 * 352 * 8
    assert of_set["current"]
    extractor = ScientificFeatureExtractor()
    assert [(f["family"], f["n_features"]) for f in of_set["families"]] == [
        (family.name, len(family.features)) for family in extractor.families
    ]
    assert summary["provenances"][0]["extractor"] == "ScientificFeatureExtractor"
    assert "4 readings" in pm25("features", "show")[1]


def test_the_latest_come_first_and_by_name(pm25: Pm25, data: Path) -> None:
    pm25("features", "extract", "--data", data, "--jobs", 1)
    status, printed, _ = pm25("features", "latest", "--count", 3)
    lines = [json.loads(line) for line in printed.splitlines()]
    assert (status, len(lines)) == (0, 3)
    rows = read_dataset(data).rows
    assert [line["sha256"] for line in lines] == [row.sha256 for row in rows[:0:-1]]
    assert tuple(lines[0]["features"]) == ScientificFeatureExtractor().names


def test_parity_passes_until_a_value_moves(pm25: Pm25, data: Path) -> None:
    pm25("features", "extract", "--data", data, "--jobs", 1)
    status, printed, _ = pm25("features", "parity", "--data", data, "--tolerance", 0)
    assert (status, printed) == (0, "4 of 4 stored photos read again: no difference.\n")
    row = read_dataset(data).rows[1]
    name = ScientificFeatureExtractor().names[100]
    move(row, name)
    status, printed, _ = pm25("features", "parity", "--data", data, "--json")
    found: dict[str, Any] = json.loads(printed)
    assert status == 1
    assert found["checked"] == 4
    (difference,) = found["differences"]
    assert (difference["file"], difference["feature"]) == (row.file, name)
    assert difference["stored"] == pytest.approx(difference["recomputed"] + 1.0)


def move(row: LabelledPhoto, name: str) -> None:
    """Add 1 to one stored value."""
    extractor = ScientificFeatureExtractor()
    with FeatureStore(STORE) as store:
        values = store.get_many([photo_key(row)], extractor.feature_set)[photo_key(row)].values
        assert values is not None
        moved = values + np.array([float(name == other) for other in extractor.names])
        store.put({photo_key(row): Reading(moved)}, extractor.feature_set, made_by(extractor))


def test_what_is_not_there_is_said(pm25: Pm25, data: Path, tmp_path: Path) -> None:
    for command in (("show",), ("latest",), ("parity", "--data", data)):
        status, _, told = pm25("features", *command)
        assert (status, "pm25 features extract" in told) == (2, True)
    assert not (tmp_path / STORE).exists()
    FeatureStore(STORE).close()
    status, _, told = pm25("features", "parity", "--data", data)
    assert (status, "holds none of these photos" in told) == (2, True)


def test_a_scheduler_that_is_not_there_is_an_error(pm25: Pm25, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    address = "nowhere"  # no address: one that nobody listens at is waited for
    status, _, told = pm25("features", "extract", "--data", data, "--scheduler", address)
    assert (status, address in told, "dask scheduler" in told) == (2, True, True)
    assert not (tmp_path / STORE).exists()
