"""Versions of data sets in both kinds of store: registered, listed, compared, verified, pulled."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from features.errors import DataSetError, DataStoreError
from tests.data_stores import *  # noqa: F403
from tests.data_stores import CARD, cells, manager_of, objects_at, overwrite, write_set
from training.data_versions.manager import VisionDatasetManager
from training.data_versions.manifest import DatasetVersion
from training.data_versions.object_store import object_key
from training.data_versions.store_address import store_at
from training.dataset import dataset_hash, read_dataset
from training.datasets_db import DatasetsDatabase

FIRST, SECOND = DatasetVersion("hills", "1.0.0"), DatasetVersion("hills", "1.1.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", [cells(number) for number in range(12)])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "datasets.db"


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_registered_is_what_is_pulled(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    with manager_of(address, database) as manager:
        registered = manager.register(folder, FIRST)
        assert (registered.created, registered.uploaded) == (True, 14)
        assert manager.pull(FIRST, tmp_path / "pulled") == 14
        assert manager.pull(FIRST, tmp_path / "pulled") == 0
    pulled, original = read_dataset(tmp_path / "pulled"), read_dataset(folder)
    assert dataset_hash([pulled]) == dataset_hash([original]) == registered.manifest.dataset_hash
    for name in ("labels.csv", "dataset.toml"):
        assert (tmp_path / "pulled" / name).read_bytes() == (folder / name).read_bytes()


def test_a_version_says_what_it_holds_and_where_it_comes_from(
    address: str, tmp_path: Path, database: Path
) -> None:
    rows = [cells(n) for n in range(5)] + [cells(5, pm25="", pm25_quality=""), cells(6, camera="x")]
    with manager_of(address, database) as manager:
        manager.register(write_set(tmp_path / "set", rows), FIRST)
        manifest = manager.manifest(FIRST)
    assert manifest.counts == {
        "photos": 7,
        "labelled": 6,
        "sites": 3,
        "cameras": 1,
        "sessions": 4,
        "bytes": sum(path.stat().st_size for path in (tmp_path / "set").rglob("*.*")),
    }
    assert manifest.labels["by_quality"] == {"A": 6}
    assert manifest.labels["min"] == 10.5
    assert manifest.labels["median"] == 13.0
    assert manifest.labels["max"] == 16.5
    assert (manifest.title, manifest.licence, manifest.min_side) == ("Two hills", "CC0", 300)
    assert manifest.parent is None


def test_only_what_is_new_is_uploaded(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    rows = [cells(number) for number in range(13)]
    grown = write_set(tmp_path / "grown", [*rows[:4], cells(4, pm25="99"), *rows[5:]])
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        before = objects_at(address)
        second = manager.register(grown, SECOND)
    assert second.uploaded == 2  # one photo, and labels.csv
    assert second.manifest.parent == "hills@1.0.0"
    after = objects_at(address)
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + 3


def test_a_version_never_changes(address: str, folder: Path, database: Path) -> None:
    with manager_of(address, database) as manager:
        first = manager.register(folder, FIRST)
        before = objects_at(address)
        again = manager.register(folder, FIRST)
        assert (again.created, again.uploaded) == (False, 0)
        assert again.manifest == first.manifest
        write_set(folder, [cells(number, pm25="3") for number in range(12)])
        with pytest.raises(DataSetError, match="holds something else") as caught:
            manager.register(folder, FIRST)
    assert caught.value.code == "version_taken"
    assert objects_at(address) == before


def test_the_order_of_rows_makes_no_other_version(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    turned = write_set(tmp_path / "turned", [cells(number) for number in reversed(range(12))])
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        assert not manager.register(turned, FIRST).created


def test_what_others_registered_is_listed_and_a_lost_database_is_made_again(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    with manager_of(address, database) as manager:
        manager.register(folder, DatasetVersion("hills", "1.10.0"))
        manager.register(folder, DatasetVersion("hills", "1.9.0-rc.1"))
        listed = manager.list()
    with manager_of(address, tmp_path / "elsewhere.db") as other:
        assert other.list() == listed
    assert [row["version"] for row in listed] == ["1.9.0-rc.1", "1.10.0"]
    assert listed[0]["n_photos"] == 12
    assert listed[0]["pm25_mean"] == pytest.approx(16.0)


def test_differences_are_told_by_photo(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    rows = [cells(number) for number in range(1, 13)]  # 0 leaves, 12 comes
    rows[1]["pm25"] = "3.5"
    rows[2]["relative_humidity_pct"] = "70"
    rows[3]["file"] = "images/renamed.jpg"
    content = {"images/renamed.jpg": b"images/4.jpg" * 3000}
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        manager.register(write_set(tmp_path / "next", rows, content), SECOND)
        found = manager.diff(FIRST, SECOND)
        back = manager.diff(SECOND, FIRST)
        assert manager.diff(FIRST, FIRST).to_json() == {
            name: [] for name in ("added", "removed", "relabelled", "redescribed")
        }
    assert found.added == back.removed == ("images/12.jpg",)
    assert found.removed == back.added == ("images/0.jpg",)
    assert [(c.file, c.cells) for c in found.relabelled] == [
        ("images/2.jpg", {"pm25": ("12.5", "3.5")})
    ]
    assert [(c.file, c.cells) for c in found.redescribed] == [
        ("images/3.jpg", {"relative_humidity_pct": ("", "70")}),
        ("images/renamed.jpg", {"file": ("images/4.jpg", "images/renamed.jpg")}),
    ]


def test_damage_is_found_and_repaired_from_a_folder(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    photos = [folder / "images" / f"{number}.jpg" for number in (3, 7)]
    rotten, gone = (object_key(hash_of(photo)) for photo in photos)
    flipped = bytearray(photos[0].read_bytes())
    flipped[1000] ^= 1
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        assert manager.verify(FIRST).damaged == ()
        overwrite(address, rotten, bytes(flipped))
        overwrite(address, gone, None)
        damaged = manager.verify(FIRST).damaged
        assert [(one.path, one.what) for one in damaged] == [
            ("images/3.jpg", "other bytes"),
            ("images/7.jpg", "missing"),
        ]
        with pytest.raises(DataStoreError) as caught:
            manager.pull(FIRST, tmp_path / "pulled")
        assert caught.value.code in ("object_damaged", "object_missing")
        assert not (tmp_path / "pulled" / "labels.csv").exists()
        assert manager.verify(FIRST, repair_from=folder).damaged == ()
        assert manager.verify(FIRST).damaged == ()
        manager.pull(FIRST, tmp_path / "pulled")


def test_an_altered_manifest_is_found(address: str, folder: Path, database: Path) -> None:
    with manager_of(address, database) as manager:
        registered = manager.register(folder, FIRST)
        content = json.loads(registered.manifest.to_bytes())
        content["licence"] = "mine"
        overwrite(address, FIRST.key, json.dumps(content).encode())
        assert [one.path for one in manager.verify(FIRST).damaged] == [FIRST.key]


def test_a_manifest_cannot_lead_out_of_the_folder(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    with manager_of(address, database) as manager:
        content = json.loads(manager.register(folder, FIRST).manifest.to_bytes())
        content["files"]["../escaped.jpg"] = content["files"].pop("images/3.jpg")
        overwrite(address, FIRST.key, json.dumps(content).encode())
        with pytest.raises(DataStoreError, match="not a manifest"):
            manager.pull(FIRST, tmp_path / "pulled")
    assert not (tmp_path / "escaped.jpg").exists()


def test_a_pull_overwrites_nothing_of_anybodys(
    address: str, folder: Path, database: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "pulled" / "images" / "3.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my own")
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        with pytest.raises(DataSetError, match="not the file"):
            manager.pull(FIRST, tmp_path / "pulled")
    assert mine.read_bytes() == b"my own"


def test_a_folder_that_breaks_its_contract_leaves_nothing(
    address: str, folder: Path, database: Path
) -> None:
    write_set(folder, [cells(0), cells(1, pm25="-1")])
    with manager_of(address, database) as manager:
        with pytest.raises(DataSetError, match="-1"):
            manager.register(folder, FIRST)
        assert not manager.list()
    assert not objects_at(address)


def test_a_photo_that_changes_after_its_hash_was_taken_is_refused(
    address: str, folder: Path, database: Path
) -> None:
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
    photo = folder / "images" / "5.jpg"
    key = object_key(hash_of(photo))
    overwrite(address, key, None)
    with photo.open("r+b") as file:  # same size, time and inode: the remembered hash is wrong
        file.write(b"?")
    os.utime(photo, (1_700_000_000, 1_700_000_000))
    with manager_of(address, database) as manager:
        with pytest.raises(DataStoreError) as caught:
            manager.register(folder, SECOND)
        assert caught.value.code == "file_changed"
        assert [row["version"] for row in manager.list()] == ["1.0.0"]


def test_an_unknown_version_or_parent_is_named_with_those_that_exist(
    address: str, folder: Path, database: Path
) -> None:
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        with pytest.raises(DataSetError, match=r"hills@1\.0\.0") as caught:
            manager.manifest(SECOND)
        assert caught.value.code == "no_version"
        with pytest.raises(DataSetError, match=r"hills@1\.0\.0") as caught:
            manager.register(folder, SECOND, parent=DatasetVersion("hills", "0.9.0"))
        assert caught.value.code == "parent_missing"


def test_a_file_of_the_same_bytes_is_stored_once(
    address: str, tmp_path: Path, database: Path
) -> None:
    content = {f"images/{number}.jpg": b"one and the same" for number in range(5)}
    folder = write_set(tmp_path / "set", [cells(number) for number in range(5)], content)
    with manager_of(address, database) as manager:
        assert manager.register(folder, FIRST).uploaded == 3
        assert manager.pull(FIRST, tmp_path / "pulled") == 7
        assert manager.verify(FIRST).n_objects == 3


def test_versions_of_other_stores_are_not_shown(tmp_path: Path, folder: Path) -> None:
    with DatasetsDatabase(tmp_path / "datasets.db") as database:
        one = VisionDatasetManager(store_at(str(tmp_path / "one")), database)
        two = VisionDatasetManager(store_at(str(tmp_path / "two")), database)
        one.register(folder, FIRST)
        assert not two.list()
        shutil.rmtree(tmp_path / "one")
        assert not one.list()


def test_a_bucket_that_is_not_there_is_named(s3: object, folder: Path, database: Path) -> None:
    with (
        manager_of("s3://no-such-bucket", database) as manager,
        pytest.raises(DataStoreError, match="no-such-bucket") as caught,
    ):
        manager.register(folder, FIRST)
    assert caught.value.code == "store_unreachable"


@pytest.mark.parametrize("address", ["s3://", "gs://bucket", "https://example.org/x"])
def test_what_is_no_store_is_refused(address: str) -> None:
    with pytest.raises(DataStoreError) as caught:
        store_at(address)
    assert caught.value.code == "invalid_store"


def test_the_card_is_part_of_the_version(address: str, folder: Path, database: Path) -> None:
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)
        (folder / "dataset.toml").write_text(CARD.replace("CC0", "CC-BY-4.0"))
        with pytest.raises(DataSetError, match="holds something else"):
            manager.register(folder, FIRST)
