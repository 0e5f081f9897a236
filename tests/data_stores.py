"""Fixtures: the two kinds of store, each real (S3 is moto's server over HTTP), and folders to keep.

Every test that asks for `address` runs once on each kind.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from training.data_versions.manager import VisionDatasetManager
from training.data_versions.store_address import store_at
from training.dataset import REQUIRED_COLUMNS
from training.datasets_db import DatasetsDatabase
from training.meter import Meter, silent

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

__all__ = ["address", "s3"]

CARD = 'name = "Two hills"\nlicence = "CC0"\nsource = "made for a test"\nmin_side = 300\n'
LONG_AGO = 1_700_000_000  # [s] photos that have not been written to for a while
Cells = dict[str, str]


@pytest.fixture(scope="session")
def s3() -> Iterator[ThreadedMotoServer]:
    """An S3 server on loopback; boto3 finds it as it would find any other."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "a-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield server
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is; a bucket keeps every version of its objects."""
    if request.param == "folder":
        return str(tmp_path / "store")
    import boto3

    request.getfixturevalue("s3")
    client, bucket = boto3.client("s3"), f"b{abs(hash(tmp_path)):x}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return f"s3://{bucket}/some/where"


@contextmanager
def manager_of(
    address: str, database: Path, meter: Meter = silent
) -> Iterator[VisionDatasetManager]:
    """A manager as one process would have it."""
    with DatasetsDatabase(database) as opened:
        yield VisionDatasetManager(store_at(address), opened, meter=meter)


def cells(number: int, **changed: str) -> Cells:
    """The row of photo `number`: three sites, two photos a session."""
    row = dict.fromkeys(REQUIRED_COLUMNS, "")
    row.update(
        file=f"images/{number}.jpg",
        site=f"hill_{number % 3}",
        session=f"hill_{number % 3}_{number // 6}",
        captured_at=f"2025-03-{1 + number // 6:02}T1{number % 6}:00-05:00",
        pm25=f"{10 + number}.5",
        pm25_quality="A",
    )
    return row | changed


def write_set(
    folder: Path,
    rows: list[Cells],
    content: Mapping[str, bytes] | None = None,
    card: str = CARD,
) -> Path:
    """A data set of `rows`; each photo's bytes are told by its file name, or by `content`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text(card)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(c for row in rows for c in row)))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        path = folder / row["file"]
        path.write_bytes((content or {}).get(row["file"], row["file"].encode() * 3000))
        os.utime(path, (LONG_AGO, LONG_AGO))
    for name in ("labels.csv", "dataset.toml"):
        os.utime(folder / name, (LONG_AGO, LONG_AGO))
    return folder


def objects_at(address: str) -> dict[str, list[tuple[str, int]]]:
    """Every key of the store, with what tells each writing of it apart from the others."""
    if not address.startswith("s3://"):
        folder = Path(address)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {
            path.relative_to(folder).as_posix(): [
                (str(path.stat().st_ino), path.stat().st_mtime_ns)
            ]
            for path in paths
        }
    import boto3

    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    pages = (
        boto3.client("s3")
        .get_paginator("list_object_versions")
        .paginate(Bucket=bucket, Prefix=f"{prefix}/")
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for page in pages:
        for version in page.get("Versions", ()):
            key = version["Key"].removeprefix(f"{prefix}/")
            found.setdefault(key, []).append((version["VersionId"], version["Size"]))
    return {key: sorted(versions) for key, versions in found.items()}


def overwrite(address: str, key: str, content: bytes | None) -> None:
    """Do what no store does: put other bytes at `key`, or take it away."""
    if not address.startswith("s3://"):
        path = Path(address) / key
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        return
    import boto3

    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    if content is None:
        client.delete_object(Bucket=bucket, Key=f"{prefix}/{key}")
    else:
        client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=content)
